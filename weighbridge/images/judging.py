"""What is noteworthy about the images of a run: how they are stored, what was left out, which are there twice."""

import re
from collections.abc import Iterator, Sequence

import pandas as pd

from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Scalar
from weighbridge.images.listing import natural
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


def stored_facts(manifest: pd.DataFrame) -> dict[str, Scalar]:
    """How the test images were stored: a copy that was compressed once more looks the same and is another test."""
    test = manifest[manifest["split"] == "test"]
    facts: dict[str, Scalar] = {}
    for column in COUNTED:
        if column in test and len(known := _known(test[column])):
            facts[f"images.{'orientation' if column == 'exif' else column}"] = _counted(known)
    for column in ("jpeg_step", "highest"):
        if column in test and len(known := test[column].dropna()):
            facts[f"images.{column}"] = round(float(known.mean() if column == "jpeg_step" else known.max()), 3)
    return facts


def _known(values: pd.Series) -> pd.Series:
    return values[values.notna() & (values != "")]


def _counted(values: pd.Series) -> str:
    counts = values.value_counts().items()
    return ", ".join(f"{_whole(name)} {count}" for name, count in sorted(counts, key=lambda pair: str(pair[0])))


def _whole(value: object) -> str:
    return str(int(value)) if isinstance(value, float) else str(value)


def judge_images(
    model: str, manifest: pd.DataFrame, left_out: pd.DataFrame, order: str | Sequence[str] = "text"
) -> Iterator[Finding]:
    """Findings about the images that a model was asked about: what was left out, classes, duplicates, numbering, depth.

    Args:
        manifest, left_out: what `fetch` wrote; `left_out` with what the recipe refused (kind `unfit`).
        order: `data.order`.
    """
    yield _left_out(model, manifest, left_out)
    yield from _classes(model, manifest, left_out)
    yield from _duplicates(model, manifest)
    if not manifest["label"].map(is_target).any():
        yield from _numbering(model, manifest, order)
    yield from _range(model, manifest)


def _left_out(model: str, manifest: pd.DataFrame, left_out: pd.DataFrame) -> Finding:
    counts = {kind: int(files) for kind, files in left_out.groupby("kind")["files"].sum().items() if kind != "class"}
    unwanted = left_out[left_out["kind"].isin(_UNWANTED)]
    weighed = int((manifest["split"] == "test").sum()) - counts.get("unfit", 0)
    evidence = {
        **{f"left_out_{kind}": counts.get(kind, 0) for kind in (*_UNWANTED, *_HARMLESS)},
        "left_out": [f"{name}: {reason}" for name, reason in unwanted[["name", "reason"]].to_numpy()[:KEPT].tolist()],
    }
    said = [f"{counts[kind]} {words}" for kind, words in {**_UNWANTED, **_HARMLESS}.items() if counts.get(kind)]
    if not said:
        return Finding(CHECK, model, Verdict.PASS, f"All {weighed} test images of the source were weighed.", evidence)
    first = f" (first: {_some(unwanted['name'].tolist())})" if len(unwanted) else ""
    sentence = (
        f"{weighed} test images were weighed; of the source's other files {'; '.join(said)}{first}: data/skipped.csv."
    )
    return Finding(CHECK, model, Verdict.WARN if len(unwanted) else Verdict.PASS, sentence, evidence)


def _some(names: Sequence[object]) -> str:
    rest = len(names) - SHOWN
    return ", ".join(map(str, names[:SHOWN])) + (f" and {rest} more" if rest > 0 else "")


def _classes(model: str, manifest: pd.DataFrame, left_out: pd.DataFrame) -> Iterator[Finding]:
    """Classes without test images; the accuracy is over the others."""
    empty = left_out.loc[left_out["kind"] == "class", "name"].astype(str)
    lacking = {
        split: [name[len(split) + 1 : -1] for name in empty if name.startswith(f"{split}/")]
        for split in ("test", "train")
    }
    if lacking["test"]:
        there = manifest.loc[manifest["split"] == "test", "label"].nunique()
        sentence = (
            f"The accuracy is over {there} of {there + len(lacking['test'])} classes: the others have no test image "
            f"({_some(lacking['test'])})."
        )
        evidence = {"classes_tested": there, "classes_without_test_images": lacking["test"][:KEPT]}
        yield Finding(CHECK, model, Verdict.PASS, sentence, evidence)
    one_sided = [name for split, names in lacking.items() for name in names if name not in lacking[_other(split)]]
    if (manifest["split"] == "train").any() and one_sided:
        sentence = (
            f"{len(one_sided)} of the classes have images in one of train and test only: {_some(one_sided)}. They keep their "
            "numbers; check that the folders are named alike."
        )
        yield Finding(CHECK, model, Verdict.WARN, sentence, {"classes_in_one_split": one_sided[:KEPT]})


def _other(split: str) -> str:
    return "train" if split == "test" else "test"


def _duplicates(model: str, manifest: pd.DataFrame) -> Iterator[Finding]:
    """The same bytes under two labels: one is wrong. In train and test: the test is no test."""
    alike = manifest[manifest.duplicated("sha256", keep=False)].groupby("sha256")
    groups = {
        "under two labels": [rows for _, rows in alike if rows["label"].nunique() > 1],
        "in train and test": [rows for _, rows in alike if rows["split"].nunique() > 1],
    }
    for words, found in groups.items():
        if found:
            pairs = [" = ".join(rows["name"].astype(str)) for rows in found]
            sentence = f"{len(found)} images are there {words}, byte by byte: {_some(pairs)}."
            evidence = {f"images_{words.replace(' ', '_')}": len(found), "duplicates": pairs[:KEPT]}
            yield Finding(CHECK, model, Verdict.WARN, sentence, evidence)


def _numbering(model: str, manifest: pd.DataFrame, order: str | Sequence[str]) -> Iterator[Finding]:
    """Names that are numbers, sorted as text: 10 before 2. Told; where another order would be better, `accuracy_check` warns."""
    known = manifest.drop_duplicates("label").sort_values("label")
    names = known["class"].astype(str).tolist()
    counted = len({re.sub(r"\d+", "#", name) for name in names}) == 1
    if order != "text" or not counted or names != sorted(names) or names == sorted(names, key=natural):
        return
    moved = next(name for name, other in zip(names, sorted(names, key=natural), strict=True) if name != other)
    sentence = (
        f"The classes are numbers sorted as text, as torchvision's ImageFolder sorts: '{moved}' is class "
        f"{known['label'].iloc[names.index(moved)]}. If the model counts them as numbers, set data.order to natural."
    )
    yield Finding(CHECK, model, Verdict.PASS, sentence, {"classes_as_sorted": names[:KEPT]})


def _range(model: str, manifest: pd.DataFrame) -> Iterator[Finding]:
    """16-bit images that use a part of their range only come out dark."""
    if "highest" not in manifest or not len(deep := manifest["highest"].dropna()):
        return
    highest = float(deep.max())
    if 255 < highest < DARK:
        sentence = (
            f"{len(deep)} images have more than 8 bits, and their largest value is {highest:g}: by their high byte they are "
            f"nearly black. Say the range in the recipe, for example depth: [0, {highest:g}]."
        )
        yield Finding(CHECK, model, Verdict.WARN, sentence, {"highest": highest})
