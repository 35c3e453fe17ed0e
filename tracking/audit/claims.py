"""Published accuracies: the table that is shipped here (`claims.csv`) and a user's own, row by row, found by checkpoint.

A checkpoint is one set of weights, `<publisher>/<model>/<weights>`; several people publish a number for the same one. Numbers
are kept as they were published: per cent, with as many digits as were given.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, InvalidOperation
from pathlib import Path

from tracking.audit.claim_outcomes import COMES_BACK, EXCEEDS, NOT_CONTRADICTED, OTHER_IMAGES, SHORT, WITHIN
from tracking.audit.statistics import wilson
from tracking.runs.errors import UserError

SHIPPED = Path(__file__).with_name("claims.csv")
OWN, SAMPLE, OTHER, UNSAID = "own", "sample", "other", "unsaid"  # what the images are to those of a claim
CLASSES, THERE = "classes", "classes_there"  # results of a run
CLOSE = Decimal("0.1")  # points: what another library's decoder or kernels usually make of the same weights and images


@dataclass(frozen=True)
class Measured:
    """A measured share of right answers, as counts.

    Attributes:
        right, samples: how many, of how many.
        classes: how many classes the model tells apart; None: not known.
        there: how many of them the images show.
    """

    right: int
    samples: int
    classes: int | None = None
    there: int | None = None

    @property
    def per_cent(self) -> Decimal:
        return Decimal(100 * self.right) / self.samples

    @property
    def shows_all_classes(self) -> bool:
        """Whether the images can be a draw from all the model's classes: of few images not each class can show."""
        if self.classes is None or self.there is None:
            return True
        expected = self.classes * (1 - (1 - 1 / self.classes) ** self.samples)
        return self.there >= 0.9 * expected

    def images(self, samples: int | None = None) -> str:
        """What the images are to those of a claim that was measured on `samples`."""
        if not self.shows_all_classes or (samples is not None and self.samples > samples):
            return OTHER
        whole = samples == self.samples and self.there == self.classes
        return OWN if whole else UNSAID

    @classmethod
    def of(cls, results: Mapping[str, object], right: int, samples: int) -> "Measured":
        """Counts, beside what a run's results say of the classes."""
        known = (int(str(each)) if (each := results.get(name)) is not None else None for name in (CLASSES, THERE))
        return cls(right, samples, *known)


def judged(published: Decimal, measured: Measured, images: str, within: Decimal = CLOSE) -> str:
    """What a measured accuracy is to a published one, in per cent with its digits.

    On the claim's own images the question is whether it comes back to the published digits, or comes close (`within` so many
    points). On a sample, or on images of which nothing is said, only whether a sample of this size contradicts it: its 95 %
    interval ends before all that round to the published number. Other images say nothing of it.
    """
    if images == OTHER:
        return OTHER_IMAGES
    if images == OWN:
        if comes_back(published, measured.right, measured.samples):
            return COMES_BACK
        if abs(measured.per_cent - published) <= within:
            return WITHIN
        return SHORT if measured.per_cent < published else EXCEEDS
    low, high = (Decimal(100 * end) for end in wilson(measured.right, measured.samples))
    half = _last_digit(published) / 2
    return SHORT if high < published - half else EXCEEDS if low > published + half else NOT_CONTRADICTED


@dataclass(frozen=True)
class Claim:
    """One published accuracy.

    Attributes:
        checkpoint: the weights, for example ``torchvision/ResNet50/IMAGENET1K_V1``.
        framework, model, weights: as their publisher of the number calls them.
        top1, top5: per cent, with the published digits; ``top5`` is None where it was not published.
        preprocessing: what the source says of it; empty where it says nothing.
        source, date: where the number stands, and when (``2019-04``).
        samples: on how many images it was measured; None where nobody says.
    """

    checkpoint: str
    framework: str
    model: str
    weights: str
    top1: Decimal
    top5: Decimal | None
    preprocessing: str
    source: str
    date: str
    samples: int | None = None

    @property
    def side(self) -> int | None:
        """Of the images, in pixels, where `preprocessing` says it: "size 288, crop 1.0" or "centre crop 224"."""
        found = re.search(r"(?:\bsize |\bcrop_size=|\bcentre crop )(\d+)", self.preprocessing)
        return int(found[1]) if found else None

    def judged(self, measured: Measured) -> str:
        """What a measured top-1 accuracy is to this claim: one of the words of `judged`."""
        return judged(self.top1, measured, measured.images(self.samples))


def judged_value(published: Decimal, value: float, interval: tuple[float, float], images: str, within: Decimal) -> str:
    """As `judged`, for a metric in its own unit, with its 95 % interval; `within` is in that unit too."""
    if images == OTHER:
        return OTHER_IMAGES
    measured, step = Decimal(repr(value)), _last_digit(published)
    if images == OWN:
        if abs(measured - published) <= step / 2:
            return COMES_BACK
        return WITHIN if abs(measured - published) <= within else SHORT if measured < published else EXCEEDS
    low, high = (Decimal(repr(end)) for end in interval)
    return SHORT if high < published - step / 2 else EXCEEDS if low > published + step / 2 else NOT_CONTRADICTED


COLUMNS = tuple(field.name for field in fields(Claim))


def comes_back(published: Decimal, hits: int, samples: int) -> bool:
    """Whether `hits` of `samples`, in per cent with the published digits, is the published number; either way at a half."""
    measured = Decimal(100 * hits) / samples
    step = _last_digit(published)
    return any(measured.quantize(step, rounding) == published for rounding in (ROUND_HALF_UP, ROUND_HALF_EVEN))


def claims_about(checkpoint: object, claims: Iterable[Claim], side: int | None = None) -> tuple[Claim, ...]:
    """Every claim about one checkpoint, the oldest first; none where it is not known (None).

    Where a source gives its numbers at several image sizes, `side` among them, only those at `side` are meant.
    """
    about = sorted((claim for claim in claims if claim.checkpoint == checkpoint), key=lambda claim: claim.date)
    at_side = {claim.source for claim in about if side is not None and claim.side == side}
    return tuple(claim for claim in about if claim.source not in at_side or claim.side in (None, side))


def image_side(params: Mapping[str, object]) -> int | None:
    """How large a run's images were, in pixels, by its params; None where its recipe does not make squares."""
    squash = params.get("recipe.resize.fit") == "squash"
    side = params.get("recipe.crop.size") or (params.get("recipe.resize.size") if squash else None)
    return side if isinstance(side, int) else None


def load_claims(own: Path | None = None) -> tuple[Claim, ...]:
    """The shipped table and, where it is another file, the rows of `own`.

    Raises:
        UserError: a file cannot be read, has other columns, or a row breaks the form; file and line are named.
    """
    files = [SHIPPED] if own is None or own.resolve() == SHIPPED.resolve() else [SHIPPED, own]
    return tuple(claim for file in files for claim in _read(file))


def _read(path: Path) -> Sequence[Claim]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file, strict=True)
            header = next(rows, [])
            if header not in (list(COLUMNS), list(COLUMNS[:-1])):
                raise UserError(f"{path}:1: the columns must be {','.join(COLUMNS)}, not {','.join(header)}")
            return [_claim(row, header, f"{path}:{rows.line_num}") for row in rows if row]
    except OSError as problem:
        raise UserError(f"{path}: cannot be read ({problem.strerror}); see `claims` in params.yaml") from problem
    except (csv.Error, UnicodeDecodeError) as problem:
        raise UserError(f"{path}: not a table of comma-separated text ({problem})") from problem


def _claim(row: Sequence[str], columns: Sequence[str], place: str) -> Claim:
    if len(row) != len(columns):
        raise UserError(f"{place}: has {len(row)} values for {len(columns)} columns")
    values = dict(zip(columns, row, strict=True))
    for name in ("checkpoint", "source", "date"):
        if not values[name].strip():
            raise UserError(f"{place}: {name} is empty")
    samples = values.pop("samples", "")
    if samples and not (samples.isdecimal() and int(samples)):
        raise UserError(f"{place}: samples must be a number of images, not {samples!r}")
    top1 = _per_cent(values.pop("top1"), "top1", place)
    top5 = _per_cent(text, "top5", place) if (text := values.pop("top5")) else None
    return Claim(**values, top1=top1, top5=top5, samples=int(samples) if samples else None)


def _per_cent(text: str, name: str, place: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 1 <= value <= 100:
        raise UserError(f"{place}: {name} must be a number of per cent from 1 to 100, not {text!r}")
    return value


def _last_digit(value: Decimal) -> Decimal:
    """One unit of the last digit that was given: 0.1 for 74.9."""
    return Decimal(1).scaleb(int(value.as_tuple().exponent))
