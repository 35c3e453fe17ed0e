"""One model asked in several ways within one process, and what explains scores that part: a cause is named when it shows.

In place: what a caller shares, a model's preprocessing edits (`keras.applications.*.preprocess_input` on float arrays).
Training mode: scores are those of `forward(training=True)`. Moved: weights that another model's use changed. Drift and chance:
answers that move from call to call. Inputs: scores are those that the model gives to wrongly scaled images. Shared: settings or
other code, when nothing else explains it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import SimpleNamespace
from typing import cast

import numpy as np

from tracking.capture.process_settings import settings
from tracking.runs.errors import UserError
from weighbridge.frameworks import Classifier, Network, tensors_of
from weighbridge.images.samples import SampleSet
from weighbridge.networks.batches import Kept, Ordered, in_batches
from weighbridge.networks.kept_parts import NO_PART, Part
from weighbridge.networks.mistakes import mistakes
from weighbridge.networks.preparations import Preparation
from weighbridge.networks.score_differences import distance
from weighbridge.networks.state import generators
from weighbridge.params.recipes import TextRecipe

Cause = tuple[str, str]
CLOSE = 0.01  # of the difference to be explained: scores that near a hypothesis are explained by it
NAMED = 3


@dataclass(frozen=True)
class ModelUnderTest:
    """A model that can be had as often as wanted, and the images it is asked about.

    Attributes:
        fresh: loads it anew.
        other: another model of the same framework, in this process.
        batches: which images, as slices of `samples`.
        one_by_one: how many images are asked about singly, at most.
        elsewhere: ways to ask that need another process, by scenario; given the loaded model and the batches, the scores.
    """

    fresh: Callable[[], Classifier]
    other: Callable[[], Classifier]
    samples: SampleSet
    batches: list[slice]
    one_by_one: int
    elsewhere: Mapping[str, Callable[[Classifier, list[np.ndarray]], np.ndarray]] = field(default_factory=dict)

    @cached_property
    def rows(self) -> np.ndarray:
        """Indices of the images, in order."""
        return np.concatenate([np.arange(batch.start, batch.stop) for batch in self.batches])

    def arrays(self) -> list[np.ndarray]:
        """The batches as finished images: fresh arrays at every call."""
        return [self.samples.images(batch) for batch in self.batches]

    def scores(
        self,
        ask: Callable[[np.ndarray], np.ndarray],
        kept: Kept | None = None,
        order: slice | np.ndarray = slice(None),
        size: int = 0,
    ) -> np.ndarray:
        """What `ask` says of every batch, or of `size` images at a time, in this order; what is `kept` is not asked again."""
        size = size or self.batches[0].stop - self.batches[0].start  # only the last one may be shorter
        return in_batches(ask, Ordered(self.samples, self.rows[order]), size, "isolation_check: batch", kept)


@dataclass(frozen=True)
class Answer:
    """What a scenario brought.

    Attributes:
        scores: float32, shape (images, classes).
        chosen: which of the subject's rows they belong to.
        given: the arrays that were handed over, as they are now; empty where they are nobody else's.
    """

    scores: np.ndarray
    chosen: np.ndarray
    given: list[np.ndarray] = field(default_factory=list)


def alone(subject: ModelUnderTest, classifier: Classifier, part: Part = NO_PART) -> Answer:
    """Each batch once, on arrays that nobody else has."""
    return _all(subject, subject.scores(classifier.predict, part.passing("batches", len(subject.rows))))


def repeated(subject: ModelUnderTest, classifier: Classifier, _part: Part = NO_PART) -> Answer:
    """The same arrays twice; the second answer counts."""
    given = subject.arrays()
    for images in given:
        classifier.predict(images)
    return _all(subject, np.concatenate([classifier.predict(images) for images in given]), given)


def interleaved(subject: ModelUnderTest, classifier: Classifier, _part: Part = NO_PART) -> Answer:
    """Before every batch another model is asked about the same array."""
    other = exercise_other_model(subject)
    given, answers = subject.arrays(), []
    for images in given:
        other.predict(images)
        answers.append(classifier.predict(images))
    return _all(subject, np.concatenate(answers), given)


def after_others(subject: ModelUnderTest, _classifier: Classifier, part: Part = NO_PART) -> Answer:
    """The model loaded anew in a process that has used others."""
    exercise_other_model(subject)
    fresh = subject.fresh()
    return _all(subject, subject.scores(fresh.predict, part.passing("batches", len(subject.rows), fresh)))


def one_at_a_time(subject: ModelUnderTest, classifier: Classifier, part: Part = NO_PART) -> Answer:
    """One image a batch."""
    chosen = np.linspace(0, len(subject.rows) - 1, min(subject.one_by_one, len(subject.rows))).round().astype(int)
    return Answer(subject.scores(classifier.predict, part.passing("images", len(chosen)), chosen, size=1), chosen)


def reordered(subject: ModelUnderTest, classifier: Classifier, part: Part = NO_PART) -> Answer:
    """All images shuffled across the batches."""
    order = np.random.default_rng(0).permutation(len(subject.rows))
    shuffled = subject.scores(classifier.predict, part.passing("batches", len(order)), order)
    scores = np.empty_like(shuffled)
    scores[order] = shuffled
    return _all(subject, scores)


IN_PROCESS: Mapping[str, Callable[[ModelUnderTest, Classifier, Part], Answer]] = {
    "alone": alone,
    "repeated": repeated,
    "interleaved": interleaved,
    "after_others": after_others,
    "batch": one_at_a_time,
    "order": reordered,
}


def ask(subject: ModelUnderTest, name: str, classifier: Classifier, part: Part = NO_PART) -> Answer:
    """Go through a scenario, here or elsewhere. One in which nothing else is asked in between goes on within its `part`."""
    if name in IN_PROCESS:
        return IN_PROCESS[name](subject, classifier, part)
    return _all(subject, subject.elsewhere[name](classifier, subject.arrays()))


def _all(subject: ModelUnderTest, scores: np.ndarray, given: list[np.ndarray] | None = None) -> Answer:
    return Answer(scores, np.arange(len(subject.rows)), given or [])


def exercise_other_model(subject: ModelUnderTest) -> Classifier:
    """Another model, after a pass in training mode where it has one."""
    other = subject.other()
    if isinstance(other, Network):
        other.forward(subject.samples.images(subject.rows[:2]), training=True)
    return other


@dataclass(frozen=True)
class State:
    """What a model's use must leave alone: hashes of its weights and buffers, and the settings of its framework."""

    tensors: Mapping[str, str]
    settings: Mapping[str, object]

    @classmethod
    def of(cls, classifier: Classifier) -> "State":
        tensors = {name: hashlib.sha256(value.tobytes()).hexdigest() for name, value in tensors_of(classifier).items()}
        return cls(tensors, settings())

    def moved(self, now: "State") -> list[str]:
        """Weights and buffers that are no longer what they were."""
        return sorted(name for name, value in self.tensors.items() if now.tensors.get(name) != value)

    def changed(self, now: "State") -> list[str]:
        """Settings with another value, in words."""
        both = sorted(self.settings.keys() & now.settings.keys())
        return [
            f"{name}: {self.settings[name]} -> {now.settings[name]}"
            for name in both
            if self.settings[name] != now.settings[name]
        ]


@dataclass(frozen=True)
class Discrepancy:
    """Scores that part, to be explained.

    Attributes:
        before: the state when the expected scores were given.
        expected: of the images that `asked` holds.
        tolerance: below it a difference is rounding.
    """

    subject: ModelUnderTest
    name: str
    classifier: Classifier
    before: State
    expected: np.ndarray
    asked: Answer
    tolerance: float

    def fits(self, scores: np.ndarray) -> bool:
        """Whether a hypothesis that gives these scores explains those that were got."""
        apart = distance(self.expected, self.asked.scores)
        return distance(scores, self.asked.scores) <= max(self.tolerance, CLOSE * apart)


def explain(case: Discrepancy) -> Cause:
    """The first cause that shows; `unknown` when none does, with the reason where one could not be looked for."""
    problems = []
    for look in CAUSES:
        try:
            cause = next(look(case), None)
        except UserError as problem:  # such as a model that cannot be loaded once more
            problems.append(str(problem))
        else:
            if cause is not None:
                return cause
    unseen = f" Not every cause could be looked for: {'; '.join(dict.fromkeys(problems))}." if problems else ""
    return "unknown", f"No cause that is known here shows.{unseen}"


def _edited(case: Discrepancy) -> Iterator[Cause]:
    for batch, before, now in zip(case.subject.batches, case.subject.arrays(), case.asked.given, strict=False):
        rows = np.flatnonzero((before != now).reshape(len(before), -1).any(axis=1))
        if len(rows):
            image, largest = case.subject.samples.names[batch.start + int(rows[0])], distance(before, now)
            yield (
                "in-place",
                f"The caller's array was edited in place, by up to {largest:.3g} (first: {image}): whoever uses it next "
                "sees other images.",
            )


def _moved(case: Discrepancy) -> Iterator[Cause]:
    if names := case.before.moved(State.of(case.classifier)):
        some = ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
        yield "weights-moved", f"In between {len(names)} of its weights and buffers moved: {some}."


def _by_chance(case: Discrepancy) -> Iterator[Cause]:
    """Answers that move from call to call: by drift, where nothing is drawn and a fresh copy gives the first answer again."""
    drawn = _draws(case)  # goes on from where a seed, set by loading a copy, would give the same draws once more
    again = ask(case.subject, case.name, case.classifier).scores
    if np.array_equal(again, case.asked.scores) or distance(again, case.asked.scores) <= case.tolerance:
        return
    flips = int((again.argmax(axis=1) != case.asked.scores.argmax(axis=1)).sum())
    moved = f"Asked so once more, {flips} decisions flip again and scores move by up to {distance(again, case.asked.scores):.2g}"
    if not drawn and _first_again(case):
        yield (
            "drift",
            f"{moved}, while a fresh copy gives the first answer again and no random number is drawn: its answers drift from "
            "call to call, by something that it keeps.",
        )
    else:
        yield "chance", f"{moved}: something is drawn by chance, as by dropout."


def _draws(case: Discrepancy) -> bool:
    """Whether a batch draws a random number, in this process."""
    before = generators(case.classifier)
    case.classifier.predict(case.subject.arrays()[0])
    return generators(case.classifier) != before


def _first_again(case: Discrepancy) -> bool:
    """Whether a fresh copy gives what was expected; in another process it was a fresh copy each time."""
    if case.name not in IN_PROCESS:
        return False
    first = ask(case.subject, "alone", case.subject.fresh()).scores[case.asked.chosen]
    return distance(first, case.expected) <= case.tolerance


def _training_mode(case: Discrepancy) -> Iterator[Cause]:
    network = case.subject.fresh()
    if not isinstance(network, Network):
        return
    trained = cast(Classifier, SimpleNamespace(predict=partial(network.forward, training=True)))
    with suppress(UserError):  # a batch of one image may be too small for that mode
        asked = ask(case.subject, case.name if case.name in ("batch", "order") else "alone", trained)
        if len(asked.scores) == len(case.asked.scores) and case.fits(asked.scores):
            yield "training-mode", "These are its scores in training mode: it was left in that mode."


def _wrong_inputs(case: Discrepancy) -> Iterator[Cause]:
    if isinstance(case.subject.samples.recipe, TextRecipe) or case.name in IN_PROCESS.keys() - {"alone"}:
        return
    own = Preparation(case.subject.samples.recipe)
    model = case.subject.fresh()
    for name, preparation in mistakes(own.recipe).items():
        if preparation.geometry == own.geometry and not preparation.transposed:
            pixels = case.subject.samples.inputs
            prepared = [np.ascontiguousarray(preparation.images(pixels[batch])) for batch in case.subject.batches]
            if case.fits(np.concatenate([model.predict(images) for images in prepared])):
                yield "inputs", f"These are its scores of images prepared otherwise ({name}): the client sends those."


def _shared(case: Discrepancy) -> Iterator[Cause]:
    if case.name not in ("interleaved", "after_others", "repeated"):
        return
    changed = case.before.changed(State.of(case.classifier))
    what = (
        "; ".join(changed[:NAMED]) if changed else "no setting that is known here, so perhaps something of its own code"
    )
    yield (
        "shared-state",
        "No other cause shows, so by elimination something outside the model, shared in the process, was changed in between "
        f"({what}).",
    )


def _companions(case: Discrepancy) -> Iterator[Cause]:
    if case.name in ("batch", "order"):
        yield "companions", "Its scores depend on the other images in the batch, as with BatchNorm in training mode."


CAUSES = (_edited, _training_mode, _moved, _by_chance, _wrong_inputs, _shared, _companions)
