"""Where Keras' backends compute: variables that they read once, threads, devices by name. Imported by adapters only."""

import atexit
import os
import shutil
import sys
import tempfile
from typing import Any

from tracking.runs.errors import UserError
from weighbridge.frameworks import Spec
from weighbridge.frameworks._devices import absent, parts

_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false"
_OF_TENSORFLOW = {"cuda": "GPU", "xpu": "XPU"}  # what it calls them
_OF_JAX = {"cuda": "gpu", "mps": "METAL"}  # CUDA's and ROCm's


def set_import_variables(spec: Spec) -> None:
    """Set the variables that Keras and its backends read when they are imported, or when they first compute."""
    if spec.backend == "jax" and spec.threads is not None:
        _limit_jax(spec.threads)
    if "keras" in sys.modules:
        return
    os.environ["KERAS_BACKEND"] = spec.backend
    home = tempfile.mkdtemp(prefix="keras-home-")
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    os.environ["KERAS_HOME"] = home
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if spec.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
        os.environ["JAX_PLATFORMS"] = "cpu"
    if spec.device != "auto":
        os.environ["KERAS_TORCH_DEVICE"] = spec.device  # Keras' own choice on torch, read when it is imported
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # or no second process finds room on the GPU
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def _limit_jax(threads: int) -> None:
    """JAX has no setting for its CPU threads: its client reads a variable when it is made.

    Raises:
        UserError: it is made, with another number.
    """
    bridge = sys.modules.get("jax._src.xla_bridge")
    if bridge is None or not bridge.backends_are_initialized():
        os.environ["PJRT_NPROC"] = str(threads)
        if threads == 1 and _ONE_THREAD not in (flags := os.environ.get("XLA_FLAGS", "")):
            os.environ["XLA_FLAGS"] = f"{flags} {_ONE_THREAD}".strip()
    elif os.environ.get("PJRT_NPROC") != str(threads):
        raise UserError(
            f"params.yaml asks for {threads} threads, JAX in this process has {os.environ.get('PJRT_NPROC', 'all')}: "
            "it takes their number once, when it starts"
        )


def device_of(spec: Spec) -> str:
    """Set threads and device of the backend that was imported; where it computes.

    Raises:
        UserError: a device is asked for by name and is not here.
    """
    return {"tensorflow": tensorflow_device, "jax": _jax_device, "torch": _torch_device}[spec.backend](spec)


def tensorflow_device(spec: Spec) -> str:
    """Set TensorFlow's threads and the one GPU that it may see, and say where it computes."""
    import tensorflow as tf

    if spec.threads is not None:
        tf.config.threading.set_intra_op_parallelism_threads(spec.threads)
        tf.config.threading.set_inter_op_parallelism_threads(spec.threads)
    if spec.device in ("auto", "cpu"):
        return "cuda" if tf.config.list_physical_devices("GPU") else "cpu"
    kind, number = parts(spec.device)
    own = _OF_TENSORFLOW.get(kind, kind.upper())
    there = tf.config.list_physical_devices(own)
    if number >= len(there):
        names = ((name, range(len(tf.config.list_physical_devices(type_)))) for name, type_ in _OF_TENSORFLOW.items())
        raise absent("tensorflow", spec.device, ["cpu", *(f"{name}:{each}" for name, all_ in names for each in all_)])
    if tf.config.get_visible_devices(own) != [there[number]]:
        tf.config.set_visible_devices(there[number], own)
    return spec.device


def _jax_device(spec: Spec) -> str:
    import jax

    if spec.device in ("auto", "cpu"):
        return "cuda" if jax.default_backend() in ("gpu", "cuda") else "cpu"
    kind, number = parts(spec.device)
    try:
        there: list[Any] = jax.devices(_OF_JAX.get(kind, kind))
    except RuntimeError:  # no such platform
        there = []
    if number >= len(there):
        ours = {"gpu": "cuda", "METAL": "mps"}
        names = dict.fromkeys(f"{ours.get(each.platform, each.platform)}:{each.id}" for each in jax.devices())
        raise absent("jax", spec.device, ["cpu", *(name for name in names if name != "cpu:0")])
    jax.config.update("jax_default_device", there[number])
    return spec.device


def _torch_device(spec: Spec) -> str:
    from weighbridge.frameworks import _torch_devices

    device = _torch_devices.configure(spec.threads, spec.seed, spec.device)
    if spec.device != "auto":
        return device
    from keras.src.backend.torch.core import get_device

    return str(get_device())
