"""What a person opens in Comet: the compare view, the tabs of a record, and the panel of audits and explanations."""

import json
import runpy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.tracking.trackers.comet_server import API_KEY, Memory, comet_server
from tests.tracking.trackers.samples import weighed
from tracking.audit.audit import audit
from tracking.runs.decisions import pack_decisions
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run
from tracking.trackers import comet, parameters
from tracking.trackers._comet_content import LONGEST_VALUE

PANEL = Path(comet.__file__).parents[1] / "panels/comet.py"
HOSTILE = "<script>alert(1)</script>*_`[x](javascript:y)"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    with comet_server() as memory:
        for name in ("COMET_WORKSPACE", "COMET_PROJECT_NAME"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("COMET_API_KEY", API_KEY)
        monkeypatch.setenv("COMET_URL_OVERRIDE", memory.url)
        yield memory


def changed(run: Run) -> Run:
    facts = {**run.environment, "torch.threads": 2, "package.p3": "9", "variable.NEW": HOSTILE}
    return replace(run, environment=facts, inputs={**run.inputs, "samples": "other.dir"}, results={"top1": 0.25})


def explanation(before: Run, after: Run) -> Run:
    evidence = {"audit": audit(before, after).to_dict(), "certificate": "{}"}
    found = Finding("explain", "explain-x", Verdict.PASS, f"proven: {HOSTILE}.", evidence)
    shares = {"share.torch.threads.points": -5.05, "share.torch.threads.decisions": 3}
    return Run("explain-x", "weighbridge explain a b", {"A": before.id, "B": after.id}, {}, {}, {}, shares, (found,))


def test_two_records_differ_in_the_compare_view_by_the_rows_of_the_audit() -> None:
    before = weighed()
    one, other = (parameters(run, LONGEST_VALUE) for run in (before, changed(before)))
    differing = {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
    rows = audit(before, changed(before)).differences
    assert differing == {each.name for each in rows}
    assert len(rows) == 4


def test_a_record_has_a_page_a_confusion_matrix_tags_and_its_data(server: Memory, tmp_path: Path) -> None:
    decisions = pack_decisions(["a", "b", "c"], np.array([0, 1, 1]), np.array([0, 1, 0]))
    params = {"data.source": "photos", "model.framework": "keras", "model.backend": "jax"}
    sure = {"reliability": [[0.5, 2], [0.9, 6], ["nan", 1]], "reliability_columns": ["confidence", "images"]}
    told = Finding("mode_check", "m", Verdict.WARN, HOSTILE, sure)
    run = Run(HOSTILE, "true", params, {"samples": "12ab.dir"}, {}, {}, {"top1": 0.5}, (told,), decisions=decisions)
    comet.connect(tmp_path, "e").log(run)
    (record,) = server.experiments.values()
    assert record.others["dataset_info"] == "photos 12ab.dir"
    assert record.tags == {"check before use", "keras", "jax"}
    assert record.html == record.files["model.html"].decode()
    assert "check before use, top-1 50.00%" in record.html
    assert "<script>" not in record.html
    assert "&lt;script&gt;" in record.html
    assert json.loads(record.files["confusion-matrix.json"])["matrix"] == [[1, 0], [1, 1]]
    assert sum(json.loads(record.files["confidence.json"])["index_values"][each][1] for each in (0, 1)) == 8


def test_runs_of_one_data_set_share_its_artifact_and_nothing_is_uploaded_or_made_twice(
    server: Memory, tmp_path: Path
) -> None:
    first = replace(weighed("first", facts=3), inputs={"samples": "12ab.dir", "weights": "a" * 32})
    second = replace(first, subject="second", inputs={**first.inputs, "weights": "b" * 32})
    tracker = comet.connect(tmp_path, "e")
    keys = [tracker.log(run).removeprefix("comet:") for run in (first, second, second)]
    assert [(each.kind, each.name, each.alias, each.used_by, each.state) for each in server.artifacts] == [
        ("dataset", "images", "12ab.dir", keys[:2], "CLOSED"),
        ("model", "first", "a" * 32, keys[:1], "CLOSED"),
        ("model", "second", "b" * 32, keys[1:2], "CLOSED"),
    ]
    record = server.experiments[keys[0]]
    assert record.others["artifact.model"] == f"first:{'a' * 32}"
    assert tracker.holds(first) == "whole"
    del record.others["artifact.model"]
    assert tracker.holds(first) == "partial"
    tracker.log(first)
    assert len(server.artifacts) == 3


def panel(monkeypatch: pytest.MonkeyPatch, keys: list[str]) -> str:
    """What the panel displays of these experiments, as Comet runs it: by Streamlit, told the keys of those selected."""
    from comet_ml.config.config_class import Config

    shown: list[str] = []
    streamlit: Any = SimpleNamespace(write=lambda text, unsafe_allow_html: shown.append(text))
    monkeypatch.setattr("comet_ml._ui.UI._st", streamlit)
    monkeypatch.setattr(Config, "_get_override", lambda _: {"COMET_EXPERIMENT_KEYS": keys})
    runpy.run_path(str(PANEL), run_name="__main__")
    return "\n".join(shown)


def test_the_panel_shows_the_audit_and_the_explanation_of_the_selected_experiments(
    server: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, tracker = weighed(), comet.connect(tmp_path, "e")
    runs = [before, changed(before)]
    runs.append(explanation(*runs))
    keys = [tracker.log(run).removeprefix("comet:") for run in runs]
    seen = panel(monkeypatch, keys)
    assert "<h4>explained</h4>" in seen
    assert "-5.05" in seen
    table = seen[seen.index("could have changed it") :]
    places = [table.index(f"<td>{each.name.replace('_', '&#95;')}</td>") for each in audit(*runs[:2]).suspects]
    assert places == sorted(places)
    assert "Not ranked" not in seen
    assert [piece for piece in ("<script>", "*_", "[x]") if piece in seen] == []
    unexplained = panel(monkeypatch, keys[:2])
    assert "4 conditions differ" in unexplained
    assert f"weighbridge audit {runs[0].id[:12]} {runs[1].id[:12]}" in unexplained


def test_the_panel_says_so_where_nothing_selected_is_ours(
    server: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = comet.connect(tmp_path, "e").log(weighed()).removeprefix("comet:")
    server.experiments[key].files["run.json"] = b"{half"
    assert "None of the selected experiments" in panel(monkeypatch, [key])


@pytest.mark.parametrize(
    "part",
    [
        {"findings": [5]},
        {"findings": None},
        {"params": []},
        {"results": {"top1": "much"}},
        {"findings": [{"check": "mode_check"}]},
        {"findings": [{"check": "explain", "sentence": "x", "verdict": "pass", "evidence": {"audit": 7}}]},
        {"findings": [{"check": "explain", "evidence": 5}]},
    ],
)
def test_the_panel_says_in_a_line_that_a_record_is_of_another_shape(
    server: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: dict[str, Any]
) -> None:
    tracker = comet.connect(tmp_path, "e")
    keys = [tracker.log(weighed(name, facts=2)).removeprefix("comet:") for name in ("sound", "strange")]
    files = server.experiments[keys[1]].files
    files["run.json"] = json.dumps({**json.loads(files["run.json"]), **part}).encode()
    seen = panel(monkeypatch, keys)
    assert "another shape" in seen or "1 of 2 selected" in seen
