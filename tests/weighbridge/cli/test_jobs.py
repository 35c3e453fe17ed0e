"""`weighbridge use`, `params` and `weigh`: from a line on the command line to the job that DVC runs."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.audit.test_audit import weighed
from tests.weighbridge.cli.printed import printed
from weighbridge.cli import jobs
from weighbridge.cli.main import main
from weighbridge.params.complete import complete
from weighbridge.params.section import load_yaml
from weighbridge.params.whole import load_params
from weighbridge.params.written import written_text

Command = Callable[..., tuple[int, str, str]]
IN_USE = {
    "data": {"source": "old"},
    "recipes": {"plain": {"scale": "-1..1"}},
    "models": {
        "mine": {"framework": "onnx", "weights": "mine.onnx", "batch_size": 8, "claim": {"top1": 0.7, "source": "us"}}
    },
}


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What `weigh` starts is written down and, but for the run files, not done."""
    commands: list[list[str]] = []

    def start(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        for name in load_params().models:
            weighed(subject=name).save(Path(f"data/runs/{name}.json"))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(jobs.subprocess, "run", start)
    return commands


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with a suite in use, and folders of images beside it."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    Path("params.yaml").write_text(
        written_text(complete({**IN_USE, "suite": "suites/old.yaml"}), Path("suites/old.yaml"))
    )
    for name in (
        "classes/cat/a.png",
        "classes/dog/b.png",
        "split/test/cat/a.png",
        "split/test/dog/b.png",
        "flat/photos/a.jpg",
        "bare/x/../c.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "bare/x").rmdir()
    (tmp_path / "flat/labels.csv").write_text("ImageId,class_index0,more\na,3,x\n")
    return here


@pytest.fixture
def weighbridge(project: Path, started: list[list[str]], capsys: pytest.CaptureFixture[str]) -> Command:
    def command(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return (code, *capsys.readouterr())

    return command


def suite() -> dict[str, Any]:
    return dict(load_yaml(Path("suites/weighed.yaml")))


# ---- params


def test_params_prints_what_is_special(weighbridge: Command) -> None:
    code, out, err = weighbridge("params")
    assert (code, err) == (0, "")
    assert "scale: -1..1" in out
    assert "corrupt" not in out


def test_params_as_json_is_a_suite(weighbridge: Command) -> None:
    _, out, _ = weighbridge("params", "--json")
    assert complete(printed("params", out)["params"]) == load_params().model_dump()


def test_params_all_prints_every_value(weighbridge: Command) -> None:
    _, out, _ = weighbridge("params", "--all", "--json")
    assert printed("params", out)["params"] == load_params().model_dump()


# ---- weigh


def test_weigh_writes_a_suite_uses_it_runs_it_and_prints_the_runs(
    weighbridge: Command, started: list[list[str]]
) -> None:
    code, out, err = weighbridge("weigh", "torchvision/resnet50/IMAGENET1K_V2", "--images", "../flat")
    assert (code, err) == (0, "")
    assert suite() == {
        "data": {"source": "../flat", "images": "photos",
                 "labels": {"file": "labels.csv", "name": "ImageId", "label": "class_index0"}},
        "checks": "none",
        "models": {"torchvision-resnet50-IMAGENET1K_V2": "torchvision/resnet50/IMAGENET1K_V2"},
    }  # fmt: skip
    assert load_params().suite == "suites/weighed.yaml"
    assert started[-1] == [sys.executable, "-m", "weighbridge", "repro"]
    assert "torchvision-resnet50-IMAGENET1K_V2" in out
    assert out.endswith("report: data/report.html\n")


def test_folders_of_classes_say_how_many_classes_there_are(weighbridge: Command) -> None:
    weighbridge("weigh", "keras/VGG16", "--images", "../classes")
    assert suite()["data"] == {"source": "../classes", "classes": 2}
    weighbridge("weigh", "keras/VGG16", "--images", "../split")
    assert suite()["data"] == {"source": "../split", "classes": 2}
    weighbridge("weigh", "keras/VGG16", "--images", "../split", "--classes", "10")
    assert suite()["data"]["classes"] == 10


def test_a_table_may_lie_beside_the_folder_of_images(weighbridge: Command) -> None:
    weighbridge(
        "weigh", "keras/VGG16", "--images", "../flat/photos", "--labels", "../flat/labels.csv", "--classes", "5"
    )
    assert suite()["data"]["source"] == "../flat"
    assert (suite()["data"]["images"], suite()["data"]["classes"]) == ("photos", 5)


def test_checks_and_batch_size_are_taken(weighbridge: Command) -> None:
    given = ("--checks", "layers,mode_check", "--batch-size", "4")
    weighbridge("weigh", "keras/VGG16", "timm/resnet50.a1_in1k", "--images", "../classes", *given)
    assert load_params().checks == ["layers", "mode_check"]
    assert {model.batch_size for model in load_params().models.values()} == {4}


def test_a_file_is_prepared_for_as_other_weights_declare(weighbridge: Command) -> None:
    given = ("--recipe", "torchvision/resnet50/IMAGENET1K_V2")
    assert weighbridge("weigh", "onnx:nets/my net.onnx", "--images", "../classes", *given)[0] == 0
    model = load_params().models["onnx-my-net"]
    assert (model.framework, model.weights) == ("onnx", "nets/my net.onnx")
    assert load_params().model_dump()["recipes"][model.recipe]["published"]["weights"] == "IMAGENET1K_V2"


def test_a_recipe_of_the_suite_in_use_is_one_too(weighbridge: Command) -> None:
    weighbridge("weigh", "keras/VGG16", "--images", "../classes", "--recipe", "plain")
    assert load_params().model_dump()["recipes"]["given"]["scale"] == "-1..1"
    assert load_params().models["keras-VGG16"].recipe == "given"


def test_a_model_of_the_suite_in_use_keeps_what_it_says(weighbridge: Command) -> None:
    assert weighbridge("weigh", "mine", "--images", "../classes")[0] == 0
    model = load_params().models["mine"]
    assert (model.batch_size, model.recipe, model.claim and model.claim.top1) == (8, "plain", 0.7)
    assert weighbridge("weigh", "mine", "--images", "../flat")[0] == 0
    assert load_params().data.source == "../flat"


def test_a_model_whose_weights_the_suite_in_use_downloads_brings_the_download(weighbridge: Command) -> None:
    weighbridge("weigh", "keras/VGG16", "--images", "../classes")
    weighbridge("weigh", "keras-VGG16", "--images", "../flat")
    assert load_params().downloads["keras-VGG16"].name == "keras/VGG16/imagenet"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("keras/VGG17", "--images", "../classes"), "did you mean 'VGG19'?"),
        (("min", "--images", "../classes"), "'min' names no model"),
        (("keras/VGG16", "--images", "../nowhere"), "--images ../nowhere: no such folder"),
        (("keras/VGG16", "--images", "../bare"), "no folders of classes and no labels.csv; give --labels"),
        (("keras/VGG16", "--images", "../classes", "--checks", "mode_chek"), "did you mean 'mode_check'?"),
        (("onnx:net.onnx", "--images", "../classes"), "onnx:net.onnx: how are its images prepared? give --recipe"),
        (("keras/VGG16", "--images", "../classes", "--recipe", "plane"), "'plane' names no model"),
        (("keras/VGG16", "--images", "../classes", "--labels", "x.csv"), "--labels x.csv: cannot be read"),
        (("keras/VGG16", "--images", "../classes", "--labels", "../flat/labels.csv"), "put the table into the folder"),
        (("keras/VGG16", "--images", "../classes", "--suite", "params.yaml"), "name another file"),
        *((("keras/VGG16", "--images", "../classes", f"--classes={no}"), f"--classes {no}: no such file; give a number")
          for no in ("0", "-3", "2.5", "name.txt", ",", "")),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_changes_nothing(
    weighbridge: Command, started: list[list[str]], arguments: tuple[str, ...], words: str
) -> None:
    before = Path("params.yaml").read_bytes()
    code, out, err = weighbridge("weigh", *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert words in err
    assert started == []
    assert Path("params.yaml").read_bytes() == before
    assert not Path("suites/weighed.yaml").exists()


def test_a_table_that_lists_other_images_is_refused(weighbridge: Command) -> None:
    Path("../flat/labels.csv").write_text("name,label\nb,3\n")
    code, _, err = weighbridge("weigh", "keras/VGG16", "--images", "../flat")
    assert code == 2
    assert "--images ../flat: does not hold 'b'" in err


def test_a_table_whose_columns_are_not_understood_is_refused_with_the_names_that_are(weighbridge: Command) -> None:
    Path("../flat/labels.csv").write_text("picture,number\na,3\n")
    code, _, err = weighbridge("weigh", "keras/VGG16", "--images", "../flat")
    assert code == 2
    assert "call them name and label; it has picture, number" in err


def test_a_suite_that_somebody_wrote_or_edited_is_not_overwritten(weighbridge: Command) -> None:
    weighbridge("weigh", "keras/VGG16", "--images", "../classes")
    assert weighbridge("weigh", "keras/VGG19", "--images", "../classes")[0] == 0
    path = Path("suites/weighed.yaml")
    path.write_text(path.read_text().replace("VGG19", "Xception"))
    code, _, err = weighbridge("weigh", "keras/VGG16", "--images", "../classes")
    assert (code, err.count("\n")) == (2, 1)
    assert "was not written by `weighbridge weigh`, or was edited since" in err
    assert "Xception" in path.read_text()
    assert weighbridge("weigh", "keras/VGG16", "--images", "../classes", "--suite", "suites/other.yaml")[0] == 0


def test_an_edit_of_params_that_is_kept_nowhere_else_is_not_lost(
    weighbridge: Command, started: list[list[str]]
) -> None:
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("samples: 192", "samples: 191"))
    code, _, err = weighbridge("weigh", "keras/VGG16", "--images", "../classes")
    assert code == 2
    assert "holds changes that are kept nowhere else" in err
    assert started == []
    assert not Path("suites/weighed.yaml").exists()


def test_what_repro_ends_with_is_passed_on_after_the_table_of_those_weighed(
    weighbridge: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs.subprocess, "run", _failing)
    code, out, _ = weighbridge("weigh", "keras/VGG16", "keras/VGG19", "--images", "../classes")
    assert code == 2
    assert ("keras-VGG16" in out, "keras-VGG19" in out) == (True, False)
    assert out.endswith("report: data/report.html\n")


def _failing(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
    weighed(subject="keras-VGG16").save(Path("data/runs/keras-VGG16.json"))
    return subprocess.CompletedProcess(command, 2 if "repro" in command else 0)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("background first", {"background": "first"}),
        ("imagenet", {"names": "imagenet"}),
        ("281, 207", {"indices": [281, 207]}),
        ("cat,dog", {"names": ["cat", "dog"]}),
        ("names.txt", {"names": "names.txt"}),
    ],
)
def test_which_scores_are_the_classes_can_be_said(weighbridge: Command, given: str, meant: dict[str, Any]) -> None:
    Path("names.txt").write_text("cat\ndog\n")
    assert weighbridge("weigh", "keras/VGG16", "--images", "../classes", "--classes", given)[0] == 0
    classes = load_params().models["keras-VGG16"].classes
    assert classes is not None
    assert classes.model_dump(exclude_none=True) == meant
    assert load_params().data.classes == 2
