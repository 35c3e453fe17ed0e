"""Measured numbers held against claimed ones: shared by the checks of models and of imported predictions.

Three things are told apart: a number that comes back to the published digits, which takes the claim's own images; one that comes
close to it on these; and one that a sample of this size does not contradict, which confirms nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from tracking.audit.claim_outcomes import COMES_BACK, EXCEEDS, NOT_CONTRADICTED, OTHER_IMAGES, SHORT, WITHIN
from tracking.audit.claims import CLOSE, OWN, UNSAID, Measured, judged, judged_value
from tracking.audit.claims import Claim as Published
from tracking.runs.findings import Finding, Verdict
from weighbridge.params.models import Claim

CHECK = "accuracy_check"
PUBLISHED_COLUMNS = ["source", "date", "as", "preprocessing", "top1 %", "top5 %", "measured"]
LOWER_IS_BETTER = {"ece", "nll", "brier", "hamming_loss", "mae", "rmse"}
VERDICTS = {
    COMES_BACK: Verdict.PASS,
    WITHIN: Verdict.WARN,
    NOT_CONTRADICTED: Verdict.SKIP,
    OTHER_IMAGES: Verdict.SKIP,
    SHORT: Verdict.FAIL,
    EXCEEDS: Verdict.WARN,
}


def counts(measured: Mapping[str, float], name: str) -> Measured:
    """How many images were right by an accuracy of `measure`."""
    samples = int(measured["samples"])
    return Measured.of(measured, round(measured[name] * samples), samples)


def held_against_claim(model: str, measured: Mapping[str, float], claim: Claim | None) -> Iterator[Finding]:
    """One finding for each accuracy, and one for the metric that is claimed."""
    for name in ("top1", "top5"):
        if name in measured:
            yield _accuracy(model, measured, name, claim)
        elif claim is not None and getattr(claim, name) is not None:
            sentence = (
                f"{name} is claimed ({claim.source}), and what these models answer is no single class: give `metric`."
            )
            if "top1" not in measured:
                yield Finding(CHECK, model, Verdict.SKIP, sentence, {f"{name}_claimed": getattr(claim, name)})
    if claim is not None and claim.metric is not None:
        yield _metric(model, measured, claim)


def _accuracy(model: str, measured: Mapping[str, float], name: str, claim: Claim | None) -> Finding:
    claimed = getattr(claim, name) if claim else None
    seen = f"{name.replace('top', 'Top-')} is {measured[name]:.2%} of {measured['samples']:.0f} images {_ends(measured, name)}"
    evidence = {each: measured[each] for each in (name, f"{name}_low", f"{name}_high", "samples")}
    if claim is None or claimed is None:
        return Finding(CHECK, model, Verdict.SKIP, f"{seen}; no accuracy was claimed for it.", evidence)
    found, published = counts(measured, name), _per_cent(claimed)
    images = claim.images or found.images(claim.samples)
    word = judged(published, found, images, _close(claim))
    told = _told(word, images, f"{claimed:.2%} ({claim.source})", found, published)
    return Finding(
        CHECK, model, _verdict(word, claim), f"{seen}; {told}.", {**evidence, f"{name}_claimed": claimed, "claim": word}
    )


def _ends(measured: Mapping[str, float], name: str) -> str:
    return f"(95 % interval {measured[f'{name}_low']:.2%} to {measured[f'{name}_high']:.2%})"


def _per_cent(fraction: float) -> Decimal:
    """With the digits that were written; a fraction of 1 is 100.0."""
    value = Decimal(repr(fraction)).scaleb(2)
    return value.quantize(Decimal("0.1") if value == 100 else Decimal(1).scaleb(min(0, int(value.as_tuple().exponent))))


def _close(claim: Claim) -> Decimal:
    return CLOSE if claim.within is None else Decimal(repr(claim.within))


def _verdict(word: str, claim: Claim) -> Verdict:
    """Close is what was asked for where the claim itself says how close; it is no pass either."""
    return Verdict.SKIP if word == WITHIN and claim.within is not None else VERDICTS[word]


def _told(word: str, images: str, claimed: str, found: Measured, published: Decimal) -> str:
    fewer = round(published * found.samples / 100) - found.right
    apart = f"{abs(fewer)} image{'' if abs(fewer) == 1 else 's'} {'fewer' if fewer > 0 else 'more'} than claimed"
    if word == COMES_BACK:
        return f"it comes back to the claimed {claimed}"
    if word == OTHER_IMAGES:
        part = "" if found.shows_all_classes else f", which show {found.there} of the model's {found.classes} classes"
        return f"these are not the images of the claimed {claimed}{part}: nothing is said of the claim"
    if images == OWN:
        words = {WITHIN: "it comes close to", SHORT: "it falls short of", EXCEEDS: "it exceeds"}[word]
        points = abs(found.per_cent - published)
        return f"{words} the claimed {claimed} on the claim's own images: {apart}, {points:.2f} points"
    if word == NOT_CONTRADICTED:
        hint = "; are these the claim's own images? then say `images: own`" if images == UNSAID else ""
        return (
            f"a sample of this size does not contradict the claimed {claimed}, and does not confirm it ({apart}){hint}"
        )
    if word == SHORT:
        return f"it falls short of the claimed {claimed} by more than a sample of this size can"
    return (
        f"it exceeds the claimed {claimed} by more than a sample of this size can: an easier draw, or images that the model was "
        "trained on"
    )


def _metric(model: str, measured: Mapping[str, float], claim: Claim) -> Finding:
    name, value = str(claim.metric), float(claim.value or 0)
    if name not in measured:
        known = ", ".join(each for each in measured if f"{each}_low" in measured)
        sentence = f"{name} is claimed to be {value:g} ({claim.source}) and was not measured; there are {known}."
        return Finding(CHECK, model, Verdict.SKIP, sentence, {"claimed": value})
    if f"{name}_low" not in measured:
        low = high = measured[name]
    else:
        low, high = measured[f"{name}_low"], measured[f"{name}_high"]
    found = counts(measured, "top1") if "top1" in measured else Measured(0, int(measured["samples"]))
    images = claim.images or found.images(claim.samples)
    word = judged_value(Decimal(repr(value)), measured[name], (low, high), images, _close(claim) / 100)
    claimed = f"claimed {value:g} ({claim.source})"
    told = {
        COMES_BACK: f"it comes back to the {claimed}",
        WITHIN: f"it comes close to the {claimed} on its own images",
        OTHER_IMAGES: f"these are not the images of the {claimed}: nothing is said of the claim",
        NOT_CONTRADICTED: f"a sample of this size does not contradict the {claimed}, and does not confirm it",
        SHORT: f"it is below the {claimed}" + ("" if images == OWN else " by more than a sample of this size can be"),
        EXCEEDS: f"it is above the {claimed}" + ("" if images == OWN else " by more than a sample of this size can be"),
    }[word]
    sentence = f"{name} is {measured[name]:.4g} (95 % interval {low:.4g} to {high:.4g}); {told}."
    better_low = name.partition(".")[0] in LOWER_IS_BETTER
    mirrored = {SHORT: EXCEEDS, EXCEEDS: SHORT}.get(word, word) if better_low else word
    verdict = _verdict(mirrored, claim)
    return Finding(CHECK, model, verdict, sentence, {f"{name}_claimed": value, name: measured[name], "claim": mirrored})


def held_against_published(
    model: str, checkpoint: str | None, measured: Mapping[str, float], published: Sequence[Published]
) -> Iterator[Finding]:
    """One finding about every number that is published for the checkpoint; none where no checkpoint is named."""
    if checkpoint is None or "top1" not in measured:
        return
    if not published:
        sentence = f"No accuracy of {checkpoint} is in the table of published ones."
        yield Finding(CHECK, model, Verdict.SKIP, sentence, {"checkpoint": checkpoint})
        return
    found = counts(measured, "top1")
    words = [claim.judged(found) for claim in published]
    evidence = {
        "checkpoint": checkpoint,
        "published": [_row(claim, word) for claim, word in zip(published, words, strict=True)],
        "published_columns": PUBLISHED_COLUMNS,
    }
    about = f"Of {len(published)} accuracies published for {checkpoint}, "
    yield Finding(CHECK, model, _overall(words), about + _counted(words, found, published) + ".", evidence)


def _counted(words: Sequence[str], found: Measured, published: Sequence[Published]) -> str:
    tally = {word: words.count(word) for word in dict.fromkeys(words)}
    short, above = tally.get(SHORT, 0), tally.get(EXCEEDS, 0)
    rest = f"falls short of {short} and exceeds {above}"
    if {*tally} == {OTHER_IMAGES}:
        there = f", which show {found.there} of its {found.classes} classes" if not found.shows_all_classes else ""
        return f"nothing is said: they were measured on other images than these {found.samples}{there}"
    if any(found.images(claim.samples) == OWN for claim in published):
        back, close = tally.get(COMES_BACK, 0), tally.get(WITHIN, 0)
        return f"top-1 comes back to {back} on the same images, comes close to {close}, {rest}"
    return f"top-1 of these {found.samples} images does not contradict {tally.get(NOT_CONTRADICTED, 0)}, {rest}"


def _overall(words: Sequence[str]) -> Verdict:
    """The best that any publisher's number is met with; all short is a fail."""
    for word in (COMES_BACK, WITHIN, NOT_CONTRADICTED):
        if word in words:
            return VERDICTS[word]
    return Verdict.FAIL if set(words) == {SHORT} else Verdict.WARN if {SHORT, EXCEEDS} & set(words) else Verdict.SKIP


def _row(claim: Published, word: str) -> list[str]:
    top5 = "" if claim.top5 is None else str(claim.top5)
    name = f"{claim.framework} {claim.model} {claim.weights}"
    return [claim.source, claim.date, name, claim.preprocessing, str(claim.top1), top5, word]
