"""What is noteworthy about the images of a run: how they are stored, what was left out, which are there twice."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Scalar
from weighbridge.images.listing import LeftOut, natural
from weighbridge.images.manifest import Row
from weighbridge.images.targets import is_target

CHECK = "fetch"
SHOWN = 3  # names in a sentence; the evidence has more
KEPT = 50
DARK = 2**15  # 16-bit images whose largest value is below have a range of their own
COUNTED = ("format", "mode", "depth", "exif", "alpha", "profile", "frames", "jpeg_sampling")
_UNWANTED = {"corrupt": "cannot be decoded", "unread": "are no images", "unfit": "are refused by the recipe"}
_HARMLESS = {
    "outside": "lie in no class's folder",
    "unlisted": "are not in the table",
    "twice": "rows say again what another says",
    "junk": "are hidden, or made by a system",
}


def stored_facts(manifest: Sequence[Row]) -> dict[str, Scalar]:
    """How the test images were stored: a copy that was compressed once more looks the same and is another test."""
    test = [row.stored for row in manifest if row.split == "test"]
    facts: dict[str, Scalar] = {}
    for column in COUNTED:
        if counts := Counter(str(how[column]) for how in test if how.get(column) not in (None, "")):
            said = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
            facts[f"images.{'orientation' if column == 'exif' else column}"] = said
    if steps := _numbers(test, "jpeg_step"):
        facts["images.jpeg_step"] = round(float(np.mean(steps)), 3)
    if highest := _numbers(test, "highest"):
        facts["images.highest"] = round(max(highest), 3)
    return facts


def _numbers(stored: Iterable[Mapping[str, str | float | None]], column: str) -> list[float]:
    return [float(value) for how in stored if (value := how.get(column)) is not None]


def judge_images(
    model: str, manifest: Sequence[Row], left_out: Sequence[LeftOut], order: str | Sequence[str] = "text"
) -> Iterator[Finding]:
    """Findings about the images that a model was asked about: what was left out, classes, duplicates, numbering, depth.

    Args:
        manifest, left_out: what `fetch` wrote; `left_out` with what the recipe refused (kind `unfit`).
        order: `data.order`.
    """
    yield _left_out(model, manifest, left_out)
    yield from _classes(model, manifest, left_out)
    yield from _duplicates(model, manifest)
    if not any(is_target(row.label) for row in manifest):
        yield from _numbering(model, manifest, order)
    yield from _range(model, manifest)


def _left_out(model: str, manifest: Sequence[Row], left_out: Sequence[LeftOut]) -> Finding:
    counts: Counter[str] = Counter()
    for each in left_out:
        counts[each.kind] += each.files
    unwanted = [each for each in left_out if each.kind in _UNWANTED]
    weighed = sum(row.split == "test" for row in manifest) - counts["unfit"]
    evidence = {
        **{f"left_out_{kind}": counts[kind] for kind in (*_UNWANTED, *_HARMLESS)},
        "left_out": [f"{each.name}: {each.reason}" for each in unwanted[:KEPT]],
    }
    said = [f"{counts[kind]} {words}" for kind, words in {**_UNWANTED, **_HARMLESS}.items() if counts[kind]]
    if not said:
        return Finding(CHECK, model, Verdict.PASS, f"All {weighed} test images of the source were weighed.", evidence)
    first = f" (first: {_some([each.name for each in unwanted])})" if unwanted else ""
    sentence = (
        f"{weighed} test images were weighed; of the source's other files {'; '.join(said)}{first}: data/skipped.csv."
    )
    return Finding(CHECK, model, Verdict.WARN if unwanted else Verdict.PASS, sentence, evidence)


def _some(names: Sequence[str]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def _classes(model: str, manifest: Sequence[Row], left_out: Sequence[LeftOut]) -> Iterator[Finding]:
    """Classes without test images; the accuracy is over the others."""
    empty = [each.name for each in left_out if each.kind == "class"]
    lacking = {
        split: [name[len(split) + 1 : -1] for name in empty if name.startswith(f"{split}/")]
        for split in ("test", "train")
    }
    if lacking["test"]:
        there = len({row.label for row in manifest if row.split == "test"})
        sentence = (
            f"The accuracy is over {there} of {there + len(lacking['test'])} classes: the others have no test image "
            f"({_some(lacking['test'])})."
        )
        evidence = {"classes_tested": there, "classes_without_test_images": lacking["test"][:KEPT]}
        yield Finding(CHECK, model, Verdict.PASS, sentence, evidence)
    one_sided = [name for split, names in lacking.items() for name in names if name not in lacking[_other(split)]]
    if one_sided and any(row.split == "train" for row in manifest):
        sentence = (
            f"{len(one_sided)} of the classes have images in one of train and test only: {_some(one_sided)}. They keep their "
            "numbers; check that the folders are named alike."
        )
        yield Finding(CHECK, model, Verdict.WARN, sentence, {"classes_in_one_split": one_sided[:KEPT]})


def _other(split: str) -> str:
    return "train" if split == "test" else "test"


def _duplicates(model: str, manifest: Sequence[Row]) -> Iterator[Finding]:
    """The same bytes under two labels: one is wrong. In train and test: the test is no test."""
    counts = Counter(row.sha256 for row in manifest)
    same: dict[str, list[Row]] = defaultdict(list)
    for row in manifest:
        if counts[row.sha256] > 1:
            same[row.sha256].append(row)
    alike = [rows for _, rows in sorted(same.items())]
    groups = {
        "under two labels": [rows for rows in alike if len({row.label for row in rows}) > 1],
        "in train and test": [rows for rows in alike if len({row.split for row in rows}) > 1],
    }
    for words, found in groups.items():
        if found:
            pairs = [" = ".join(row.name for row in rows) for rows in found]
            sentence = f"{len(found)} images are there {words}, byte by byte: {_some(pairs)}."
            evidence = {f"images_{words.replace(' ', '_')}": len(found), "duplicates": pairs[:KEPT]}
            yield Finding(CHECK, model, Verdict.WARN, sentence, evidence)


def _numbering(model: str, manifest: Sequence[Row], order: str | Sequence[str]) -> Iterator[Finding]:
    """Names that are numbers, sorted as text: 10 before 2. Told; where another order would be better, `accuracy_check` warns."""
    known = sorted({row.label: row.class_name for row in reversed(manifest)}.items())  # as the first row of each says
    names = [name for _, name in known]
    counted = len({re.sub(r"\d+", "#", name) for name in names}) == 1
    if order != "text" or not counted or names != sorted(names) or names == sorted(names, key=natural):
        return
    moved = next(name for name, other in zip(names, sorted(names, key=natural), strict=True) if name != other)
    sentence = (
        f"The classes are numbers sorted as text, as torchvision's ImageFolder sorts: '{moved}' is class "
        f"{known[names.index(moved)][0]}. If the model counts them as numbers, set data.order to natural."
    )
    yield Finding(CHECK, model, Verdict.PASS, sentence, {"classes_as_sorted": names[:KEPT]})


def _range(model: str, manifest: Sequence[Row]) -> Iterator[Finding]:
    """16-bit images that use a part of their range only come out dark."""
    deep = _numbers((row.stored for row in manifest), "highest")
    highest = max(deep, default=0.0)
    if 255 < highest < DARK:
        sentence = (
            f"{len(deep)} images have more than 8 bits, and their largest value is {highest:g}: by their high byte they are "
            f"nearly black. Say the range in the recipe, for example depth: [0, {highest:g}]."
        )
        yield Finding(CHECK, model, Verdict.WARN, sentence, {"highest": highest})
