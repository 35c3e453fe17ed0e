"""What conditions of unknown origin may set, and what they may not."""

import pytest

from tracking.capture.variables import READ_BY
from tracking.replay.errors import UntrustedError
from tracking.replay.strangers import require_harmless

HARMLESS = {
    "param.model.framework": "torchvision",
    "param.model.architecture": "resnet18",
    "param.model.weights": "data/weights/x/weights.safetensors",
    "param.model.batch_size": 64,
    "param.model.arguments.alpha": 0.25,
    "param.model.arguments.sizes": "[1, 2]",
    "param.recipe.resize.interpolation": "bilinear",
    "param.recipe.scale": "times 1/255",
    "param.data.classes": 10,
    "param.inference.threads": 2,
    "input.weights": "a" * 32,
    "input.code/stages/infer.py": "b" * 32,
    "variable.ONEDNN_MAX_CPU_ISA": "AVX2",
    "variable.CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "variable.XLA_FLAGS": "--xla_cpu_max_isa=AVX2 --xla_cpu_multi_thread_eigen=false",
    "package.torch": "2.0",
    "torch.mkldnn": False,
    "torch.default_dtype": "torch.float16",
}


def test_a_model_by_its_name_with_weights_that_hold_numbers_is_harmless() -> None:
    require_harmless(HARMLESS)
    require_harmless({**HARMLESS, "param.model.framework": "onnx", "param.model.weights": "m.onnx"})


HARMFUL = {
    "a factory": {"param.model.framework": "factory", "param.model.architecture": "suites/net.py:net"},
    "a factory under another framework": {"param.model.architecture": "suites/net.py:net"},
    "a torch program": {"param.model.framework": "torchfile", "param.model.weights": "m.pt2"},
    "a SavedModel": {"param.model.framework": "savedmodel", "param.model.weights": "folder"},
    "a whole Keras model": {"param.model.framework": "kerasfile", "param.model.weights": "m.keras"},
    "an adapter that nobody knows": {"param.model.framework": "mine"},
    "a pickle": {"param.model.weights": "m.pth"},
    "an architecture to be downloaded": {"param.model.architecture": "hf-hub:somebody/else"},
    "a command": {"param.model.arguments.cmd": '["sh", "-c", "id"]'},
    "code from elsewhere": {"param.model.arguments.trust_remote_code": True},
    "weights outside": {"param.model.weights": "/home/somebody/weights.h5"},
    "weights above": {"param.model.weights": "data/../../weights.h5"},
    "a tokenizer outside": {"param.recipe.tokenizer": "/etc/passwd"},
    "a program that writes images": {"param.data.source": "data/evil.py"},
    "a program's hash": {"input.factory": "c" * 32},
    "a dump": {"variable.XLA_FLAGS": "--xla_dump_to=dump"},
    "a file of flags": {"variable.XLA_FLAGS": "--xla_flagfile=flags"},
    "a library's path": {"variable.ROCBLAS_TENSILE_LIBPATH": "there"},
    "tuning of libc": {"variable.GLIBC_TUNABLES": "glibc.malloc.check=3"},
    "a compiler": {"variable.TORCHINDUCTOR_CPP_WRAPPER": "1"},
    "a preloaded library": {"variable.LD_PRELOAD": "evil.so"},
    "the user's own shell": {"variable.PYTHONSTARTUP": "x"},
    "a path in a variable": {"variable.OMP_PLACES": "/tmp/x"},
    "a flag that is code": {"torch.default_dtype": "torch.x); import os; ("},
    "a condition that nothing sets": {"gpu.0.name": "x"},
}


@pytest.mark.parametrize("forged", HARMFUL.values(), ids=HARMFUL)
def test_what_could_run_or_reach_more_needs_trust(forged: dict) -> None:
    with pytest.raises(UntrustedError, match="needs --trust"):
        require_harmless({**HARMLESS, **forged})


def test_no_variable_that_is_recorded_takes_a_path_from_a_stranger() -> None:
    """Of every kind that Weighbridge records, those found later too."""
    for pattern in {pattern for patterns in READ_BY.values() for pattern in patterns}:
        with pytest.raises(UntrustedError):
            require_harmless({**HARMLESS, f"variable.{pattern.replace('*', 'X')}": "/any/where"})
