"""Folders of Lightning, ultralytics and DVCLive as runs."""

import json
from pathlib import Path

import pytest

from tracking.audit.audit import audit
from tracking.lookup.find import find_run
from tracking.runs.errors import UserError


def lightning(folder: Path, rate: float, last: float) -> Path:
    folder.mkdir()
    (folder / "hparams.yaml").write_text(f"lr: {rate}\nmodel: {{depth: 3}}\n")
    (folder / "metrics.csv").write_text(f"epoch,step,train_loss,val_acc\n0,9,1.5,\n0,9,,0.5\n1,19,0.5,\n1,19,,{last}\n")
    return folder


def test_lightning_is_audited_by_its_last_metrics(tmp_path: Path) -> None:
    runs = [
        find_run(str(lightning(tmp_path / name, rate, last)))
        for name, rate, last in (("a", 0.1, 0.75), ("b", 0.2, 0.5))
    ]
    assert (runs[0].subject, runs[0].params, runs[0].results) == (
        "a",
        {"lr": 0.1, "model.depth": 3},
        {"train_loss": 0.5, "val_acc": 0.75},
    )
    assert runs[0].curves["val_acc"] == ((9.0, 0.5), (19.0, 0.75))
    found = audit(*runs)
    assert [each.name for each in found.suspects] == ["param.lr"]
    assert found.grades.metrics == {"train_loss": (0.5, 0.5), "val_acc": (0.75, 0.5)}


def test_ultralytics_pads_its_columns(tmp_path: Path) -> None:
    (tmp_path / "args.yaml").write_text("imgsz: 640\nseed: 0\n")
    (tmp_path / "results.csv").write_text("   epoch,   metrics/mAP50(B)\n  1,   0.25\n  2,   nan\n  3,  0.5\n")
    run = find_run(str(tmp_path))
    assert (run.params["imgsz"], run.results, run.curves["metrics/mAP50(B)"]) == (
        640,
        {"metrics/mAP50(B)": 0.5},
        ((1.0, 0.25), (3.0, 0.5)),
    )


def test_how_long_it_took_decides_nothing_unless_it_is_asked_for(tmp_path: Path) -> None:
    runs = []
    for seconds in (10.5, 99.0):
        folder = tmp_path / str(seconds)
        folder.mkdir()
        (folder / "args.yaml").write_text("seed: 0\n")
        (folder / "results.csv").write_text(
            f"epoch,time,train/fit_time_s,mAP,loss_time_weighted\n1,{seconds},{seconds},0.5,1\n"
        )
        runs.append(find_run(str(folder)))
    assert audit(*runs).grades.metrics == {"loss_time_weighted": (1.0, 1.0), "mAP": (0.5, 0.5)}
    assert audit(*runs, ["time"]).grades.moved == {"time": (10.5, 99.0)}


def test_dvclive_has_nested_metrics_and_a_file_for_each_curve(tmp_path: Path) -> None:
    (tmp_path / "plots/metrics/train").mkdir(parents=True)
    (tmp_path / "params.yaml").write_text("lr: 0.1\n")
    (tmp_path / "metrics.json").write_text(json.dumps({"train": {"loss": 0.5}, "step": 3}))
    (tmp_path / "plots/metrics/train/loss.tsv").write_text("step\tloss\n0\t1.0\n1\t0.5\n")
    run = find_run(str(tmp_path))
    assert (run.params, run.results, run.curves) == (
        {"lr": 0.1},
        {"train.loss": 0.5},
        {"train.loss": ((0.0, 1.0), (1.0, 0.5))},
    )


def test_objects_in_a_file_of_parameters_are_not_made(tmp_path: Path) -> None:
    folder = lightning(tmp_path / "a", 0.1, 0.5)
    (folder / "hparams.yaml").write_text("x: !!python/object/apply:os.system ['touch made']\n")
    with pytest.raises(UserError, match=r"hparams.yaml: not plain YAML"):
        find_run(str(folder))
    (folder / "hparams.yaml").write_text("- 1\n")
    with pytest.raises(UserError, match="not a table of parameters"):
        find_run(str(folder))
