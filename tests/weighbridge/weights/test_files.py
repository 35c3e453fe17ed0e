"""Hostile and broken weights files: each is refused in one line, and nothing that is in it runs."""

import hashlib
import importlib.util
import io
import json
import os
import pickle
import re
import stat
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.import_graph import ROOT
from tests.installed import needs
from tests.weighbridge.images.pictures import LinearClassifier, recipe, sample_set, save_prepared, write_pictures
from tracking.runs.errors import UserError
from weighbridge.params.section import load_yaml
from weighbridge.weights import confinement as _confinement
from weighbridge.weights import readers as _readers
from weighbridge.weights.archives import require_bounded_zip
from weighbridge.weights.files import (
    load_tensors,
    marks_of,
    read_weights,
    require_pinned,
    require_safe_keras,
    require_version,
)
from weighbridge.weights.keras_configs import code_in


class Touch:
    """Pickled, it is a call of os.system that makes a file."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.canary}",)


def zipped(path: Path, entries: dict[str, bytes], **more: Any) -> Path:
    with zipfile.ZipFile(path, "w", **more) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def torch_zip(path: Path, pickled: bytes, **entries: bytes) -> Path:
    return zipped(path, {"w/data.pkl": pickled, "w/version": b"3\n", "w/byteorder": b"little", **entries})


def malicious_pickle(folder: Path, canary: Path) -> Path:
    path = folder / "w.pth"
    path.write_bytes(pickle.dumps({"w": Touch(canary)}))
    return path


def malicious_torch_zip(folder: Path, canary: Path) -> Path:
    return torch_zip(folder / "w.pt", pickle.dumps({"w": Touch(canary)}, protocol=2))


def malicious_legacy_torch(folder: Path, canary: Path) -> Path:
    path = folder / "w.th"
    magic, protocol, system = 0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}
    path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in (magic, protocol, system, Touch(canary))))
    return path


def malicious_array(folder: Path, canary: Path) -> Path:
    path = folder / "w.npy"
    np.save(path, np.array([Touch(canary)], dtype=object), allow_pickle=True)
    return path


def zip_bomb(folder: Path, _canary: Path) -> Path:
    zeros = b"\0" * (100 * 2**20)
    return zipped(folder / "w.npz", {"w.npy": zeros}, compression=zipfile.ZIP_DEFLATED)


def truncated_torch(folder: Path, _canary: Path) -> Path:
    path = torch_zip(folder / "w.pth", pickle.dumps({}), **{"w/data/0": bytes(4000)})
    path.write_bytes(path.read_bytes()[:2000])
    return path


def traversal(folder: Path, _canary: Path) -> Path:
    return zipped(folder / "w.npz", {"../../escaped.npy": b"x"})


def symlink(folder: Path, _canary: Path) -> Path:
    link = zipfile.ZipInfo("w.npy")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(folder / "w.npz", "w") as archive:
        archive.writestr(link, "/etc/hostname")
    return folder / "w.npz"


def lying_safetensors(folder: Path, _canary: Path) -> Path:
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    path = folder / "w.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    return path


def endless_safetensors(folder: Path, _canary: Path) -> Path:
    path = folder / "w.safetensors"
    path.write_bytes(struct.pack("<Q", 2**60) + b"{}")
    return path


def lying_array(folder: Path, _canary: Path) -> Path:
    header = str({"descr": "<f8", "fortran_order": False, "shape": (2**40,)}).encode().ljust(117) + b"\n"
    path = folder / "w.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(16))
    return path


def plain_pickle_of_another_name(folder: Path, canary: Path) -> Path:
    path = folder / "w.pkl"
    path.write_bytes(pickle.dumps(Touch(canary)))
    return path


NEED_TORCH = {malicious_pickle, malicious_torch_zip, malicious_legacy_torch}
BAD: dict[Callable[[Path, Path], Path], str] = {
    malicious_pickle: r"w\.pth: torch reads no state dict from it \(Unsupported operand",
    malicious_torch_zip: r"w\.pt: asks for posix\.system, which is code and not a tensor",
    malicious_legacy_torch: r"w\.th: asks for posix\.system, which is code and not a tensor",
    malicious_array: "NumPy reads no arrays from it .*allow_pickle=False",
    zip_bomb: "a zip bomb",
    truncated_torch: "a damaged archive|torch reads no state dict",
    traversal: "names a file outside the archive",
    symlink: "holds a symbolic link",
    lying_safetensors: "not a readable safetensors file",
    endless_safetensors: "not a readable safetensors file",
    lying_array: "NumPy reads no arrays from it|wants more memory|the process that read it",
    plain_pickle_of_another_name: r"weights must be \.safetensors, \.pth",
}


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_a_bad_file_is_refused_in_one_line_and_runs_nothing(make: Callable[[Path, Path], Path], tmp_path: Path) -> None:
    if make in NEED_TORCH | {truncated_torch}:
        pytest.importorskip("torch")
    canary = tmp_path / "canary"
    path = make(tmp_path, canary)
    with pytest.raises(UserError, match=BAD[make]) as caught:
        load_tensors(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not canary.exists()
    assert not (tmp_path.parent / "escaped.npy").exists()


@pytest.mark.parametrize("make", [malicious_pickle, malicious_array], ids=lambda make: make.__name__)
def test_the_malicious_files_would_run_if_they_were_unpickled(
    make: Callable[[Path, Path], Path], tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    content = make(tmp_path, canary).read_bytes()
    pickle.loads(content[content.index(b"\x80") if make is malicious_pickle else content.index(b"\n\x80") + 1 :])
    assert canary.exists()


@pytest.fixture
def torch() -> Any:
    return pytest.importorskip("torch")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_state_dict_of_either_kind_comes_back(torch: Any, zipped: bool, tmp_path: Path) -> None:
    wanted = {"a": torch.arange(6.0).reshape(2, 3).T, "count": torch.tensor(3), "half": torch.ones(2).bfloat16()}
    torch.save(wanted, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    found = load_tensors(tmp_path / "w.pth")
    assert {name: (value.shape, str(value.dtype)) for name, value in found.items()} == {
        "a": ((3, 2), "float32"),
        "count": ((), "int64"),
        "half": ((2,), "float32"),
    }
    assert np.array_equal(found["a"], wanted["a"].numpy())


def test_a_checkpoint_says_which_of_its_weights_are_taken(torch: Any, tmp_path: Path) -> None:
    average = {"n_averaged": torch.tensor(9), "w": torch.ones(2)}
    torch.save({"model": {"w": torch.zeros(2)}, "model_ema": average, "epoch": 3}, tmp_path / "w.ckpt")
    found = read_weights(tmp_path / "w.ckpt")
    assert {name: value.tolist() for name, value in found.tensors.items()} == {"w": [1, 1]}
    (said,) = found.adjustments
    assert (said.fact, said.value) == ("model.weights.entry", "model_ema")
    assert said.sentence.endswith("w.ckpt: the weights under 'model_ema' are taken, not those under model")


def test_tensors_that_grow_out_of_nothing_are_refused(torch: Any, tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(1).expand(2**32)}, tmp_path / "w.pth")
    with pytest.raises(UserError, match=r"bytes would become 17179869184; nothing was loaded"):
        load_tensors(tmp_path / "w.pth")


def test_arrays_of_numpy_come_back(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "w.npz", a=np.eye(3), b=np.arange(4))
    found = load_tensors(tmp_path / "w.npz")
    assert np.array_equal(found["a"], np.eye(3))
    assert found["b"].tolist() == [0, 1, 2, 3]


def test_bfloat16_comes_as_float32_out_of_safetensors(torch: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.tensor([[1.5, -2]]).bfloat16(), "b": torch.ones(2)}, tmp_path / "w.safetensors")
    found = load_tensors(tmp_path / "w.safetensors")
    assert found["a"].tolist() == [[1.5, -2]]
    assert found["a"].dtype == found["b"].dtype == np.float32


def test_code_is_opened_only_when_its_hash_is_pinned(tmp_path: Path) -> None:
    path = tmp_path / "w.pt"
    path.write_bytes(b"code")
    with pytest.raises(UserError, match=r"w\.pt: such a file holds code, so it is opened only when `sha256`"):
        require_pinned(path, None)
    with pytest.raises(UserError, match="nothing was loaded"):
        require_pinned(path, "0" * 64)
    require_pinned(path, hashlib.sha256(b"code").hexdigest())


@pytest.mark.parametrize(("installed", "fine"), [("2.9.1+cu126", False), ("2.10.0", True), ("2.13.0+cpu", True)])
def test_old_libraries_are_refused_by_name(installed: str, fine: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("weighbridge.weights.files.metadata.version", lambda _package: installed)
    if fine:
        require_version("torch", (2, 10), "reading w.pth")
        return
    with pytest.raises(UserError, match=r"torch is 2\.9\.1\+cu126; reading w\.pth needs 2\.10 or newer"):
        require_version("torch", (2, 10), "reading w.pth")


def test_a_plain_archive_passes_and_one_with_too_many_entries_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = zipped(tmp_path / "w.zip", {str(number): b"x" for number in range(5)})
    require_bounded_zip(path)
    monkeypatch.setattr("weighbridge.weights.archives.ENTRIES", 4)
    with pytest.raises(UserError, match="an archive of 5 entries"):
        require_bounded_zip(path)


def test_entries_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "w.zip", {"a": bytes(4000), "b": b""})
    content = path.read_bytes()
    first, second = (content.index(b"PK\x01\x02"), content.rindex(b"PK\x01\x02"))
    twice = bytearray(content)
    twice[second + 16 : second + 28] = content[first + 16 : first + 28]  # checksum and both sizes of the first
    twice[second + 42 : second + 46] = content[first + 42 : first + 46]  # and its place
    path.write_bytes(twice)
    with pytest.raises(UserError, match="its entries overlap"):
        require_bounded_zip(path)


def test_content_that_is_not_what_the_archive_declares_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "w.zip", {"a": b"right"})
    path.write_bytes(path.read_bytes().replace(b"right", b"wrong"))
    with pytest.raises(UserError, match="damaged archive"):
        require_bounded_zip(path)


def hang(path: Path) -> _readers.Reading:
    raise NotImplementedError


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("import time; time.sleep(60)", "could not be read within 1 s"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", r"the process that read it died \(SIGSEGV\)"),
        ("raise SystemExit(3)", "ended with exit code 3"),
        ("import os\ndef hang(path): os._exit(0)", "ended with exit code 0"),
    ],
)
def test_a_reader_that_hangs_or_dies_is_one_line(
    program: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_reader.py").write_text(program)
    monkeypatch.setattr(hang, "__module__", "bad_reader")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(_confinement, "SECONDS", 1.0 if "sleep" in program else 60.0)
    (tmp_path / "w.pth").write_bytes(b"")
    with pytest.raises(UserError, match=rf"w\.pth: .*{words}"):
        _confinement.read_confined(hang, tmp_path / "w.pth")


def test_the_reading_process_sees_no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("COMET_API_KEY", "secret")
    assert "COMET_API_KEY" not in _confinement._environment(tmp_path)


LAMBDA = {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wEA"}}}}


@pytest.mark.parametrize(
    ("node", "words"),
    [
        (LAMBDA, "a Lambda layer"),
        ({"class_name": "TFSMLayer", "config": {"filepath": "/x"}}, "a TFSMLayer layer"),
        ({"class_name": "TextVectorization", "config": {"vocabulary": "/etc/passwd"}}, "may read files"),
        ({"module": "os", "class_name": "system"}, "os.system"),
        ({"module": "keras.utils", "class_name": "get_file"}, "keras.utils.get_file"),
        ({"module": "keras.config", "class_name": "enable_unsafe_deserialization"}, "keras.config"),
        ({"module": None, "class_name": "Mine", "registered_name": "Custom>Mine"}, "Custom>Mine"),
        ({"class_name": "X", "config": {"function_type": "lambda"}}, "a lambda"),
        ({"module": "keras", "class_name": "layers.Lambda"}, "keras.layers.Lambda, which is not Keras' own"),
        ({"module": "keras", "class_name": "layers.TFSMLayer"}, "keras.layers.TFSMLayer"),
        ({"module": "keras", "class_name": "layers.StringLookup"}, "keras.layers.StringLookup"),
        ({"module": "keras", "class_name": "utils.get_file"}, "keras.utils.get_file"),
        ({"module": "keras", "class_name": "function", "config": "utils.get_file"}, "function keras.utils.get_file"),
        ({"module": "builtins", "class_name": "function", "config": "..utils.get_file"}, "utils.get_file"),
        ({"module": "keras", "class_name": "device"}, "keras.device"),
        ({"module": "keras.models", "class_name": "model_from_json"}, "keras.models.model_from_json"),
        ({"module": "keras.saving", "class_name": "function", "config": "load_model"}, "keras.saving.load_model"),
        ({"module": "keras.applications", "class_name": "ResNet50"}, "keras.applications.ResNet50"),
        ({"class_name": "Mine>Layer"}, "Mine>Layer"),
    ],
)
def test_code_in_a_keras_configuration_is_found_however_deep(node: dict, words: str) -> None:
    found = code_in({"class_name": "Sequential", "config": {"layers": [{"config": {"layer": node}}]}})
    assert found is not None
    assert words in found


def test_an_ordinary_keras_configuration_passes() -> None:
    dense = {"module": "keras.layers", "class_name": "Dense", "registered_name": None, "config": {"activation": "relu"}}
    relu = {"module": "builtins", "class_name": "function", "config": "relu", "registered_name": "relu"}
    policy = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
    assert code_in({"module": "keras", "class_name": "Sequential", "config": [dense, relu, policy]}) is None
    assert code_in({"module": "keras.src.models.functional", "class_name": "Functional", "config": [dense]}) is None
    on_torch = {
        "module": "keras.src.backend.torch.optimizers.torch_adam",
        "class_name": "Adam",
        "registered_name": "Adam",
    }
    assert code_in({"compile_config": {"optimizer": on_torch}}) is None
    assert code_in({"module": "keras.src.backend.torch.core", "class_name": "get_device"}) is not None


def h5_model(path: Path, config: dict, weights: Callable[[Any], None] = lambda file: None) -> Path:
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(config)
        file.create_group("model_weights").attrs["layer_names"] = []
        weights(file)
    return path


def keras_archive(path: Path, config: dict) -> Path:
    h5py = pytest.importorskip("h5py")
    stored = io.BytesIO()
    with h5py.File(stored, "w") as file:
        file["layers/dense/vars/0"] = np.zeros(3)
    return zipped(path, {"config.json": json.dumps(config).encode(), "model.weights.h5": stored.getvalue()})


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_lambda_is_refused_before_keras_sees_the_file(suffix: str, tmp_path: Path) -> None:
    needs("keras")
    write = keras_archive if suffix == ".keras" else h5_model
    path = write(tmp_path / f"model{suffix}", {"class_name": "Sequential", "config": {"layers": [LAMBDA]}})
    with pytest.raises(UserError, match=rf"model\{suffix}: holds a Lambda layer, which holds code; nothing was loaded"):
        require_safe_keras(path)
    require_safe_keras(write(tmp_path / f"fine{suffix}", {"class_name": "Sequential", "config": {"layers": []}}))


def external(file: Any) -> None:
    file.create_dataset("model_weights/w", (4,), "f4", external=[("/etc/hostname", 0, 16)])


def linked(file: Any) -> None:
    import h5py

    file["model_weights/w"] = h5py.ExternalLink("/tmp/other.h5", "w")


def bomb(file: Any) -> None:
    file.create_dataset("model_weights/w", (2**34,), "f4", chunks=(2**20,), compression="gzip")


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (external, "keeps /model_weights/w in another file"),
        (linked, "model_weights/w is a link to another place"),
        (bomb, "bytes would become 68719476736"),
    ],
)
def test_an_h5_that_reaches_out_or_blows_up_is_refused(
    weights: Callable[[Any], None], words: str, tmp_path: Path
) -> None:
    needs("keras")
    path = h5_model(tmp_path / "model.h5", {"class_name": "Sequential", "config": {"layers": []}}, weights)
    with pytest.raises(UserError, match=words):
        require_safe_keras(path)


def asked_of(folder: Path, weights: Path, *, sha256: str | None = None, **model: str) -> list[str]:
    """The arguments of `python -m stages.infer` on one model with these weights, as DVC gives them; `folder` has all it needs."""
    params = load_yaml(ROOT / "params.yaml")
    chosen = params["models"]["resnet18-torchvision"]
    chosen.update({**model, "weights": str(weights), "sha256": sha256})
    (folder / "params.yaml").write_text(json.dumps(params), encoding="utf-8")  # JSON is YAML, and written in no time
    pictures = write_pictures(folder / "pictures", 4)
    save_prepared(sample_set(pictures, recipe(), LinearClassifier()), folder / "samples/test")
    given = ["--model", "resnet18-torchvision", "--samples", "samples", "--images", "pictures", "--conditions", ""]
    return [*given, "--weights", str(weights), "--predictions", "predictions"]


def infer(folder: Path, weights: Path, *, sha256: str | None = None, **model: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stages.infer", *asked_of(folder, weights, sha256=sha256, **model)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)


# one file of each reader: what it says is the same for all that it refuses
OF_EACH_READER = (malicious_pickle, malicious_array, zip_bomb, lying_safetensors, plain_pickle_of_another_name)
# torch is imported once, then every file has a process of its own
FORKS = """
import json, os, sys
from weighbridge.process.torchvision_operators import define_missing_operators
define_missing_operators()
import torch, torchvision
from stages import infer
from weighbridge.process.stage import run
for folder, arguments in json.loads(sys.argv[1]):
    if (child := os.fork()) == 0:
        os.chdir(folder)
        for number, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY), number)
        sys.argv = ["infer", *arguments]
        run(infer.main)
        os._exit(0)
    with open(f"{folder}/code", "w") as file:
        file.write(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[Callable[[Path, Path], Path], Path]:
    """By what makes a bad file, the folder in which inference was asked to load it."""
    pytest.importorskip("torch")
    if not hasattr(os, "fork"):
        pytest.skip("processes cannot be forked here")
    folders = {make: tmp_path_factory.mktemp(make.__name__) for make in OF_EACH_READER}
    asked = [(str(folder), asked_of(folder, make(folder, folder / "canary"))) for make, folder in folders.items()]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", FORKS, json.dumps(asked)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return folders


@pytest.mark.parametrize("make", OF_EACH_READER, ids=lambda make: make.__name__)
def test_inference_on_a_bad_file_ends_with_exit_code_2_and_one_line(
    make: Callable[[Path, Path], Path], ended: dict[Callable[[Path, Path], Path], Path]
) -> None:
    folder = ended[make]
    code, out, said = ((folder / name).read_text() for name in ("code", "stdout", "stderr"))
    assert (code, out, said.count("\n")) == ("2", "", 1), said
    assert re.search(BAD[make], said)
    assert not (folder / "canary").exists()
    assert not (folder / "predictions").exists()


def hostile_keras(folder: Path, _canary: Path, *, suffix: str, node: dict) -> Path:
    write = keras_archive if suffix == ".keras" else h5_model
    return write(folder / f"model{suffix}", {"class_name": "Sequential", "config": {"layers": [node]}})


def truncated_onnx(folder: Path, _canary: Path) -> Path:
    onnx, helper = pytest.importorskip("onnx"), pytest.importorskip("onnx.helper")
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 3]) for name in ("images", "scores")]
    graph = helper.make_graph([helper.make_node("Relu", ["images"], ["scores"])], "g", [ends[0]], [ends[1]])
    content = helper.make_model(graph).SerializeToString()
    (folder / "w.onnx").write_bytes(content[: len(content) // 2])
    return folder / "w.onnx"


KERAS = {"framework": "kerasfile", "backend": "tensorflow"}
DOTTED: dict[str, Any] = {"module": "keras", "class_name": "layers.Lambda", "registered_name": None, "config": {}}
FETCHES = {"module": "keras", "class_name": "function", "config": "utils.get_file", "registered_name": "get_file"}


@pytest.mark.parametrize(
    ("make", "model", "words"),
    [
        (malicious_pickle, {"framework": "torchfile"}, "opened only when `sha256` in params.yaml pins it"),
        (truncated_onnx, {"framework": "onnx", "backend": "onnxruntime"}, "w.onnx: not a"),
        (partial(hostile_keras, suffix=".keras", node=LAMBDA), KERAS, "holds a Lambda layer, which holds code"),
        (partial(hostile_keras, suffix=".h5", node=LAMBDA), KERAS, "holds a Lambda layer, which holds code"),
        (partial(hostile_keras, suffix=".keras", node=DOTTED), KERAS, "holds keras.layers.Lambda, which is not"),
        (partial(hostile_keras, suffix=".h5", node=FETCHES), KERAS, "holds the function keras.utils.get_file"),
    ],
    ids=["torchfile", "onnx", "keras Lambda", "h5 Lambda", "keras layers.Lambda", "h5 get_file"],
)
def test_inference_on_a_bad_program_ends_with_exit_code_2_and_one_line(
    make: Callable[[Path, Path], Path], model: dict[str, str], words: str, tmp_path: Path
) -> None:
    for module in {"kerasfile": ("keras",), "onnx": ("onnxruntime",)}.get(model["framework"], ("torch",)):
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    canary = tmp_path / "canary"
    done = infer(tmp_path, make(tmp_path, canary), **model)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr
    assert not canary.exists()
    assert not (tmp_path / "predictions").exists()


def test_a_wrong_hash_ends_inference_before_a_byte_is_parsed(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    ended = infer(tmp_path, malicious_pickle(tmp_path, canary), sha256="0" * 64)
    assert ended.returncode == 2
    assert "params.yaml says 000" in ended.stderr
    assert not canary.exists()


def rewritten(path: Path) -> None:
    """With other content, but of the same size, at the same place, and of the same time as far as that can be set."""
    before = path.stat()
    path.write_bytes(bytes(255 - byte for byte in path.read_bytes()))
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # a clock's tick is milliseconds long
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("changed", ["one.safetensors", "folder/part", "model.onnx", "data.bin"])
def test_weights_that_were_changed_have_other_marks_whatever_their_times_say(changed: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for name, content in {"one.safetensors": b"a", "folder/part": b"b", "data.bin": b"c"}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "model.onnx").write_bytes(b"\x0a\x08location\x12\x08data.bin")
    (tmp_path / "folder" / "gone").symlink_to("nothing")
    weights = [tmp_path / name for name in ("one.safetensors", "folder", "model.onnx")]
    before = [marks_of(path) for path in weights]
    assert [marks_of(path) for path in weights] == before
    rewritten(tmp_path / changed)
    moved = [path.name for path, marks in zip(weights, before, strict=True) if marks_of(path) != marks]
    assert moved == [{"folder/part": "folder", "data.bin": "model.onnx"}.get(changed, changed)]
