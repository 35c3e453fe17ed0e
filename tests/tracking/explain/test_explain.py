"""Explaining pairs of runs of a real network whose causes were planted; certificates of them, in every form."""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from math import log2
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from tests.tracking.explain.planted import BASE, CHANGES, HARMLESS, MATTER_EVERYWHERE, InProcess, Pair, pairs
from tests.tracking.recordings import LABELS, SCORES, Answering, digest, recorded_run
from tests.tracking.trackers.stores import empty_store
from tracking.audit.audit import audit
from tracking.explain.as_run import as_run, certificate_in
from tracking.explain.certificate import certificate
from tracking.explain.explain import Explanation, _downgrade_stand_ins, explain, located
from tracking.explain.factors import STANDS_IN, ends_of
from tracking.explain.limits import Limits
from tracking.explain.schema import CertificateForm, load, parse, save, seal, text_of
from tracking.explain.search_result import Search, SearchVerdict
from tracking.explain.verify import RECOMPUTED, SAID, consistent, decisive, verify
from tracking.lookup.find import find_run
from tracking.pages.html_certificate import certificate_page
from tracking.pages.text_certificate import certificate_text, headline
from tracking.pages.text_recipe_search import tried_text
from tracking.runs.errors import UserError
from tracking.runs.outcomes import Outcome
from tracking.runs.run import Run
from tracking.trackers import connect

RECOMPUTED_CHECKS = (*(what for what, *_ in RECOMPUTED), "places")
SEEDS = range(6)  # of pairs that differ in 2 to 7 conditions; all of 0..263 were run once: see DECISIONS.md


@pytest.fixture(scope="module")
def replayer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InProcess]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield InProcess(tmp_path_factory.mktemp("images"))
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def explained(replayer: InProcess) -> list[tuple[Pair, Explanation]]:
    return [(pair, explain(pair.before, pair.after, replayer)) for pair in pairs(replayer, SEEDS)]


def test_what_moves_the_scores_of_any_cpu_moves_them_here_and_what_is_called_harmless_does_not(
    replayer: InProcess,
) -> None:
    assert replayer.mattering() >= MATTER_EVERYWHERE
    assert {replayer.scores({**BASE, **change}) for change in HARMLESS.values()} == {replayer.scores(BASE)}


class OfOneBatch(InProcess):
    """A CPU on which the batch size moves no bit."""

    def replay(self, conditions: Mapping[str, Any], repeat: int = 0) -> Outcome:
        return super().replay({**conditions, "param.model.batch_size": 32}, repeat)


def test_what_moves_no_bit_on_a_cpu_is_not_planted_there(replayer: InProcess) -> None:
    there = OfOneBatch.__new__(OfOneBatch)
    there.__dict__ = replayer.__dict__
    assert there.mattering() == replayer.mattering() - {"param.model.batch_size"}
    causes = [pair.causes for pair in pairs(there, range(18))]
    assert "param.model.batch_size" not in frozenset().union(*causes)
    assert {len(each) for each in causes} == {1, 2, 3}


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
        assert checks == {**dict.fromkeys(RECOMPUTED_CHECKS, True), SAID: None}


def test_repeats_are_the_same_and_nothing_is_blamed(replayer: InProcess) -> None:
    harmless = {name: value for change in HARMLESS.values() for name, value in change.items()}
    found = explain(replayer.run(BASE), replayer.run({**BASE, **harmless}), replayer)
    assert (found.found.verdict, found.found.minimal, found.found.runs) == ("same", (), 4)


# ---- certificates


@pytest.fixture(scope="module")
def two_causes(replayer: InProcess) -> dict:
    change = {**CHANGES["param.recipe.channels"], **CHANGES["param.recipe.dtype"], **HARMLESS["param.recipe.exif"]}
    found = explain(replayer.run(BASE), replayer.run({**BASE, **change}), replayer)
    return certificate(located(found, replayer))


def test_a_certificate_comes_back_from_its_file_and_verifies(
    two_causes: dict, replayer: InProcess, tmp_path: Path
) -> None:
    save(two_causes, tmp_path / "certificate.json")
    found = load(tmp_path / "certificate.json")
    assert found == two_causes
    numbers = [each["number"] for each in found["hybrids"]]
    checks = verify(found, numbers, replayer, lambda _: None)
    assert [check.good for check in checks if check.what != SAID] == [True] * (
        len(numbers) + len(RECOMPUTED_CHECKS) + 2  # the places of both causes
    )
    assert len(decisive(found)) == 4 + 2


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


def sealed(values: dict) -> bytes:
    return text_of({**values, "sha256": seal(values)}).encode()


def false_in(edited: dict) -> set[str]:
    """What a sealed certificate is found out by."""
    return {check.what for check in consistent(parse(sealed(edited), "it")) if check.good is False}


def test_a_certificate_sealed_anew_over_all_factors_is_not_minimal(two_causes: dict, replayer: InProcess) -> None:
    """Its hybrids and conditions are true, and its shares are those of the larger set."""
    names = [factor["name"] for factor in two_causes["factors"]]
    assert set(names) > set(two_causes["minimal"])
    idle = {**two_causes["shares"][0], "factor": "param.recipe.exif", "flips": "0", "correct": "0"}
    edited = {**two_causes, "minimal": names, "shares": [*two_causes["shares"], idle]}
    assert false_in(edited) == {"minimal", "shares"}
    nothing = {**two_causes, "minimal": [], "shares": [], "interactions": []}
    assert false_in(nothing) == {"minimal", "shares", "places"} or false_in(nothing) == {"minimal", "shares"}


@pytest.mark.parametrize(
    "key", sorted({field.alias or name for name, field in CertificateForm.model_fields.items()} - {"sha256"})
)
def test_a_sealed_certificate_that_lacks_something_is_refused(two_causes: dict, key: str) -> None:
    for edited in (
        {name: value for name, value in two_causes.items() if name != key},
        {**two_causes, key: object.__name__ if not isinstance(two_causes[key], str) else 1},
    ):
        with pytest.raises(UserError, match="^it: (not a certificate|has schema)"):
            parse(sealed(edited), "it")


def test_a_sealed_certificate_that_contradicts_itself_is_refused(two_causes: dict) -> None:
    first, *others = two_causes["hybrids"]
    for key, value in {
        "verdict": "shown",
        "grade": None,
        "minimal": ["another"],
        "hybrids": [{**first, "outcomes": []}, *others],
        "arrays": {"0": "u1:AAAA"},
        "shares": [{**two_causes["shares"][0], "flips": "1/0"}],
    }.items():
        with pytest.raises(UserError, match=f"^it: not a certificate \\({key}: cannot be so\\)"):
            parse(sealed({**two_causes, key: value}), "it")
    with pytest.raises(UserError, match="^it: not a certificate"):
        parse(b"[" * 100_000, "it")


# ---- certificates of noisy runs


class Noisy(Answering):
    """Decisions of a few images differ from run to run; half of all images are decided otherwise with another batch size."""

    def __init__(self, seed: int = 0, size: float = 0.02) -> None:
        super().__init__()
        self.seed, self.size, self.count = seed, size, itertools.count()

    def known(self, _conditions: Mapping[str, Any], _repeat: int = 0) -> bool:
        return False

    def replay(self, conditions: Mapping[str, Any], _repeat: int = 0) -> Outcome:
        scores = self.noisy(-SCORES if conditions["param.model.batch_size"] == 2 else SCORES)
        return Outcome(LABELS, scores.argmax(axis=1), digest(scores))

    def noisy(self, scores: np.ndarray) -> np.ndarray:
        chosen = np.random.default_rng([self.seed, next(self.count)])
        return (scores + chosen.normal(scale=self.size, size=scores.shape)).astype(np.float32)


def noisy_pair(**after: int) -> list[Run]:
    own = {"model.framework": "made-up", "model.backend": "torch", "model.batch_size": 64}
    own |= {"inference.seed": 0, "inference.threads": 1}
    changed = {**own, **{name.replace("_", ".", 1): value for name, value in after.items()}}
    return [
        recorded_run(-SCORES if params["model.batch_size"] == 2 else SCORES, params=params) for params in (own, changed)
    ]


def test_a_cause_in_noise_is_proven_and_its_certificate_verifies_within_the_noise() -> None:
    found = explain(*noisy_pair(model_batch_size=2, inference_seed=1), Noisy())
    assert (found.found.verdict, found.found.minimal) == ("proven", ("param.model.batch_size",))
    values = parse(text_of(certificate(found)).encode(), "it")
    assert values["band"] > 0
    numbers = [each["number"] for each in values["hybrids"]]
    assert all(check.good is not False for check in verify(values, numbers, Noisy(seed=1), lambda _: None))
    assert any(check.good is False for check in verify(values, numbers, Noisy(seed=1, size=3), lambda _: None))


class Wobbling(Noisy):
    """Two causes that only together move the result; one of them alone flips a decision now and then."""

    def replay(self, conditions: Mapping[str, Any], _repeat: int = 0) -> Outcome:
        moved = conditions["param.model.batch_size"] == 2, conditions["param.inference.threads"] == 2
        scores = -SCORES if all(moved) else self.noisy(SCORES) if moved[1] else SCORES
        return Outcome(LABELS, scores.argmax(axis=1), digest(scores))


def test_a_certificate_whose_ends_are_steady_and_one_hybrid_is_not_verifies() -> None:
    before, after = noisy_pair(model_batch_size=2, inference_threads=2)
    found = certificate(explain(before, after, Wobbling()))
    assert (found["verdict"], set(found["minimal"])) == (
        "proven",
        {"param.model.batch_size", "param.inference.threads"},
    )
    checks = verify(found, decisive(found), Wobbling(seed=1), lambda _: None)
    assert [check for check in checks if check.good is False] == []


def test_a_noisy_certificate_sealed_anew_is_found_out() -> None:
    values = certificate(explain(*noisy_pair(model_batch_size=2, inference_seed=1), Noisy()))
    names = [factor["name"] for factor in values["factors"]]
    assert "minimal" in false_in({**values, "minimal": names})
    assert "minimal" in false_in({**values, "minimal": ["param.inference.seed"], "shares": []})
    assert "verdict" in false_in({**values, "verdict": "noise"})


def test_recorded_ends_that_differ_as_repeats_do_are_noise() -> None:
    before, after = noisy_pair(inference_seed=1)
    for seed in range(20):
        again = recorded_run(Noisy(seed=100 + seed).noisy(SCORES), params=dict(after.params))
        found = certificate(explain(before, again, Noisy(seed)))
        assert (found["verdict"], found["minimal"]) in (("noise", []), ("same", []))


@pytest.mark.parametrize("scores", [SCORES * np.float32(1.0001), -SCORES])
@pytest.mark.parametrize("seed", [0, 1])
def test_what_only_something_that_cannot_be_set_changes_cannot_be_run_here(scores: np.ndarray, seed: int) -> None:
    """The last bits, or decisions; with another factor that differs, and without."""
    before, after = noisy_pair(inference_seed=seed)
    there = recorded_run(scores, params=dict(after.params), environment={"gpu.0.name": "another"})
    here = recorded_run(params=dict(before.params), environment={"gpu.0.name": "this one"})
    found = certificate(explain(here, there, Noisy(size=0)))
    assert (found["verdict"], found["minimal"], found["grade"]) == ("cannot be run here", [], None)
    assert found["reason"].startswith("gpu.0.name cannot be set")
    assert parse(text_of(found).encode(), "it") == found
    alike = recorded_run(params=dict(after.params), environment={"gpu.0.name": "another"})
    assert certificate(explain(here, alike, Noisy(size=0)))["verdict"] == "same"


def test_words_and_page_say_the_same(two_causes: dict) -> None:
    text, page = certificate_text(two_causes), certificate_page(two_causes)
    for words in ("proven", "param.recipe.channels", "param.recipe.dtype", "RGB -&gt; BGR"):
        assert words in page
        assert words.replace("&gt;", ">") in text
    assert "differ too; together they change nothing here\n  param.recipe.exif" in text
    assert "Differ too; together they change nothing here" in page
    assert page.count("<svg") == 2
    assert "src=" not in page
    assert page.count("<script") == 1  # ours


def test_of_several_causes_each_is_shown_where_it_first_parts(replayer: InProcess) -> None:
    change = {**CHANGES["param.recipe.channels"], **CHANGES["input.weights"]}
    found = certificate(located(explain(replayer.run(BASE), replayer.run({**BASE, **change}), replayer), replayer))
    places = {name: each for name, each in found["places"].items() if each}
    parted = {name: {stage: where["at"] for stage, where in each.items()} for name, each in places.items()}
    assert parted == {
        "A + param.recipe.channels": {"preprocess": "arithmetic", "infer": None},
        "A + input.weights": {"preprocess": None, "infer": "scores"},
    }
    assert "A + param.recipe.channels: preprocess  at arithmetic (crop is the same)" in certificate_text(found)
    assert "at arithmetic (crop is the same)" in certificate_page(found)


@pytest.mark.parametrize(
    ("left", "looked_at"),
    [(0, []), (1, []), (2, ["A + input.weights"]), (3, ["A + input.weights", "A + param.recipe.channels"])],
)
def test_places_are_looked_for_within_what_the_search_left_of_the_limits(
    replayer: InProcess, left: int, looked_at: list[str]
) -> None:
    change = {**CHANGES["param.recipe.channels"], **CHANGES["input.weights"]}
    found = explain(replayer.run(BASE), replayer.run({**BASE, **change}), replayer)
    found = replace(found, started=20)
    said: list[str] = []
    placed = located(found, replayer, said.append, Limits(runs=20 + left))
    assert [name for name, parted in certificate(placed)["places"].items() if parted and name != "B"] == looked_at
    assert placed.started == 20 + left
    assert len([line for line in said if line.startswith("run ")]) == left
    assert said[-1].endswith("no further run is allowed") == (left < 3)
    late = located(replace(found, seconds=9.0), replayer, said.append, Limits(runs=100, seconds=8.0))
    assert (late.started, late.places) == (20, {})


def test_what_is_started_is_counted_once(replayer: InProcess) -> None:
    fresh = InProcess.__new__(InProcess)
    fresh.__dict__ = {**replayer.__dict__, "answers": {}}
    pair = replayer.run(BASE), replayer.run({**BASE, **CHANGES["param.recipe.channels"]})
    said: list[str] = []
    first = explain(*pair, fresh, say=said.append)
    assert first.started == first.found.runs == len(said)
    assert explain(*pair, fresh).started == 0


def test_no_recipe_that_could_run_excludes_nothing() -> None:
    with pytest.raises(UserError, match="no recipe could be run"):
        tried_text([], 0.7, "a paper")


def test_too_few_runs_prove_nothing(replayer: InProcess) -> None:
    change = {**CHANGES["param.recipe.channels"], **HARMLESS["param.recipe.exif"], **HARMLESS["param.recipe.cmyk"]}
    fresh = InProcess.__new__(InProcess)
    fresh.__dict__ = {**replayer.__dict__, "answers": {}}
    found = explain(replayer.run(BASE), replayer.run({**BASE, **change}), fresh, Limits(runs=5))
    assert (found.found.verdict, found.found.runs) == ("consistent with", 5)
    assert "param.recipe.channels" in found.found.minimal


# ---- factors


def test_what_belongs_together_is_one_factor_and_what_cannot_be_set_is_named(replayer: InProcess) -> None:
    other = {**BASE, **CHANGES["recipe.geometry"], "gpu.0.name": "another", "variable.ATEN_CPU_CAPABILITY": "avx2"}
    ends = ends_of(audit(replayer.run(BASE), replayer.run(other)))
    by_name = {factor.name: factor for factor in ends.factors}
    assert set(by_name["recipe.geometry"].conditions) == {"param.recipe.resize.size", "param.recipe.crop.place"}
    assert by_name["variable.ATEN_CPU_CAPABILITY"].how == "an environment variable"  # set by the user himself
    assert {factor.name: factor.missing for factor in ends.missing} == {"gpu.0.name": "that hardware is not here"}
    half = ends.hybrid(frozenset({"recipe.geometry"}))
    assert (half["param.recipe.resize.size"], "variable.ATEN_CPU_CAPABILITY" in half) == (40, False)


def test_another_processor_is_imitated_by_levers_and_what_they_show_is_no_proof() -> None:
    runs = [
        recorded_run(environment={"cpu.model": model, "torch.capability": capability})
        for model, capability in (("one", "AVX2"), ("another", "AVX512"))
    ]
    ends = ends_of(audit(*runs))
    (factor,) = ends.factors
    assert (factor.name, factor.how) == ("processor", STANDS_IN)
    assert ends.hybrid(frozenset({"processor"}))["variable.ATEN_CPU_CAPABILITY"] == "avx512"
    proven = Search(SearchVerdict.PROVEN, "both directions were run", "bits", ("processor",))
    assert _downgrade_stand_ins(proven, ends).verdict is SearchVerdict.CONSISTENT
    other = replace(proven, minimal=("param.model.batch_size",))
    assert _downgrade_stand_ins(other, ends) is other


# ---- the command line


def test_mistakes_are_one_line_and_exit_code_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], replayer: InProcess
) -> None:
    from weighbridge.cli.main import main

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
    from weighbridge.cli.main import main

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dvc.yaml").write_text("")
    save(two_causes, tmp_path / "certificate.json")
    assert main(["verify", "certificate.json", "--no-runs"]) == 0
    assert capsys.readouterr().out.count("ok  ") == len(RECOMPUTED_CHECKS)


@pytest.mark.parametrize("name", ["comet", "mlflow"])
def test_a_certificate_kept_by_a_tracker_comes_back_byte_for_byte(
    name: str, explained: list[tuple[Pair, Explanation]], tmp_path: Path
) -> None:
    pytest.importorskip({"comet": "comet_ml"}.get(name, name))
    found = explained[0][1]
    values = certificate(found)
    kept = as_run(values, text_of(values), found.audit, headline(values))
    tracker = connect(name, empty_store(tmp_path) if name == "mlflow" else tmp_path, "explained")
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
