"""Explaining pairs of runs of a real network whose causes were planted; certificates of them, in every form."""

from collections.abc import Iterator
from math import log2
from pathlib import Path

import pytest

pytest.importorskip("torch")

import torch

from tests.tracking.planted import BASE, CAUSES, HARMLESS, InProcess, Pair, pairs
from tracking.audit import audit
from tracking.certificate import certificate, consistent, decisive, load, parse, save, text_of, verify
from tracking.errors import UserError
from tracking.explain import Explanation, Limits, explain, located
from tracking.factors import ends_of
from tracking.logged import as_run, certificate_in
from tracking.pages_explain import certificate_page
from tracking.sources import find_run
from tracking.text_explain import certificate_text
from tracking.trackers import connect

SEEDS = range(6)  # of pairs that differ in 2 to 7 conditions; all of 0..131 were run once: see DECISIONS.md


@pytest.fixture(scope="module")
def replayer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield InProcess(tmp_path_factory.mktemp("images"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def explained(replayer: InProcess) -> list[tuple[Pair, Explanation]]:
    return [(pair, explain(pair.before, pair.after, replayer)) for pair in pairs(replayer, SEEDS)]


def test_planted_causes_are_found_exactly_and_both_ways(explained: list[tuple[Pair, Explanation]]) -> None:
    for pair, found in explained:
        assert len(found.ends.factors) == pair.factors
        assert (found.found.verdict, frozenset(found.found.minimal)) == ("proven", pair.causes)


def test_runs_stay_under_the_bound_on_average(explained: list[tuple[Pair, Explanation]]) -> None:
    allowed = [2 * len(pair.causes) * (log2(pair.factors) + 2) + 4 for pair, _ in explained]
    assert sum(found.found.runs for _, found in explained) < sum(allowed)


def test_shares_sum_to_the_recorded_difference(explained: list[tuple[Pair, Explanation]]) -> None:
    for _, found in explained:
        checks = {check.what: check.good for check in consistent(certificate(found))}
        assert checks == {"conditions": True, "both directions": True, "shares": True}


def test_repeats_are_the_same_and_nothing_is_blamed(replayer: InProcess) -> None:
    harmless = {name: value for change in HARMLESS.values() for name, value in change.items()}
    found = explain(replayer.run(BASE), replayer.run({**BASE, **harmless}), replayer)
    assert (found.found.verdict, found.found.minimal, found.found.runs) == ("same", (), 4)


# ---- certificates


@pytest.fixture(scope="module")
def two_causes(replayer: InProcess) -> dict:
    change = {**CAUSES["param.recipe.channels"], **CAUSES["param.model.batch_size"], **HARMLESS["param.recipe.exif"]}
    return certificate(explain(replayer.run(BASE), replayer.run({**BASE, **change}), replayer))


def test_a_certificate_comes_back_from_its_file_and_verifies(
    two_causes: dict, replayer: InProcess, tmp_path: Path
) -> None:
    save(two_causes, tmp_path / "certificate.json")
    found = load(tmp_path / "certificate.json")
    assert found == two_causes
    numbers = [each["number"] for each in found["hybrids"]]
    checks = verify(found, numbers, replayer, lambda _: None)
    assert [check.good for check in checks] == [True] * (len(numbers) + 4)
    assert len(decisive(found)) == 4


def test_no_byte_of_a_certificate_can_be_changed(two_causes: dict, tmp_path: Path) -> None:
    path = tmp_path / "certificate.json"
    save(two_causes, path)
    content = path.read_bytes()
    for place in range(0, len(content), 97):
        path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        with pytest.raises(UserError, match=r"certificate\.json: (was changed|not a certificate)"):
            load(path)


def test_a_certificate_sealed_anew_over_another_result_is_found_out_by_running(
    two_causes: dict, replayer: InProcess
) -> None:
    edited = {**two_causes, "hybrids": [dict(each) for each in two_causes["hybrids"]]}
    edited["hybrids"][0]["outcomes"] = [
        {**edited["hybrids"][0]["outcomes"][0], "scores": "0" * 64, "decisions": "0" * 64}
    ]
    assert not all(check.good for check in verify(edited, [0], replayer, lambda _: None))


def test_words_and_page_say_the_same(two_causes: dict) -> None:
    text, page = certificate_text(two_causes), certificate_page(two_causes)
    for words in ("proven", "param.recipe.channels", "param.model.batch_size", "RGB -&gt; BGR"):
        assert words in page
        assert words.replace("&gt;", ">") in text
    assert "differ too, and do not matter here\n  param.recipe.exif" in text
    assert page.count("<svg") == 2
    assert "src=" not in page
    assert "<script" not in page


def test_of_several_causes_each_is_shown_where_it_first_parts(replayer: InProcess) -> None:
    change = {**CAUSES["param.recipe.channels"], **CAUSES["input.weights"]}
    found = certificate(located(explain(replayer.run(BASE), replayer.run({**BASE, **change}), replayer), replayer))
    parted = {name: {stage: where["at"] for stage, where in each.items()} for name, each in found["places"].items()}
    assert parted == {
        "A + param.recipe.channels": {"preprocess": "arithmetic", "infer": None},
        "A + input.weights": {"preprocess": None, "infer": "scores"},
    }
    assert "A + param.recipe.channels: preprocess  at arithmetic (crop is the same)" in certificate_text(found)
    assert "at arithmetic (crop is the same)" in certificate_page(found)


def test_too_few_runs_prove_nothing(replayer: InProcess) -> None:
    change = {**CAUSES["param.recipe.channels"], **HARMLESS["param.recipe.exif"], **HARMLESS["param.recipe.cmyk"]}
    fresh = InProcess.__new__(InProcess)
    fresh.__dict__ = {**replayer.__dict__, "answers": {}}
    found = explain(replayer.run(BASE), replayer.run({**BASE, **change}), fresh, Limits(runs=5))
    assert (found.found.verdict, found.found.runs) == ("consistent with", 5)
    assert "param.recipe.channels" in found.found.minimal


# ---- factors


def test_what_belongs_together_is_one_factor_and_what_cannot_be_set_is_named(replayer: InProcess) -> None:
    other = {**BASE, **CAUSES["recipe.geometry"], "gpu.0.name": "another", "variable.ATEN_CPU_CAPABILITY": "avx2"}
    ends = ends_of(audit(replayer.run(BASE), replayer.run(other)))
    by_name = {factor.name: factor for factor in ends.factors}
    assert set(by_name["recipe.geometry"].conditions) == {"param.recipe.resize.size", "param.recipe.crop.place"}
    assert by_name["variable.ATEN_CPU_CAPABILITY"].stands_in
    assert {factor.name: factor.missing for factor in ends.missing} == {"gpu.0.name": "that hardware is not here"}
    half = ends.hybrid(frozenset({"recipe.geometry"}))
    assert (half["param.recipe.resize.size"], "variable.ATEN_CPU_CAPABILITY" in half) == (40, False)


# ---- the command line


def test_mistakes_are_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], replayer: InProcess
) -> None:
    from tracking.__main__ import main

    monkeypatch.chdir(tmp_path)
    replayer.run(BASE).save(tmp_path / "a.json")
    for arguments, words in {
        ("verify", "absent.json"): "absent.json: cannot be read",
        ("explain", "a.json", "absent"): "absent: there is no such file",
        ("explain", "a.json", "a.json"): "dvc.yaml: not found; run this in the project's folder",
        ("explain", "a.json", "--against", "published"): "no accuracy is published for it",
    }.items():
        assert main(arguments) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert words in lines[0]


def test_verify_without_runs_reads_the_file_alone(
    two_causes: dict, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tracking.__main__ import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("")
    save(two_causes, tmp_path / "certificate.json")
    assert main(["verify", "certificate.json", "--no-runs"]) == 0
    assert capsys.readouterr().out.count("ok  ") == 3


@pytest.mark.parametrize("name", ["comet", "mlflow"])
def test_a_certificate_kept_by_a_tracker_comes_back_byte_for_byte(
    name: str, explained: list[tuple[Pair, Explanation]], tmp_path: Path
) -> None:
    pytest.importorskip({"comet": "comet_ml"}.get(name, name))
    found = explained[0][1]
    values = certificate(found)
    kept = as_run(values, text_of(values), found.audit)
    tracker = connect(name, tmp_path, "explained")
    address = tracker.log(kept)
    assert tracker.log(kept) == address
    again = find_run(address, tmp_path)
    assert parse(certificate_in(again, address).encode(), address) == values
    assert again.findings[0].evidence["audit"]["outcome"] == "explained"
    assert again.results["points"] == pytest.approx(sum(share["points"] for share in values["shares"]))


def test_a_certificate_that_was_changed_in_a_tracker_is_refused(explained: list[tuple[Pair, Explanation]]) -> None:
    values = certificate(explained[0][1])
    with pytest.raises(UserError, match="mlflow:1: was changed after it was written"):
        parse(text_of(values).replace("proven", "proved").encode(), "mlflow:1")
    with pytest.raises(UserError, match="this run holds no certificate"):
        certificate_in(explained[0][0].before, "mlflow:1")
