"""Settings of the frameworks that this process already imported. Nothing is imported to find them.

Every framework is seen through `sys.modules` only; each collector takes the module, so that a test can pass another.
The values are those in force when `settings` is called: call it after predicting.
"""

import enum
import hashlib
import os
import random
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tracking.capture.onednn import chosen_by_torch
from tracking.capture.shared_libraries import numerics_mode, shared_objects, thread_pools
from tracking.runs.facts import Fact, Facts
from tracking.runs.secrets import redact

Pairs = Iterator[tuple[str, Fact | None]]


def settings(modules: Mapping[str, Any] | None = None) -> Facts:
    """Flat dotted settings: ``torch.threads``, ``keras.floatx``, ``library.libgomp``; the same in equal processes."""
    modules = sys.modules if modules is None else modules
    facts: Facts = {}
    for name, collect in COLLECTORS.items():
        if (module := modules.get(name)) is not None:
            facts |= {f"{name}.{key}": value for key, value in collect(module) if value is not None}
    return dict(sorted({**facts, **shared_objects(), **thread_pools(), **numerics_mode()}.items()))


def _at(root: Any, path: str, *arguments: Any) -> Any:
    """The attribute at a dotted path, called when it can be; None where this version has no such thing."""
    try:
        for part in path.split("."):
            root = getattr(root, part)
        return root(*arguments) if callable(root) and not isinstance(root, type) else root
    except (AttributeError, RuntimeError, ImportError, TypeError, ValueError, AssertionError):
        return None


def _plain(value: Any) -> Fact | None:
    if isinstance(value, enum.Enum):
        return value.name
    if value is None or isinstance(value, bool | int | float):
        return value
    return redact(str(value))


def _all(root: Any, paths: Mapping[str, str]) -> Pairs:
    return ((fact, _plain(_at(root, path))) for fact, path in paths.items())


# ---- torch

TORCH = {
    "threads": "get_num_threads",
    "interop_threads": "get_num_interop_threads",
    "capability": "backends.cpu.get_cpu_capability",
    "default_dtype": "get_default_dtype",
    "default_device": "get_default_device",
    "matmul_precision": "get_float32_matmul_precision",
    "fp32_precision.matmul": "backends.cuda.matmul.fp32_precision",
    "fp32_precision.cudnn.conv": "backends.cudnn.conv.fp32_precision",
    "fp32_precision.mkldnn.matmul": "backends.mkldnn.matmul.fp32_precision",
    "fp32_precision.mkldnn.conv": "backends.mkldnn.conv.fp32_precision",
    "allow_tf32": "_C._get_cublas_allow_tf32",
    "allow_fp16_reduction": "_C._get_cublas_allow_fp16_reduced_precision_reduction",
    "allow_bf16_reduction": "_C._get_cublas_allow_bf16_reduced_precision_reduction",
    "allow_fp16_accumulation": "_C._get_cublas_allow_fp16_accumulation",
    "blas.preferred": "_C._get_blas_preferred_backend",
    "linalg.preferred": "_C._get_linalg_preferred_backend",
    "deterministic": "are_deterministic_algorithms_enabled",
    "deterministic.warn_only": "is_deterministic_algorithms_warn_only_enabled",
    "mkldnn": "_C._get_mkldnn_enabled",
    "mkldnn.available": "backends.mkldnn.is_available",
    "mkldnn.deterministic": "_C._get_mkldnn_deterministic",
    "mkl": "backends.mkl.is_available",
    "nnpack": "_C._get_nnpack_enabled",
    "xnnpack": "_C._is_xnnpack_enabled",
    "xpu": "xpu.is_available",
    "openmp": "backends.openmp.is_available",
    "cudnn": "_C._get_cudnn_enabled",
    "cudnn.version": "backends.cudnn.version",
    "cudnn.benchmark": "_C._get_cudnn_benchmark",
    "cudnn.deterministic": "_C._get_cudnn_deterministic",
    "cudnn.allow_tf32": "_C._get_cudnn_allow_tf32",
    "sdp.flash": "_C._get_flash_sdp_enabled",
    "sdp.memory_efficient": "_C._get_mem_efficient_sdp_enabled",
    "sdp.math": "_C._get_math_sdp_enabled",
    "sdp.cudnn": "_C._get_cudnn_sdp_enabled",
    "mha_fastpath": "backends.mha.get_fastpath_enabled",
    "opt_einsum": "backends.opt_einsum.enabled",
    "quantized_engine": "backends.quantized.engine",
    "cuda": "version.cuda",
    "hip": "version.hip",
}
TORCH_BUILD = {"mkl.version": r"Math Kernel Library Version ([\d.]+)", "onednn.version": r"MKL-DNN v([\d.]+)"}


def torch(module: Any) -> Pairs:
    """Threads, precision, determinism, kernels and back ends of torch."""
    yield from _all(module, TORCH)
    build = str(_at(module, "__config__.show") or "")
    for fact, pattern in TORCH_BUILD.items():
        found = re.search(pattern, build)
        yield fact, found[1] if found else None
    for device in ("cpu", "cuda"):
        enabled = _at(module, "is_autocast_enabled", device)
        yield f"autocast.{device}", enabled
        yield f"autocast.{device}.dtype", _plain(_at(module, "get_autocast_dtype", device)) if enabled else None
    yield from chosen_by_torch(module).items()
    yield from _torch_gpus(module)


def _torch_gpus(module: Any) -> Pairs:
    """Only where CUDA was used: asking would start it."""
    if not _at(module, "cuda.is_initialized"):
        return
    for index in range(_at(module, "cuda.device_count") or 0):
        yield f"cuda.{index}.name", _plain(_at(module, "cuda.get_device_name", index))
        capability = _at(module, "cuda.get_device_capability", index)
        yield f"cuda.{index}.capability", ".".join(map(str, capability)) if capability else None


# ---- TensorFlow

TENSORFLOW = {
    "threads": "config.threading.get_intra_op_parallelism_threads",
    "interop_threads": "config.threading.get_inter_op_parallelism_threads",
    "allow_tf32": "config.experimental.tensor_float_32_execution_enabled",
    "jit": "config.optimizer.get_jit",
    "soft_placement": "config.get_soft_device_placement",
    "eager_functions": "config.functions_run_eagerly",
    "synchronous": "config.experimental.get_synchronous_execution",
}


def tensorflow(module: Any) -> Pairs:
    """Threads (0: left to the machine), determinism, oneDNN, XLA and devices of TensorFlow."""
    yield from _all(module, TENSORFLOW)
    yield "deterministic", _at(sys.modules.get("tensorflow.python.framework.config"), "is_op_determinism_enabled")
    yield "onednn", _at(sys.modules.get("tensorflow.python.util._pywrap_util_port"), "IsMklEnabled")
    build = _at(module, "sysconfig.get_build_info") or {}
    yield "cuda", build.get("cuda_version") if build.get("is_cuda_build") else None
    yield "cudnn", build.get("cudnn_version") if build.get("is_cuda_build") else None
    options = _at(module, "config.optimizer.get_experimental_options") or {}
    yield "grappler", _sorted(f"{name}={value}" for name, value in options.items())
    devices = _at(module, "config.get_visible_devices") or ()
    yield "devices", _sorted(device.device_type for device in devices)


def _sorted(words: Iterable[str]) -> str | None:
    return " ".join(sorted(words)) or None


# ---- Keras

KERAS = {
    "backend": "config.backend",
    "floatx": "config.floatx",
    "data_format": "config.image_data_format",
    "epsilon": "config.epsilon",
    "flash_attention": "config.is_flash_attention_enabled",
    "nnx": "config.is_nnx_enabled",
}


def keras(module: Any) -> Pairs:
    """Backend, float type, data format, epsilon and dtype policy of Keras."""
    yield from _all(module, KERAS)
    yield "dtype_policy", _plain(_at(_at(module, "config.dtype_policy"), "name"))


# ---- JAX

JAX = {
    "x64": "jax_enable_x64",
    "matmul_precision": "jax_default_matmul_precision",
    "dtype_promotion": "jax_numpy_dtype_promotion",
    "prng": "jax_default_prng_impl",
    "threefry_partitionable": "jax_threefry_partitionable",
    "disable_jit": "jax_disable_jit",
    "optimization_level": "jax_optimization_level",
    "platforms": "jax_platforms",
}


def jax(module: Any) -> Pairs:
    """Precision, random numbers, compilation and devices of JAX, where it computed: TensorFlow and Keras only import it."""
    if not _at(sys.modules.get("jax._src.xla_bridge"), "backends_are_initialized"):
        return
    yield from _all(module, {fact: f"config.{path}" for fact, path in JAX.items()})
    yield "xla_flags", _sorted(redact(os.environ.get("XLA_FLAGS", "")).split())
    yield "backend", _plain(_at(module, "default_backend"))
    devices = _at(module, "devices") or ()
    yield "devices", _sorted(str(device.device_kind).replace(" ", "_") for device in devices)
    yield "platform", _plain(_at(devices[0], "client.platform_version")) if devices else None


# ---- the rest


def onnxruntime(module: Any) -> Pairs:
    """Build and execution providers of onnxruntime."""
    yield "providers", " ".join(_at(module, "get_available_providers") or ()) or None
    build = str(_at(module, "get_build_info") or "")
    commit = re.search(r"git-commit-id=(\w+)", build)
    yield "git", commit[1] if commit else None
    yield "device", _plain(_at(module, "get_device"))


def numpy(module: Any) -> Pairs:
    """The instruction sets that NumPy's own loops were compiled for, and those of them that this CPU runs."""
    core = sys.modules.get("numpy._core._multiarray_umath") or _at(module, "core._multiarray_umath")
    features = getattr(core, "__cpu_features__", {})
    yield "simd.baseline", _sorted(getattr(core, "__cpu_baseline__", ()))
    yield "simd.dispatched", _sorted(name for name in getattr(core, "__cpu_dispatch__", ()) if features.get(name))


def cv2(module: Any) -> Pairs:
    """Threads, accelerators and codecs of OpenCV."""
    yield from _all(module, {"threads": "getNumThreads", "optimized": "useOptimized", "opencl": "ocl.useOpenCL"})
    build = str(_at(module, "getBuildInformation") or "")
    for codec in ("JPEG", "PNG", "WEBP", "TIFF", "ZLib"):
        found = re.search(rf"^\s*{codec}:\s*(.+)$", build, re.MULTILINE)
        yield f"codec.{codec.lower()}", re.sub(r"\S*/\S*", "", found[1]).strip() if found else None


COLLECTORS = {
    "torch": torch,
    "tensorflow": tensorflow,
    "keras": keras,
    "jax": jax,
    "onnxruntime": onnxruntime,
    "numpy": numpy,
    "cv2": cv2,
}


# ---- randomness


def random_states(modules: Mapping[str, Any] | None = None) -> dict[str, str]:
    """A digest of each global random generator's state. Taken before and after, they tell whether any was drawn from."""
    modules = sys.modules if modules is None else modules
    states = {"python": repr(random.getstate())}
    if (found := modules.get("numpy")) is not None:
        states["numpy"] = repr(
            [str(part.tolist() if hasattr(part, "tolist") else part) for part in found.random.get_state()]
        )
    if (found := modules.get("torch")) is not None:
        states["torch"] = repr(found.get_rng_state().tolist())
    if (found := modules.get("keras")) is not None:
        states["keras"] = repr(_keras_seeds(found))
    return {name: hashlib.sha256(state.encode()).hexdigest()[:16] for name, state in states.items()}


def _keras_seeds(module: Any) -> list[Any]:
    generator = _at(module, "src.backend.common.global_state.get_global_attribute", "global_seed_generator")
    return [str(getattr(getattr(generator, "state", None), "value", None))]


def randomness(before: Mapping[str, str], after: Mapping[str, str]) -> Facts:
    """Facts ``random.<generator>.consumed`` from two calls of `random_states`."""
    return {f"random.{name}.consumed": before[name] != after[name] for name in sorted(before.keys() & after.keys())}
