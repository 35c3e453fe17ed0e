"""A run is found by file, name, id, git revision, MLflow and Comet; what is not there is said in one line."""

import hashlib
import json
import subprocess
import sys
import types
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from git import Repo

from tests.tracking.trackers.stores import empty_store
from tracking.audit.audit import AuditOutcome, audit
from tracking.lookup.find import find_run, find_runs
from tracking.runs.errors import UserError
from tracking.runs.run import Run
from tracking.trackers import connect

RUN = Run(
    subject="resnet18-torchvision",
    command="python -m stages.infer --model resnet18-torchvision",
    params={"model.backend": "torch", "model.batch_size": 64, "recipe.resize.antialias": True},
    inputs={"weights": "a" * 32},
    environment={"package.torch": "2.13.0"},
    code={"commit": "d" * 40, "dirty": False},
    results={"top1": 0.975, "samples": 540, "scores.sha256": "f" * 64},
)
LATER = replace(RUN, environment={"package.torch": "2.14.0"})


def kept(folder: Path, run: Run) -> Path:
    path = folder / "journal" / f"{run.subject}-{run.id[:12]}.json"
    run.save(path)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with LATER as the current run, and both in the journal."""
    folder = tmp_path / "data"
    LATER.save(folder / "runs" / f"{LATER.subject}.json")
    kept(folder, RUN)
    kept(folder, LATER)
    return folder


# ---- files, folders, names, ids


def test_a_file_is_that_run(folder: Path) -> None:
    assert find_run(str(folder / "runs/resnet18-torchvision.json")) == LATER


def test_a_folder_is_every_run_in_it(folder: Path) -> None:
    assert {run.id for run in find_runs(str(folder / "journal"))} == {RUN.id, LATER.id}


def test_a_copy_in_a_folder_counts_once(folder: Path) -> None:
    RUN.save(folder / "journal/copy.json")
    assert len(find_runs(str(folder / "journal"))) == 2


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run file"):
        find_runs(str(tmp_path))


def test_a_folder_where_one_run_is_wanted_is_refused(folder: Path) -> None:
    with pytest.raises(UserError, match="holds 2 runs"):
        find_run(str(folder / "journal"))


def test_a_model_is_its_current_run(folder: Path) -> None:
    assert find_run("resnet18-torchvision", folder) == LATER


@pytest.mark.parametrize("digits", [4, 12, 64])
def test_an_id_prefix_is_that_run_and_a_copy_elsewhere_is_the_same_run(folder: Path, digits: int) -> None:
    assert find_run(LATER.id[:digits], folder) == LATER
    assert find_run(RUN.id[:digits].upper(), folder) == RUN


def test_three_digits_are_too_few(folder: Path) -> None:
    with pytest.raises(UserError, match="at least 4"):
        find_run(RUN.id[:3], folder)


def test_an_id_prefix_of_several_runs_lists_them(folder: Path) -> None:
    variants = (replace(RUN, params={"seed": seed}) for seed in range(100_000))
    twin = next(run for run in variants if run.id[:4] == RUN.id[:4])
    kept(folder, twin)
    with pytest.raises(UserError, match=rf"{RUN.id[:12]}.*; give more digits") as raised:
        find_run(RUN.id[:4], folder)
    assert twin.id[:12] in str(raised.value)


def test_an_unknown_id_is_said(folder: Path) -> None:
    with pytest.raises(UserError, match="has an id that begins so"):
        find_run("0123456789", folder)


def test_an_unknown_name_lists_the_current_runs(folder: Path) -> None:
    with pytest.raises(UserError, match="current runs: resnet18-torchvision"):
        find_run("resnet50", folder)


def test_an_edited_run_is_refused_and_one_beside_it_is_found(folder: Path) -> None:
    path = kept(folder, RUN)
    path.write_text(path.read_text().replace("0.975", "0.995"))
    assert find_run(LATER.id[:8], folder) == LATER
    with pytest.raises(UserError, match="it was edited"):
        find_run(RUN.id[:8], folder)


def test_a_name_cannot_reach_outside_the_folder(folder: Path) -> None:
    RUN.save(folder.parent / "secret.json")
    with pytest.raises(UserError, match="no such file"):
        find_run("../../secret", folder)


# ---- git revisions


def lock_of(**hashes: str) -> str:
    """A `dvc.lock` as DVC writes it: the deps of each stage, then its outs."""
    outs = "".join(
        f"    - path: {path}\n      hash: md5\n      md5: {digest}\n      size: 1\n" for path, digest in hashes.items()
    )
    deps = "    deps:\n    - path: data/runs\n      hash: md5\n      md5: 00000000000000000000000000000000.dir\n"
    return f"schema: '2.0'\nstages:\n  record@x:\n    cmd: python -m stages.record\n{deps}    outs:\n{outs}"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository whose first commit names RUN in its dvc.lock, whose last names LATER; neither is in the cache."""
    monkeypatch.chdir(tmp_path)
    repo = Repo.init(tmp_path)
    with repo.config_writer() as config:
        config.set_value("user", "name", "test").set_value("user", "email", "test@example.org")
    (tmp_path / ".dvc").mkdir()
    (tmp_path / "data").mkdir()
    for run in (RUN, LATER):
        (tmp_path / "dvc.lock").write_text(lock_of(**{f"data/runs/{run.subject}.json": digest_of(run, tmp_path)}))
        repo.index.add(["dvc.lock"])
        repo.index.commit("Run it")
    return repo


def digest_of(run: Run, folder: Path) -> str:
    return hashlib.md5(content_of(run, folder)).hexdigest()


def content_of(run: Run, folder: Path) -> bytes:
    path = folder / "some-run.json"
    run.save(path)
    content = path.read_bytes()
    path.unlink()
    return content


def cached(run: Run, folder: Path, cache: Path) -> None:
    digest = digest_of(run, folder)
    path = cache / "files/md5" / digest[:2] / digest[2:]
    path.parent.mkdir(parents=True)
    path.write_bytes(content_of(run, folder))


def test_a_revision_is_the_run_that_its_lock_file_names(repository: Repo, tmp_path: Path) -> None:
    cached(RUN, tmp_path, tmp_path / ".dvc/cache")
    assert find_run("HEAD~1:resnet18-torchvision") == RUN


@pytest.mark.parametrize("name", ["config", "config.local"])
def test_the_cache_is_where_dvcs_configuration_says(repository: Repo, tmp_path: Path, name: str) -> None:
    (tmp_path / ".dvc" / name).write_text(
        "[core]\n    analytics = false\n[cache]\n    dir = ../elsewhere\n['remote \"x\"']\n    url = s3://x\n"
    )
    cached(RUN, tmp_path, tmp_path / "elsewhere")
    assert find_run("HEAD~1:resnet18-torchvision") == RUN


def test_a_run_that_left_the_cache_is_found_in_the_journal(repository: Repo, tmp_path: Path) -> None:
    kept(tmp_path / "data", LATER)
    assert find_run("HEAD:resnet18-torchvision") == LATER


def test_a_run_that_is_nowhere_says_how_to_bring_it(repository: Repo) -> None:
    with pytest.raises(
        UserError, match=r"not in the DVC cache.*dvc get \. data/runs/resnet18-torchvision.json --rev HEAD"
    ):
        find_run("HEAD:resnet18-torchvision")


def test_a_run_that_git_itself_keeps_needs_no_cache(repository: Repo, tmp_path: Path) -> None:
    path = tmp_path / "data/runs/plain.json"
    RUN.save(path)
    repository.index.add(["data/runs/plain.json"])
    repository.index.commit("Keep it")
    path.unlink()
    assert find_run("HEAD:plain") == RUN


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("nonsense:resnet18-torchvision", "'nonsense' is no git revision"),
        ("HEAD~7:resnet18-torchvision", "is no git revision"),
        ("HEAD:vgg16", "has no data/runs/vgg16.json"),
    ],
)
def test_a_revision_or_model_that_is_not_there_is_said(repository: Repo, written: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        find_run(written)


def test_a_revision_without_a_lock_file_is_said(repository: Repo) -> None:
    repository.index.remove(["dvc.lock"])
    repository.index.commit("Forget it")
    with pytest.raises(UserError, match=r"no dvc\.lock at that revision"):
        find_run("HEAD:resnet18-torchvision")


def test_outside_a_repository_a_revision_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(UserError, match="no git revision here: .* lies in no git repository"):
        find_run("HEAD:resnet18-torchvision")


def test_what_dvc_itself_writes_is_understood(repository: Repo, tmp_path: Path) -> None:
    RUN.save(tmp_path / "source.json")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  record:\n    cmd: mkdir -p data/runs && cp source.json data/runs/a-model.json\n"
        "    deps: [source.json]\n    outs: [data/runs/a-model.json]\n"
    )
    dvc("init", "--quiet", "--force")
    dvc("repro", "--quiet")
    repository.index.add(["dvc.lock", "dvc.yaml"])
    repository.index.commit("Run it")
    (tmp_path / "data/runs/a-model.json").unlink()
    assert find_run("HEAD:a-model") == RUN


def dvc(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True, capture_output=True)


# ---- Comet


def archive(path: Path, messages: list[Any], **members: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("experiment.json", "{}")
        file.writestr("messages.json", "".join(json.dumps(message) + "\n" for message in messages))
        for name, content in members.items():
            file.writestr(name, content)
    return path


FOREIGN = [
    {"type": "parameter_msg", "payload": {"param": {"paramName": "batch_size", "paramValue": "64"}}},
    {"type": "parameter_msg", "payload": {"param": {"paramName": "api_key", "paramValue": "s3cr3t-value"}}},
    {"type": "metric_msg", "payload": {"metric": {"metricName": "top1", "metricValue": 0.5, "step": 1}}},
    {"type": "metric_msg", "payload": {"metric": {"metricName": "top1", "metricValue": 0.75, "step": 2}}},
    {"type": "log_other", "payload": {"key": "Name", "value": "theirs"}},
]


@pytest.fixture(scope="module")
def comet_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the Comet tracker kept RUN, offline."""
    folder = tmp_path_factory.mktemp("comet")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COMET_API_KEY", raising=False)
        connect("comet", folder, "weighbridge").log(RUN)
    return folder


def test_a_run_comes_whole_out_of_the_archive_that_the_tracker_wrote(comet_folder: Path) -> None:
    (path,) = (comet_folder / "comet").glob("*.zip")
    assert find_run(f"comet:{path}") == RUN
    assert find_run(f"comet:{path.stem}", comet_folder) == RUN
    assert find_run(f"comet:{path.stem[:8]}", comet_folder) == RUN


def test_an_archive_of_another_tool_gives_what_it_holds(tmp_path: Path) -> None:
    run = find_run(f"comet:{archive(tmp_path / 'theirs.zip', FOREIGN)}")
    assert (run.schema, run.params["batch_size"], run.results) == (0, 64, {"top1": 0.75})


def test_a_secret_that_another_tool_kept_is_not_read(tmp_path: Path) -> None:
    run = find_run(f"comet:{archive(tmp_path / 'theirs.zip', FOREIGN)}")
    assert "s3cr3t-value" not in json.dumps(run.to_dict())


def of_comet(path: Path, duration: float, **params: object) -> Path:
    """What Comet's SDK writes of its own, beside these params and one result."""
    rows = [
        {"type": "parameter_msg", "payload": {"param": {"paramName": k, "paramValue": v}}} for k, v in params.items()
    ]
    metrics = {"process duration": duration, "sys.cpu.percent.avg": duration, "top1": 0.75}
    rows += [
        {"type": "metric_msg", "payload": {"metric": {"metricName": k, "metricValue": v}}} for k, v in metrics.items()
    ]
    return archive(path, [*rows, {"type": "log_other", "payload": {"key": "offline_experiment", "value": True}}])


def test_what_comet_adds_of_its_own_is_no_suspect_and_no_result(tmp_path: Path) -> None:
    paths = [
        of_comet(tmp_path / "old.zip", 10.5, curr_step=7, batch_size=64, run_arg_0="a"),
        of_comet(tmp_path / "new.zip", 99.0, curr_step=9, batch_size=32, run_arg_0="b"),
    ]
    compared = audit(*(find_run(f"comet:{path}") for path in paths))
    assert [each.name for each in compared.suspects] == ["param.batch_size"]
    assert [each.name for each in compared.harmless] == ["param.curr_step", "param.process duration", "param.run_arg_0"]
    assert compared.grades.other == {}


def test_what_comet_notes_of_the_machine_are_facts(tmp_path: Path) -> None:
    details = {
        "system_details": {"os": "Linux-6", "python_version": "3.11.7", "hostname": "h", "command": ["t.py", "1"]},
        "installed_packages": {"installed_packages": ["torch==2.13.0", "Foo_Bar==1", "local @ file:///x"]},
        "gpu_static_info": {"gpu_static_info": [{"gpuIndex": 0, "name": "NVIDIA H100", "uuid": "u"}]},
        "git_metadata": {"git_metadata": {"parent": "c" * 40, "branch": "b"}},
    }
    rows = [{"type": kind, "payload": payload} for kind, payload in details.items()]
    run = find_run(f"comet:{archive(tmp_path / 'theirs.zip', [*FOREIGN, *rows])}")
    facts = {"os.platform": "Linux-6", "python.version": "3.11.7", "gpu.0.name": "NVIDIA H100"}
    assert run.environment == facts | {"package.torch": "2.13.0", "package.foo-bar": "1"}
    assert run.code == {"commit": "c" * 40}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_is_none_is_read_as_a_word(number: str, tmp_path: Path) -> None:
    rows = [
        {"type": "metric_msg", "payload": {"metric": {"metricName": name, "metricValue": float(number)}}}
        for name in ("top1", "loss")
    ]
    rows.append({"type": "parameter_msg", "payload": {"param": {"paramName": "lr", "paramValue": number}}})
    run = find_run(f"comet:{archive(tmp_path / 'theirs.zip', rows)}")
    word = str(float(number))
    assert (run.results, run.params) == ({"top1": word, "loss": word}, {"lr": number})
    assert Run.from_dict(json.loads(json.dumps({"id": run.id, **run.to_dict()}))) == run
    assert audit(run, run).outcome == AuditOutcome.PARTLY


@pytest.mark.parametrize(
    "message", [None, 3, {}, {"type": "x", "payload": None}, {"type": "x", "payload": {"metric": 1}}]
)
def test_an_archive_of_another_form_is_said(message: object, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="odd.zip: not a whole Comet archive"):
        find_run(f"comet:{archive(tmp_path / 'odd.zip', [message])}")


def test_a_broken_archive_is_said(tmp_path: Path) -> None:
    (tmp_path / "half.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(UserError, match=r"half.zip: not a whole Comet archive"):
        find_run(f"comet:{tmp_path / 'half.zip'}")


def test_an_archive_that_is_not_there_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COMET_API_KEY", raising=False)
    with pytest.raises(UserError, match="cannot be read"):
        find_run(f"comet:{tmp_path / 'none.zip'}")
    with pytest.raises(UserError, match="set COMET_API_KEY"):
        find_run("comet:0123456789abcdef", tmp_path)


class OnlineExperiment:
    """What `comet_ml.API().get_experiment_by_key` returns, as far as it is used."""

    def get_asset_list(self) -> list[dict[str, str]]:
        return [{"assetId": "1", "fileName": "other.txt"}, {"assetId": "2", "fileName": "run.json"}]

    def get_asset(self, asset_id: str, return_type: str) -> str:
        assert (asset_id, return_type) == ("2", "text")
        return json.dumps({"id": RUN.id, **RUN.to_dict()})


class ForeignExperiment:
    """One that somebody else's script made."""

    def get_asset_list(self) -> list[dict[str, str]]:
        return []

    def get_parameters_summary(self) -> list[dict[str, str]]:
        return [{"name": "lr", "valueCurrent": "0.1"}, {"name": "curr_step", "valueCurrent": "7"}]

    def get_metrics_summary(self) -> list[dict[str, str]]:
        return [{"name": "top1", "valueCurrent": "0.75"}, {"name": "loss", "valueCurrent": "NaN"}]

    def get_others_summary(self) -> None:
        return None

    def get_system_details(self) -> dict[str, object]:
        return {"os": "Linux-6", "pythonVersion": "3.11.7", "gpuStaticInfoList": [{"gpuIndex": 1, "name": "A100"}]}

    def get_installed_packages(self) -> list[str]:
        return ["torch==2.13.0"]

    def get_git_metadata(self) -> dict[str, str]:
        return {"parent": "c" * 40}


def test_with_a_key_the_experiment_is_read_online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"abcdef12": OnlineExperiment(), "abcdef34": ForeignExperiment()}
    api = types.SimpleNamespace(get_experiment_by_key=known.get)
    fake = types.SimpleNamespace(API=lambda: api, exceptions=types.SimpleNamespace(CometException=RuntimeError))
    monkeypatch.setitem(sys.modules, "comet_ml", fake)
    monkeypatch.setenv("COMET_API_KEY", "not-a-key")
    assert find_run("comet:abcdef12", tmp_path) == RUN
    theirs = find_run("comet:abcdef34", tmp_path)
    assert (theirs.params["lr"], theirs.results) == (0.1, {"top1": 0.75, "loss": "nan"})
    assert (theirs.environment["gpu.1.name"], theirs.environment["package.torch"]) == ("A100", "2.13.0")
    assert theirs.code == {"commit": "c" * 40}
    with pytest.raises(UserError, match="no such experiment online"):
        find_run("comet:00000000", tmp_path)


# ---- MLflow


@pytest.fixture(scope="module")
def mlflow_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the MLflow tracker kept RUN."""
    folder = empty_store(tmp_path_factory.mktemp("mlflow"))
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        (folder / "address").write_text(connect("mlflow", folder, "weighbridge").log(RUN))
    return folder


@pytest.mark.slow
def test_a_run_comes_whole_out_of_mlflow(mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert find_run((mlflow_folder / "address").read_text(), mlflow_folder) == RUN


@pytest.mark.slow
def test_an_mlflow_run_of_ours_without_its_document_keeps_its_sections(
    mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{mlflow_folder / 'mlflow.db'}")
    address = (mlflow_folder / "address").read_text()
    (document,) = mlflow_folder.rglob("run.json")
    hidden = document.rename(mlflow_folder / "hidden.json")
    try:
        run = find_run(address, mlflow_folder)
    finally:
        hidden.rename(document)
    assert run.schema == 0
    assert run.conditions == RUN.conditions
    assert run.results["top1"] == RUN.results["top1"]


@pytest.mark.slow
def test_a_number_of_mlflow_that_is_none_is_read_as_a_word(
    mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    client = MlflowClient(f"sqlite:///{mlflow_folder / 'mlflow.db'}")
    made = client.create_run("1")
    for name, value in {"top1": 0.5, "loss": float("nan"), "worst": float("inf")}.items():
        client.log_metric(made.info.run_id, name, value)
    found = find_run(f"mlflow:{made.info.run_id}", mlflow_folder)
    assert (found.results["top1"], found.results["loss"]) == (0.5, "nan")
    assert found.results["worst"] in ("inf", 1.7976931348623157e308)  # SQL stores keep the largest number instead
    assert len(found.id) == 64


@pytest.mark.slow
def test_an_mlflow_run_that_is_not_there_is_said(mlflow_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match=r"mlflow:0000.* not found"):
        find_run("mlflow:" + "0" * 32, mlflow_folder)


def test_reading_makes_no_store_where_the_named_one_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/typo/typo.db")
    with pytest.raises(UserError, match=r"mlflow:abc: there is no such store: .*typo\.db"):
        find_run("mlflow:abc", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_without_an_mlflow_store_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match="MLFLOW_TRACKING_URI is not set"):
        find_run("mlflow:abc", tmp_path)
    assert list(tmp_path.iterdir()) == []
