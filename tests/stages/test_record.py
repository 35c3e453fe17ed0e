"""What a run records of findings: every number under a name of its own."""

from pathlib import Path

from stages.record import _numbers, read_findings
from tracking.runs.findings import Finding, Verdict, save_findings


def test_results_of_two_pairs_of_one_model_stand_beside_one_another(tmp_path: Path) -> None:
    for key, flips in (("first", 9), ("second", 0)):
        found = Finding(
            "backend_parity", "m", Verdict.PASS, "They agree.", {"flips": flips, "curves": {"l": [[1, 2.0]]}}
        )
        save_findings([found], tmp_path / f"backend_parity-{key}.json")
    save_findings([Finding("mode_check", "m", Verdict.PASS, "Fine.", {"top1": 0.5})], tmp_path / "mode_check.json")
    numbers = _numbers(read_findings(tmp_path, tmp_path / "weights.safetensors"))
    assert numbers == {
        "backend_parity.first.flips": 9,
        "backend_parity.second.flips": 0,
        "mode_check.top1": 0.5,
    }
