"""Two runs image by image: counts, intervals, flips, and what is refused."""

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tracking.audit.test_audit import LABELS, NAMES, weighed, wrong
from tests.weighbridge.cli.printed import printed
from tracking.audit.audit import audit
from tracking.audit.claims import load_claims
from tracking.audit.compare import compare
from tracking.audit.statistics import paired_bootstrap, paired_difference
from tracking.lookup.said import Said
from tracking.pages.html_compare import compare_page
from tracking.pages.text_audit import audit_text
from tracking.pages.text_compare import comparison_text, p_text
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from weighbridge.cli.main import main

CHECKPOINT = "torchvision/ResNet50/IMAGENET1K_V1"


def a_run(subject: str, top1: np.ndarray, labels: np.ndarray = LABELS, names: tuple[str, ...] = NAMES) -> Run:
    run = weighed(top1=top1, labels=labels, names=names, params={"model.checkpoint": CHECKPOINT})
    return replace(run, subject=subject)


FIRST, SECOND = a_run("first", wrong(40)), a_run("second", wrong(10))


def counts_2019(only_first: int, only_second: int, right: int, flips: int) -> tuple[Run, Run]:
    """Two runs on 50,000 images with these counts; flips between two wrong classes fill up."""
    labels = np.zeros(50_000, int)
    first, second = np.ones(50_000, int), np.ones(50_000, int)
    first[: right + only_first] = 0
    second[:right] = 0
    second[right + only_first : right + only_first + only_second] = 0
    rest = right + only_first + only_second
    second[rest : rest + flips - only_first - only_second] = 2
    names = tuple(str(row) for row in range(50_000))
    return a_run("keras", first, labels, names), a_run("pytorch", second, labels, names)


def test_both_accuracies_and_who_alone_is_right_are_counted() -> None:
    found = compare(FIRST, SECOND)
    right = [int((run == LABELS).sum()) for run in (wrong(40), wrong(10))]
    assert [each.right for each in found.accuracies] == right
    assert found.only_second - found.only_first == right[1] - right[0]
    assert len(found.flipped) == int((wrong(40) != wrong(10)).sum())


def test_the_published_pair_comes_back() -> None:
    found = compare(*counts_2019(2458, 4814, 32717, 12060))
    text = comparison_text(found, None, 0)
    assert [f"{100 * each.top1:.2f}" for each in found.accuracies] == ["70.35", "75.06"]
    for words in ("+4.71 points", "[+4.38, +5.04]", "4,814", "2,458", "p = 6.7e-171", "12,060 of 50,000"):
        assert words in text


@pytest.mark.parametrize(
    ("b", "c", "low", "high"),
    [(2458, 4814, 4.38, 5.04), (5155, 1769, -7.09, -6.45), (1618, 2609, 1.73, 2.24), (2780, 5492, 5.07, 5.78)],
)
def test_drawing_images_again_gives_the_published_intervals(b: int, c: int, low: float, high: float) -> None:
    assert [round(100 * end, 2) for end in paired_bootstrap(b, c, 50_000)] == [low, high]


def test_drawing_counts_is_drawing_images() -> None:
    generator = np.random.default_rng(1)
    changes = np.r_[np.full(30, -1), np.full(12, 1), np.zeros(258)]
    drawn = changes[generator.integers(0, 300, (20_000, 300))].mean(axis=1)
    assert paired_bootstrap(30, 12, 300) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), abs=0.004)
    assert paired_bootstrap(30, 12, 300) == pytest.approx(paired_difference(30, 12, 300), abs=0.005)


def test_runs_that_decide_alike_have_no_interval_and_no_flip() -> None:
    found = compare(FIRST, FIRST)
    assert (found.bootstrap, found.p_value, len(found.flipped)) == ((0.0, 0.0), 1.0, 0)
    assert "equally many of the same 540 images" in comparison_text(found, None, 5)


def test_what_is_too_small_for_a_number_says_so() -> None:
    assert (p_text(0.0), p_text(6.66e-171)) == ("< 1e-300", "= 6.7e-171")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (a_run("other", wrong(10), names=tuple(reversed(NAMES))), "first .* and other .*: their images differ"),
        (a_run("other", wrong(10), labels=(LABELS + 1) % 10), "their labels differ"),
        (replace(SECOND, decisions={}), "second .*: holds no decisions"),
    ],
)
def test_runs_on_other_images_are_refused(other: Run, words: str) -> None:
    with pytest.raises(UserError, match=words):
        compare(FIRST, other)


def test_both_are_held_against_what_is_published() -> None:
    text = comparison_text(compare(FIRST, SECOND, load_claims()), None, 0)
    assert f"published for A, {CHECKPOINT}" in text
    assert "76.13 %   exceeds              2026-11  torchvision" in text


def test_a_page_shows_who_is_right_where_and_the_classes_most_apart_first() -> None:
    found = compare(*counts_2019(2458, 4814, 32717, 12060))
    page = re.sub(r"\s+", " ", compare_page(found))
    for words, counts in (("A right", ("32,717", "2,458")), ("A wrong", ("4,814", "10,011"))):
        assert f'<th scope="row">{words}</th><td>{counts[0]}</td><td>{counts[1]}</td>' in page
    assert "12,060 samples, the first 1000 of them" in page
    classes = page.partition("one is right more often")[2].partition("</table>")[0]
    assert re.findall(r"<td[^>]*>([^<]+)</td>", classes) == ["0", "50000", "35175", "37531", "+2356"]


def test_what_models_say_is_shown_and_not_run() -> None:
    said = Said(1, (("1", "<script>alert(1)</script>", "x" * 3000),))
    page = compare_page(compare(FIRST, SECOND), NAMES, said)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert f"{'x' * 2000} ..." in page
    assert "x" * 2001 not in page


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for run in (FIRST, SECOND):
        run.save(tmp_path / f"runs/{run.subject}.json")
    (tmp_path / "predictions/first").mkdir(parents=True)
    (tmp_path / "predictions/first/names.json").write_text(json.dumps(NAMES))
    return tmp_path


def test_the_command_prints_json_with_flips_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "first", "second", "--folder", str(folder), "--json", "--flips", "2"]) == 0
    found = printed("compare", capsys.readouterr().out)
    assert len(found["flipped"]) == 2
    assert found["flipped"][0][0] in NAMES
    assert found["runs"][0]["published"]


def test_flips_go_to_a_file_all_of_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "flips.csv"
    assert main(["compare", "first", "second", "--folder", str(folder), "--flips", str(file)]) == 0
    rows = list(csv.reader(file.open()))
    assert rows[0] == ["sample", "label", "first", "second"]
    assert len(rows) - 1 == len(compare(FIRST, SECOND).flipped)


def test_names_of_other_samples_are_not_used(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "predictions/first/names.json").write_text(json.dumps(NAMES[:-1]))
    main(["compare", "first", "second", "--folder", str(folder), "--json"])
    assert isinstance(printed("compare", capsys.readouterr().out)["flipped"][0][0], int)


def test_neither_a_number_nor_a_table_is_a_mistake(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["compare", "first", "second", "--flips", "all"])
    assert ended.value.code == 2
    assert "neither a number nor a file that ends in .csv" in capsys.readouterr().err


def test_other_metrics_stand_beside_one_another_with_their_intervals() -> None:
    first, second = (
        replace(run, results={**run.results, "auroc": value, "auroc_low": value - 0.1, "auroc_high": 0.99, "nll": 2.0})
        for run, value in ((FIRST, 0.7), (SECOND, 0.8))
    )
    found = compare(first, second)
    assert [(name, old[0], new[0]) for name, old, new in found.metrics if name == "auroc"] == [("auroc", 0.7, 0.8)]
    assert "nll" not in [name for name, *_ in found.metrics]
    assert found.to_dict()["metrics"]["auroc"] == [[0.7, pytest.approx(0.6), 0.99], [0.8, pytest.approx(0.7), 0.99]]
    assert "0.7000 [0.6000, 0.9900]  0.8000 [0.7000, 0.9900]" in comparison_text(found, None, 0)


def test_runs_of_two_test_sets_are_not_paired_by_names_that_both_have() -> None:
    first = replace(FIRST, subject="net+photos", inputs={"images": "a.dir"})
    second = replace(SECOND, subject="net+sketches", inputs={"images": "b.dir"})
    with pytest.raises(UserError, match="are of different test sets, photos and sketches"):
        compare(first, second)
    found = audit(first, second)
    assert found.grades.flips is None
    assert "(of other images: test set photos before, sketches after" in audit_text(found)
    assert compare(first, replace(second, inputs={"images": "a.dir"})).flipped.size  # one set under two names
