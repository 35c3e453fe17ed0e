"""Images with several labels, and numbers to be predicted: from a table to a run, its metrics, and what compares it."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError
from sklearn.metrics import average_precision_score, f1_score, hamming_loss, roc_auc_score

from stages.accuracy_check.outputs import judge_outputs, measure_outputs
from stages.backend_parity.__main__ import backend_parity
from stages.fetch import fetch
from stages.infer import infer
from stages.preprocess import _class_names, preprocess
from stages.published_check import published_check
from stages.record import _decisions
from stages.report.__main__ import report
from tests.import_graph import ROOT
from tests.stages.test_infer import Fake
from tracking.audit.audit import audit
from tracking.audit.claims import Claim as Published
from tracking.audit.compare import compare
from tracking.explain.explain import explain
from tracking.pages.text_audit import audit_text
from tracking.pages.text_compare import comparison_text
from tracking.pages.text_runs import runs_rows
from tracking.replay.replayer import Replayer
from tracking.runs.errors import UserError
from tracking.runs.findings import Verdict
from tracking.runs.label_sets import places, set_numbers
from tracking.runs.run import Run
from weighbridge.images.judging import judge_images
from weighbridge.images.manifest import Row, read_manifest, write_manifest
from weighbridge.images.samples import SampleSet
from weighbridge.networks.digests import digests
from weighbridge.networks.label_metrics import Answers, Curve, label_metrics
from weighbridge.networks.predictions import PredictionSet
from weighbridge.networks.score_differences import compare_scores
from weighbridge.networks.score_differences import finding as isolation_finding
from weighbridge.networks.score_order import arrange_scores
from weighbridge.params.backend_parity import Parity
from weighbridge.params.data import Data, Labels
from weighbridge.params.metrics import Metrics
from weighbridge.params.models import Claim
from weighbridge.params.published_check import PublishedCheck
from weighbridge.params.whole import load_params

PARAMS = load_params(ROOT / "params.yaml")
RECIPE = PARAMS.recipes["digits-32"]
MODEL = PARAMS.models["resnet18-torchvision"]
FEW = Metrics(draws=50)


def folder(tmp_path: Path, table: str, images: int = 4) -> Path:
    (tmp_path / "source").mkdir(parents=True)
    for number in range(images):
        Image.new("RGB", (32, 32), (number, 0, 0)).save(tmp_path / "source" / f"{number}.png")
    (tmp_path / "source/labels.csv").write_text(table)
    return tmp_path / "source"


def data(classes: int, task: str = "multilabel", **labels: Any) -> Data:
    return Data(source="x", classes=classes, task=task, labels=Labels(file="labels.csv", name="id", **labels))


def prepared(tmp_path: Path, table: str, asked: Data) -> SampleSet:
    """As `fetch` and `preprocess` write it, through the manifest's file."""
    manifest, _ = fetch(folder(tmp_path, table), asked, tmp_path / "images")
    write_manifest(manifest, tmp_path / "manifest.csv")
    rows = read_manifest(tmp_path / "manifest.csv")
    names, _ = preprocess(tmp_path / "images", rows, RECIPE, tmp_path / "test", classes=asked.classes)
    SampleSet.describe(tmp_path / "test", names, _class_names(rows, RECIPE, asked.classes), RECIPE)
    return SampleSet.load(tmp_path / "test")


@pytest.mark.parametrize(
    ("table", "labels"),
    [
        ("id,seen\n0.png,cat|dog\n1.png,\n2.png,dog\n3.png,cat ; owl\n", {"label": "seen"}),
        ("id,seen\n0.png,0|1\n1.png,\n2.png,1\n3.png,0;2\n", {"label": "seen"}),
        ("id,seen\n0.png,1|2\n1.png,Nothing\n2.png,2\n3.png,1|3\n", {"label": "seen", "first": 1, "none": "Nothing"}),
        (
            "id,cat,dog,owl\n0.png,1,1,0\n1.png,0,0,0\n2.png,0,1,0\n3.png,1.0,0,True\n",
            {"columns": ["cat", "dog", "owl"]},
        ),
    ],
)
def test_a_table_gives_several_labels_or_none(tmp_path: Path, table: str, labels: dict[str, Any]) -> None:
    samples = prepared(tmp_path, table, data(3, **labels))
    assert samples.task == "multilabel"
    assert samples.labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 0, 1]]
    assert samples.classes in (("cat", "dog", "owl"), ("0", "1", "2"))
    assert set_numbers(samples.sorted_by_class().labels).tolist() == [0, 2, 5, 3]


def test_a_table_of_one_label_an_image_stays_a_table_of_labels(tmp_path: Path) -> None:
    samples = prepared(tmp_path, "id,seen\n0.png,1\n1.png,0\n2.png,1\n3.png,1\n", data(2, label="seen"))
    assert samples.labels.tolist() == [[0, 1], [1, 0], [0, 1], [0, 1]]


def test_a_table_gives_numbers(tmp_path: Path) -> None:
    table = "id,age,weight\n0.png,3,70.5\n1.png,4,1e2\n2.png,5,60\n3.png,6,61\n"
    samples = prepared(tmp_path, table, data(2, "regression", columns=["age", "weight"]))
    assert (samples.task, samples.classes) == ("regression", ("age", "weight"))
    assert samples.labels.tolist() == [[3, 70.5], [4, 100], [5, 60], [6, 61]]
    samples.save(tmp_path / "again")
    assert np.array_equal(SampleSet.load(tmp_path / "again").labels, samples.labels)


@pytest.mark.parametrize(
    ("table", "asked", "words"),
    [
        ("id,a,b\n0.png,1,-1\n", data(2, columns=["a", "b"]), "column 'b': row 2 has '-1'; a label that is there is 1"),
        ("id,a\n0.png,x|2\n", data(2, label="a"), "row 2 has '2' where other rows have names"),
        ("id,a\n0.png,0|7\n", data(2, label="a"), r"row 2 has label 7, outside 0\.\.1"),
        ("id,a\n0.png,x|y\n", data(3, label="a"), "has 2 classes .x, y., data.classes in params.yaml says 3"),
        ("id,a\n0.png,old\n", data(1, "regression", label="a"), "column 'a': row 2 has 'old', which is no number"),
        ("id,a\n0.png,1\n0.png,2\n", data(1, "regression", label="a"), r"under two labels, \[1.0\] and \[2.0\]"),
    ],
)
def test_a_cell_without_a_meaning_is_named(tmp_path: Path, table: str, asked: Data, words: str) -> None:
    with pytest.raises(UserError, match=words):
        fetch(folder(tmp_path, table), asked, tmp_path / "images")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"task": "multilabel"}, "needs a table"),
        ({"labels": {"file": "a", "name": "b", "columns": ["x"]}}, "several columns go with"),
        ({"task": "regression", "labels": {"file": "a", "name": "b", "label": "x"}}, "set it to 1"),
        ({"task": "multilabel", "classes": 3, "labels": {"file": "a", "name": "b", "columns": ["x"]}}, "as many"),
        ({"labels": {"file": "a", "name": "b"}}, "name one column in label, or several"),
    ],
)
def test_params_say_what_does_not_go_together(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Data(**values)


# ---- predictions


def made_up(samples: int = 60, labels: int = 4, seed: int = 0) -> PredictionSet:
    random = np.random.default_rng(seed)
    wanted = (random.random((samples, labels)) < 0.4).astype(np.int64)
    scores = (wanted + random.normal(0, 0.9, wanted.shape) - 0.5).astype(np.float32)
    return PredictionSet(tuple(map(str, range(samples))), wanted, scores, {})


def test_metrics_of_labels_are_those_of_scikit_learn_with_intervals_around_them() -> None:
    predicted = made_up()
    assert predicted.scores is not None
    found = label_metrics(predicted, FEW, ["Edema", "Pleural Thickening", "", "x"])
    wanted, said = predicted.labels, predicted.scores > 0
    assert found["auroc.Edema"] == pytest.approx(roc_auc_score(wanted[:, 0], predicted.scores[:, 0]))
    assert found["auroc"] == pytest.approx(roc_auc_score(wanted, predicted.scores, average="macro"))
    assert found["average_precision"] == pytest.approx(average_precision_score(wanted, predicted.scores))
    assert found["macro_f1"] == pytest.approx(f1_score(wanted, said, average="macro"))
    assert found["micro_f1"] == pytest.approx(f1_score(wanted, said, average="micro"))
    assert found["hamming_loss"] == pytest.approx(hamming_loss(wanted, said))
    assert found["exact_match"] == pytest.approx((wanted == said).all(axis=1).mean())
    assert "average_precision.Pleural_Thickening" in found
    assert "auroc.2" in found
    for name, value in found.items():
        if f"{name}_low" in found:
            assert found[f"{name}_low"] < value < found[f"{name}_high"], name


def test_the_weighted_average_precision_is_that_of_the_images_written_out() -> None:
    predicted = made_up(40)
    assert predicted.scores is not None
    tied = PredictionSet(predicted.names, predicted.labels, predicted.scores.round(), {})
    weights = np.random.default_rng(1).integers(0, 4, 40)
    rows = np.repeat(np.arange(40), weights)
    assert tied.scores is not None
    own = average_precision_score(tied.labels[rows, 1], tied.scores[rows, 1])
    assert Curve.of(Answers.of(tied), 1).average_precision(weights) == pytest.approx(own)


def test_probabilities_of_labels_are_told_from_logits_and_decide_the_same() -> None:
    logits = made_up()
    assert logits.scores is not None
    likely = PredictionSet(logits.names, logits.labels, (1 / (1 + np.exp(-logits.scores))).astype(np.float32), {})
    assert (logits.kind, likely.kind) == ("logits", "probabilities")
    assert np.array_equal(logits.top1, likely.top1)
    pair = Parity(reference="a", candidate="b")
    scores, decisions = backend_parity(pair, logits, likely)
    assert scores.evidence["compared"] == "probabilities"
    assert scores.evidence["max_score_difference"] < 1e-6
    assert decisions.evidence["flips"] == 0
    assert "sets of labels" in decisions.sentence


def test_an_image_without_an_answer_is_wrong_in_every_label_and_named() -> None:
    labels = np.array([[1, 0], [0, 1], [1, 1]])
    scores = np.array([[2, -np.inf], [np.nan, 3], [1, 1]], np.float32)
    predicted = PredictionSet(("a", "b", "c"), labels, scores, {})
    assert predicted.answered.tolist() == [True, False, True]
    assert predicted.top1.tolist() == [1, -1, 3]
    found = measure_outputs(predicted, FEW, ["x", "y"])
    assert found["exact_match"] == pytest.approx(2 / 3)
    assert found["hamming_loss"] == pytest.approx(1 / 3)
    sentences = [finding.sentence for finding in judge_outputs("m", predicted, ["x", "y"], found, None)]
    assert any("1 of 3 images got no answer" in sentence and "count as wrong: b" in sentence for sentence in sentences)


def test_a_label_that_no_image_has_is_named_and_left_out_of_the_means() -> None:
    predicted = made_up()
    none = PredictionSet(predicted.names, predicted.labels * [1, 1, 1, 0], predicted.scores, {})
    found = measure_outputs(none, FEW, ["a", "b", "c", "never"])
    assert "auroc.never" not in found
    assert found["auroc"] == pytest.approx(np.mean([found[f"auroc.{name}"] for name in "abc"]))
    sentences = [each.sentence for each in judge_outputs("m", none, ["a", "b", "c", "never"], found, None)]
    assert any("1 of 4 labels are on no test image" in sentence and "never" in sentence for sentence in sentences)


def test_sets_of_many_labels_are_told_apart() -> None:
    every = np.eye(40, dtype=np.int64)
    assert len(set(set_numbers(every).tolist())) == 40
    assert set_numbers(every).min() >= 0
    assert places(int(set_numbers(np.array([[1, 0, 1]]))[0])) == [0, 2]


@pytest.mark.parametrize(("claimed", "verdict"), [(0.0, Verdict.WARN), (0.99, Verdict.FAIL)])
def test_a_claim_may_be_about_one_label(claimed: float, verdict: Verdict) -> None:
    predicted = made_up()
    found = measure_outputs(predicted, FEW, ["Edema", "b", "c", "d"])
    claim = Claim(metric="auroc.Edema", value=claimed, source="a paper", images="sample")
    judged = next(judge_outputs("m", predicted, ["Edema", "b", "c", "d"], found, claim))
    assert (judged.verdict, judged.evidence["auroc.Edema_claimed"]) == (verdict, claimed)


def numbers(outputs: int = 1, off: float = 0.5) -> PredictionSet:
    random = np.random.default_rng(0)
    wanted = random.normal(50, 10, (80, outputs))
    said = (wanted + random.normal(0, off, wanted.shape)).astype(np.float32)
    return PredictionSet(tuple(map(str, range(80))), wanted, said, {})


@pytest.mark.parametrize("outputs", [1, 3])
def test_metrics_of_numbers_have_intervals_around_them(outputs: int) -> None:
    predicted = numbers(outputs)
    assert predicted.scores is not None
    found = measure_outputs(predicted, FEW, ["age", "b", "c"])
    away = predicted.scores - predicted.labels
    assert found["mae"] == pytest.approx(np.abs(away).mean())
    assert found["rmse"] == pytest.approx(np.sqrt((away**2).mean(axis=0)).mean())
    assert found["pearson"] > found["r2"] > 0.98
    assert ("mae.age" in found) is (outputs > 1)
    for name in ("mae", "rmse", "r2", "pearson"):
        assert found[f"{name}_low"] < found[name] < found[f"{name}_high"]


def test_an_error_above_the_claimed_one_fails_and_one_below_does_not() -> None:
    predicted = numbers()
    found = measure_outputs(predicted, FEW, ["age"])
    verdicts = []
    for value in (0.01, 9.0):
        claim = Claim(metric="mae", value=value, source="a paper", images="sample")
        verdicts.append(next(judge_outputs("m", predicted, ["age"], found, claim)).verdict)
    assert verdicts == [Verdict.FAIL, Verdict.WARN]


def test_numbers_without_an_answer_are_left_out_and_named() -> None:
    predicted = numbers()
    assert predicted.scores is not None
    predicted.scores[3] = np.nan
    found = measure_outputs(predicted, FEW, ["age"])
    assert (found["samples"], found["answered"]) == (80, 79)
    sentences = [finding.sentence for finding in judge_outputs("m", predicted, ["age"], found, None)]
    assert any("left out of every metric: 3" in sentence for sentence in sentences)


# ---- from the model to the run


def inferred(samples: SampleSet, columns: int, **changes: Any) -> PredictionSet:
    classifier = Fake(columns, **changes)
    arrange_scores(classifier, MODEL, len(samples.classes), samples)
    return infer(classifier, samples, MODEL)


def test_a_model_with_another_number_of_outputs_is_refused(tmp_path: Path) -> None:
    samples = prepared(tmp_path, "id,a,b\n0.png,1,0\n", data(2, columns=["a", "b"]))
    with pytest.raises(UserError, match="gives 1 scores an image, the data have 2 labels"):
        inferred(samples, 1)


def test_labels_are_found_by_name_among_those_of_a_model_that_knows_more(tmp_path: Path) -> None:
    samples = prepared(tmp_path, "id,a,b\n0.png,1,1\n", data(2, columns=["a", "b"]))
    predicted = inferred(samples, 3, categories=("b", "c", "a"))
    assert (predicted.classes, predicted.process["scores.outside"]) == (2, 1)
    rare = prepared(tmp_path / "rare", "id,a,b\n0.png,1,0\n", data(2, columns=["a", "b"]))
    with pytest.raises(UserError, match="no score is known to be label 1 of the data, which no image has"):
        inferred(rare, 3, categories=("b", "c", "a"))


def test_predictions_come_back_from_their_files(tmp_path: Path) -> None:
    for name, predicted in {"labels": made_up(), "numbers": numbers(2)}.items():
        predicted.save(tmp_path / name)
        again = PredictionSet.load(tmp_path / name)
        assert (again.task, digests(again)) == (predicted.task, digests(predicted))
        assert np.array_equal(again.labels, predicted.labels)


def a_run(predicted: PredictionSet, subject: str = "m") -> Run:
    names = ["a", "b", "c", "d"]
    measured = measure_outputs(predicted, FEW, names)
    found = tuple(judge_outputs(subject, predicted, names, measured, None))
    params = {"data.task": predicted.task, "model.framework": "made-up"}
    return Run(
        subject, "infer", params, {}, {}, {}, {**measured, **digests(predicted)}, found, {}, _decisions(predicted)
    )


def test_two_runs_of_labels_are_audited_and_compared_set_by_set(tmp_path: Path) -> None:
    before, after = a_run(made_up()), a_run(changed(made_up()), "n")
    text = audit_text(audit(before, after))
    assert "sets of labels" in text
    assert "1 of 60 differ" in text
    assert "exact match" in text
    found = compare(before, after)
    assert len(found.flipped) == 1
    sets = "".join(map(str, found.flips()[0][1:]))
    assert set(sets) <= set("0123|none")
    assert "sets that differ" in comparison_text(found, None, 5)
    assert "Models" in report([before, after], [], {})
    before.save(tmp_path / "run.json")
    row = runs_rows([(tmp_path / "run.json", Run.load(tmp_path / "run.json"))], tmp_path)[0]
    assert (row["top1"], row["metric"]) == (None, f"exact_match {before.results['exact_match']:.4g}")


def changed(predicted: PredictionSet) -> PredictionSet:
    assert predicted.scores is not None
    predicted.scores[0, 0] *= -1
    return PredictionSet(predicted.names, predicted.labels, predicted.scores, {})


def test_two_runs_of_numbers_are_audited_by_bits_and_metrics(tmp_path: Path) -> None:
    before, after = a_run(numbers()), a_run(numbers(off=0.6), "n")
    text = audit_text(audit(before, after))
    assert "differ" in text
    assert "mae" in text
    assert "top-1" not in text
    with pytest.raises(UserError, match="predicts numbers"):
        compare(before, after)
    with pytest.raises(UserError, match="m and n predict numbers"):
        explain(before, after, Replayer(tmp_path))
    claimed = replace(after, params={**after.params, "model.claim.metric": "mae", "model.claim.value": 0.05})
    page = report([before, claimed], [], {})
    assert "MAE" in page
    assert "mae 0.05" in page
    before.save(tmp_path / "run.json")
    assert Run.load(tmp_path / "run.json").id == before.id
    assert [len(list(backend_parity(Parity(reference="a", candidate="b"), numbers(), numbers())))] == [1]


def test_what_is_asked_of_all_runs_is_said_of_labels_and_numbers_too() -> None:
    runs = {"a": a_run(made_up(), "a"), "b": a_run(changed(made_up()), "b"), "c": a_run(numbers(), "c")}
    runs["a"].params["model.checkpoint"] = published = "keras/Net/v1"  # type: ignore[index]
    claims = [Published(published, "keras", "net", "v1", Decimal(70), None, "", "a paper", "2019")]
    pairs = {"sets": {"reference": "a", "candidate": "b"}, "numbers": {"reference": "a", "candidate": "c"}}
    statements = {
        "one": {"says": "c is worse", "pairs": ["numbers"], "better": "reference"},
        "two": {"says": "all fall short", "runs": ["a", "c"]},
    }
    asked = PublishedCheck.model_validate({"table": "a paper", "pairs": pairs, "statements": statements})
    found = {finding.subject: finding for finding in published_check(asked, runs, claims)}
    assert {finding.verdict for finding in found.values()} == {Verdict.SKIP}
    assert list(found) == ["table", "without top-1", "sets", "numbers", "one", "two"]
    assert "1 flips" in found["sets"].sentence
    assert "c hold no decisions" in found["numbers"].sentence
    assert compare(runs["a"], runs["b"], claims).published == ((), ())


def test_of_numbers_no_decision_flips_and_an_error_below_the_claimed_one_is_better() -> None:
    wanted = np.ones((3, 2), np.float32)
    difference = compare_scores(("a", "b", "c"), wanted, wanted + np.float32(1e-6), "regression", "values")
    said = isolation_finding("m", "batch", difference, 1e-3, None)
    assert "One image at a time, numbers differ by at most" in said.sentence
    assert "batch_flips" not in said.evidence
    predicted = numbers()
    claim = Claim(metric="mae", value=9.0, source="a paper", images="sample")
    judged = next(judge_outputs("m", predicted, ["age"], measure_outputs(predicted, FEW, ["age"]), claim))
    assert judged.evidence["claim"] == "exceeds"


def test_the_manifest_of_labels_is_judged_without_a_complaint_about_its_order() -> None:
    said = [("a", "[10]", '["10"]', "x"), ("b", "[2]", '["2"]', "y")]
    rows = [Row(name, "test", label, words, sha256, {"format": "png"}) for name, label, words, sha256 in said]
    assert [finding.verdict for finding in judge_images("m", rows, [])] == [Verdict.PASS]
