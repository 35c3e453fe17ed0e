"""What all runs together say of published numbers: each sentence is shown with its opposite."""

from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from stages.published_check import published_check
from stages.record_import import record_import
from tracking.audit.audit import audit
from tracking.audit.claims import Claim
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding
from tracking.runs.run import Run
from weighbridge.networks.accuracy import measure
from weighbridge.networks.claimed import held_against_published
from weighbridge.networks.predictions import PredictionSet, TopClasses
from weighbridge.params.imports import Import
from weighbridge.params.published_check import PublishedCheck

SAMPLES = 2000
LABELS = np.arange(SAMPLES) % 10
TABLE = "the table"


def predictions(right: int, labels: np.ndarray = LABELS) -> PredictionSet:
    """The first `right` images right; the label is among the best five of all but the last hundred."""
    classes = (labels[:, None] + np.arange(1, 6)) % 10
    classes[:-100, 4] = labels[:-100]
    classes[:right] = (labels[:right, None] + np.arange(5)) % 10
    names = tuple(str(row) for row in range(SAMPLES))
    return PredictionSet(names, labels, None, {}, TopClasses(classes.astype(np.int32), None))


def asked(publisher: str, preprocessing: str = "as published", **changes: Any) -> Import:
    content: dict[str, Any] = {
        "framework": publisher, "backend": None, "architecture": "Net", "checkpoint": f"{publisher}/Net/v1", "claim": None,
        "predictions": "p.npy", "scores": "s.npy", "labels": "l.npy", "columns": None, "classes": 10,
        "declared": {f"package.{publisher}": "1.0"}, "preprocessing": {"resize": preprocessing},
    }  # fmt: skip
    return Import.model_validate({**content, **changes})


CODE = {"code/stages/import_predictions.py": "c" * 64}


def a_run(
    key: str, publisher: str, right: int, preprocessing: str = "as published", labels: np.ndarray = LABELS
) -> Run:
    deps = [{"path": path, "md5": path * 8} for path in ("p.npy", "s.npy", "l.npy")]
    lock = {"stages": {f"import_predictions@{key}": {"cmd": "python -m stages.import_predictions", "deps": deps}}}
    found = predictions(right, labels)
    return record_import(key, asked(publisher, preprocessing), found, measure(found), [], lock, CODE)


def claim(publisher: str, top1: str, source: str = "its publisher", top5: str | None = None) -> Claim:
    five = Decimal(top5) if top5 else None
    return Claim(f"{publisher}/Net/v1", publisher, "net", "v1", Decimal(top1), five, "as published", source, "2019")


def check(runs: dict[str, Run], claims: list[Claim], **changes: Any) -> dict[str, Finding]:
    asked_for: dict[str, Any] = {"table": None, "known": {}, "pairs": {}, "statements": {}, **changes}
    found = published_check(PublishedCheck.model_validate(asked_for), runs, claims)
    return {finding.subject: finding for finding in found}


PAIR = {"pairs": {"net": {"reference": "a", "candidate": "b"}}}
BETTER = {"says": "Nets are better in b", "pairs": ["net"], "better": "candidate", "runs": []}


def two(first: int = 1400, second: int = 1500, preprocessing: str = "squashed") -> dict[str, Run]:
    return {"a": a_run("a", "keras", first, preprocessing), "b": a_run("b", "torchvision", second)}


def test_nothing_asked_is_nothing_found() -> None:
    assert check(two(), [claim("keras", "70")]) == {}


def test_a_run_of_imported_predictions_holds_what_was_declared_and_no_more() -> None:
    run = two()["a"]
    assert run.environment == {"package.keras": "1.0", "environment.origin": "declared"}
    assert (run.inputs["predictions"], run.inputs["code/stages/import_predictions.py"]) == ("p.npy" * 8, "c" * 64)
    assert (run.results["top1"], run.results["samples"]) == (0.7, SAMPLES)
    assert "scores.sha256" not in run.results  # none were given
    assert run.params["recipe.resize"] == "squashed"


def test_an_audit_blames_nothing_that_authors_did_not_declare() -> None:
    found = audit(two()["a"], two()["b"])
    assert "package.torchvision" in found.unrecorded["before"]
    assert "param.recipe.resize" in [suspect.name for suspect in found.suspects]


def test_a_table_comes_back_cell_by_cell() -> None:
    cells = [claim("keras", "70.00", TABLE, "95.00"), claim("torchvision", "75.00", f"{TABLE}, 2019", "95.00")]
    found = check(two(), cells, table=TABLE)["table"]
    assert (found.verdict, found.evidence["come_back"]) == ("pass", 4)


@pytest.mark.parametrize(("known", "verdict"), [({}, "fail"), ({"b": "its files were replaced"}, "warn")])
def test_a_number_that_does_not_come_back_is_named_with_the_reason_if_known(known: dict, verdict: str) -> None:
    cells = [claim("keras", "70.00", TABLE), claim("torchvision", "75.01", TABLE)]
    found = check(two(), cells, table=TABLE, known=known)["table"]
    assert (found.verdict, found.evidence["come_back"], found.evidence["numbers"]) == (verdict, 1, 2)
    assert f"b does not: {known.get('b', 'nobody has said why')}" in found.sentence


@pytest.mark.parametrize(
    ("published", "verdict", "words"),
    [
        (("70", "75"), "pass", "+5.00, which agrees"),
        (("74", "75"), "warn", "+1.00. They were prepared differently, which could have made the rest"),
        (("76", "75"), "warn", "-1.00, the other way round. They were prepared differently"),
    ],
)
def test_a_pair_stands_beside_its_published_difference(published: tuple, verdict: str, words: str) -> None:
    claims = [claim("keras", published[0]), claim("torchvision", published[1])]
    found = check(two(), claims, **PAIR)["net"]
    assert "+5.00 points [" in found.sentence
    assert words in found.sentence
    assert (found.verdict, found.evidence["flips"]) == (verdict, 100)


def test_runs_prepared_alike_have_no_such_excuse() -> None:
    claims = [claim("keras", "74"), claim("torchvision", "75")]
    assert "prepared" not in check(two(preprocessing="as published"), claims, **PAIR)["net"].sentence


def test_a_pair_on_different_images_is_refused() -> None:
    runs = {**two(), "b": a_run("b", "torchvision", 1500, labels=(LABELS + 1) % 10)}
    with pytest.raises(UserError, match="their labels differ"):
        check(runs, [], **PAIR)


@pytest.mark.parametrize(
    ("second", "published", "verdict"), [(1500, "75", "pass"), (1300, "75", "warn"), (1500, "60", "fail")]
)
def test_of_a_statement_remains_what_the_published_numbers_bear_out(second: int, published: str, verdict: str) -> None:
    claims = [claim("keras", "70"), claim("torchvision", published)]
    found = check(two(second=second), claims, **PAIR, statements={"better": BETTER})["better"]
    assert found.verdict == verdict
    assert "“Nets are better in b”" in found.sentence


def test_a_statement_about_runs_of_which_nothing_is_published_is_neither_borne_out_nor_refuted() -> None:
    short = {"says": "It cannot be reproduced", "pairs": [], "better": None, "runs": ["a", "b"]}
    for claims in ([], [claim("keras", "80", "somebody else's table")]):
        asked_for = {"better": BETTER, "short": short} if not claims else {"better": BETTER}
        found = check(two(), claims, **PAIR, statements=asked_for)
        for key in asked_for:
            assert (found[key].verdict, "no number by its publisher is known" in found[key].sentence) == ("skip", True)


def test_one_pair_of_which_nothing_is_published_keeps_a_statement_from_being_refuted() -> None:
    runs = {**two(second=1300), "c": a_run("c", "timm", 1350)}
    pairs = {**PAIR["pairs"], "other": {"reference": "a", "candidate": "c"}}
    claims = [claim("keras", "70"), claim("torchvision", "60")]
    statement = {**BETTER, "pairs": ["net", "other"]}
    found = check(runs, claims, pairs=pairs, statements={"better": statement})["better"]
    assert (found.verdict, "other unknown" in found.sentence) == ("warn", True)


@pytest.mark.parametrize(
    ("published", "preprocessing", "verdict", "words"),
    [
        ("80", "as published", "pass", "1 of 1 runs fall short of every number by their publisher, by 10.00 to 10.00"),
        ("80", "squashed", "warn", "But they were prepared differently (resize: squashed)"),
        ("70", "squashed", "fail", "0 of 1 runs fall short"),
    ],
)
def test_falling_short_counts_against_a_number_only_where_preprocessing_was_the_same(
    published: str, preprocessing: str, verdict: str, words: str
) -> None:
    statement = {"says": "It cannot be reproduced", "pairs": [], "better": None, "runs": ["a"]}
    own = replace(claim("keras", published), preprocessing="resize: as published")
    found = check(two(preprocessing=preprocessing), [own], statements={"short": statement})["short"]
    assert (found.verdict, words in found.sentence) == (verdict, True)


@pytest.mark.parametrize(
    ("published", "verdict", "words"),
    [
        (["70", "70.5"], "skip", "does not contradict 2, falls short of 0 and exceeds 0"),
        (["70", "80", "60"], "skip", "does not contradict 1, falls short of 1 and exceeds 1"),
        (["80", "90"], "fail", "does not contradict 0, falls short of 2 and exceeds 0"),
    ],
)
def test_a_run_is_held_against_all_that_is_published(published: list, verdict: str, words: str) -> None:
    claims = [claim("keras", number) for number in published]
    (found,) = held_against_published("a", "keras/Net/v1", measure(predictions(1400)), claims)
    assert (found.verdict, words in found.sentence) == (verdict, True)
    assert len(found.evidence["published"]) == len(published)


@pytest.mark.parametrize(
    ("published", "verdict", "words"),
    [
        (["70.0", "70.5"], "pass", "comes back to 1 on the same images, comes close to 0, falls short of 1"),
        (["70.05", "80"], "warn", "comes back to 0 on the same images, comes close to 1, falls short of 1"),
        (["80", "90"], "fail", "falls short of 2"),
    ],
)
def test_on_the_claims_own_images_a_number_comes_back_or_does_not(published: list, verdict: str, words: str) -> None:
    claims = [replace(claim("keras", number), samples=SAMPLES) for number in published]
    (found,) = held_against_published("a", "keras/Net/v1", measure(predictions(1400), classes=10), claims)
    assert (found.verdict, words in found.sentence) == (verdict, True)


def test_an_unknown_checkpoint_is_said_to_be_unknown_and_none_is_no_finding() -> None:
    measured = measure(predictions(1400))
    (found,) = held_against_published("a", "me/Net/v1", measured, [])
    assert found.verdict == "skip"
    assert list(held_against_published("a", None, measured, [])) == []


def test_a_lock_without_the_import_says_what_is_missing() -> None:
    found = predictions(1400)
    with pytest.raises(UserError, match="knows no stage 'import_predictions@a'"):
        record_import("a", asked("keras"), found, measure(found), [], {"stages": {}}, CODE)
