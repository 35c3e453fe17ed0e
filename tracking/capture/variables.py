"""Environment variables that can move a number, by the part of a runtime that reads them. No other variable is ever kept.

The names are those found in the binaries and sources of torch 2.13, TensorFlow 2.21, jax 0.10, onnxruntime 1.32, Keras
3.15, timm 1.0, transformers 5.24, oneDNN 3, MKL and OpenBLAS 0.3, less what only logs, caches or moves memory.
`CUDA_VISIBLE_DEVICES` is not among them: `gpus` applies it. `OMP_NUM_THREADS`, which OpenBLAS reads too, is recorded where
OpenMP computes; how many threads OpenBLAS took is in the facts of the process (`pool.*`). libjpeg-turbo's `JSIMD_*` are not:
every setting gave the same pixels on 60 photographs.
"""

import functools
import os
import re
from collections.abc import Iterable, Mapping
from fnmatch import translate

from tracking.runs.facts import Facts
from tracking.runs.secrets import redact

# part of a runtime -> names or patterns
READ_BY: Mapping[str, tuple[str, ...]] = {
    "libc": ("GLIBC_TUNABLES", "LD_PRELOAD"),
    "numpy": ("NPY_DISABLE_CPU_FEATURES", "NPY_ENABLE_CPU_FEATURES"),
    "openblas": (
        "OPENBLAS_CORETYPE",
        "OPENBLAS_NUM_THREADS",
        "OPENBLAS_DEFAULT_NUM_THREADS",
        "OPENBLAS_BLOCK_FACTOR",
        "GOTO_NUM_THREADS",
    ),
    "openmp": (
        "OMP_NUM_THREADS",
        "OMP_THREAD_LIMIT",
        "OMP_DYNAMIC",
        "OMP_SCHEDULE",
        "OMP_PROC_BIND",
        "OMP_PLACES",
        "OMP_WAIT_POLICY",
        "OMP_MAX_ACTIVE_LEVELS",
        "OMP_NESTED",
        "GOMP_*",
        "KMP_*",
    ),
    "mkl": (
        "MKL_CBWR",
        "MKL_NUM_THREADS",
        "MKL_DOMAIN_NUM_THREADS",
        "MKL_DYNAMIC",
        "MKL_ENABLE_INSTRUCTIONS",
        "MKL_DEBUG_CPU_TYPE",
        "MKL_DISABLE_FAST_MM",
        "MKL_NUM_STRIPES",
        "MKL_THREADING_LAYER",
        "MKL_INTERFACE_LAYER",
    ),
    "onednn": (
        "ONEDNN_MAX_CPU_ISA",
        "ONEDNN_CPU_ISA_HINTS",
        "ONEDNN_DEFAULT_FPMATH_MODE",
        "DNNL_MAX_CPU_ISA",
        "DNNL_CPU_ISA_HINTS",
        "DNNL_DEFAULT_FPMATH_MODE",
    ),
    "cuda": (
        "CUDA_DEVICE_ORDER",
        "NVIDIA_TF32_OVERRIDE",
        "CUBLAS_WORKSPACE_CONFIG",
        "CUBLASLT_WORKSPACE_SIZE",
        "CUBLAS_EMULATE_SINGLE_PRECISION",
        "CUBLAS_EMULATION_STRATEGY",
        "CUDNN_FRONTEND_*HEURISTIC*",
        "CUDA_LAUNCH_BLOCKING",
        "CUDA_MODULE_LOADING",
    ),
    "rocm": (
        "HIP_VISIBLE_DEVICES",
        "ROCR_VISIBLE_DEVICES",
        "HSA_OVERRIDE_GFX_VERSION",
        "HSA_XNACK",
        "MIOPEN_FIND_*",
        "MIOPEN_DEBUG_*",
        "ROCBLAS_*",
        "HIPBLASLT_*",
        "TENSILE_*",
    ),
    "torch": (
        "ATEN_CPU_CAPABILITY",
        "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
        "TORCH_BLAS_PREFER_*",
        "TORCH_LINALG_PREFER_*",
        "TORCH_LINEAR_FLATTEN_3D",
        "TORCH_MKLDNN_MATMUL_MIN_*",
        "TORCH_CUDNN_USE_HEURISTIC_MODE_B",
        "TORCH_CUDNN_V8_API_DISABLED",
        "TORCH_ROCM_FA_PREFER_CK",
        "TORCH_COMPILE_DISABLE",
        "TORCHDYNAMO_DISABLE",
        "TORCHINDUCTOR_*",
        "PYTORCH_JIT",
        "PYTORCH_TENSOREXPR*",
        "PYTORCH_TUNABLEOP_ENABLED",
        "PYTORCH_TUNABLEOP_TUNING",
        "PYTORCH_ENABLE_MPS_FALLBACK",
        "PYTORCH_MPS_FAST_MATH",
        "PYTORCH_MPS_PREFER_METAL",
        "PYTORCH_MIOPEN_SUGGEST_NHWC*",
        "CUDNN_ATTENTION",
    ),
    "timm": ("TIMM_FUSED_ATTN", "TIMM_USE_NAFLEX*"),
    "transformers": ("USE_HUB_KERNELS", "TRANSFORMERS_SDPA_FORCE_GQA", "FLASH_ATTENTION_DETERMINISTIC"),
    "tensorflow": (
        "TF_ENABLE_ONEDNN_OPTS",
        "TF_ENABLE_ONEDNN_SPMM",
        "TF_ENABLE_ZENDNN_OPTS",
        "TF_ENABLE_WINOGRAD_NONFUSED",
        "TF_ENABLE_MAXPOOL_NANPROP",
        "TF_ENABLE_CUBLAS_TENSOR_OP_MATH_FP32",
        "TF_ENABLE_CUDNN_TENSOR_OP_MATH_FP32",
        "TF_ENABLE_FFT_TILING_FORWARD",
        "TF_SET_ONEDNN_FPMATH_MODE",
        "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS",
        "TF_ONEDNN_THREADPOOL_USE_CALLER_THREAD",
        "TF_DETERMINISTIC_OPS",
        "TF_CUDNN_DETERMINISTIC",
        "TF_DISABLE_*_DETERMINISM*",
        "TF_USE_DETERMINISTIC_SEGMENT_REDUCTIONS",
        "TF_CUDNN_USE_AUTOTUNE",
        "TF_CUDNN_RNN_USE_AUTOTUNE",
        "TF_CUDNN_USE_RUNTIME_FUSION",
        "TF_CUDNN_DISABLE_CONV_1X1_OPTIMIZATION",
        "TF_CUDNN_WORKSPACE_LIMIT_IN_MB",
        "TF_CUBLAS_WORKSPACE_LIMIT_IN_MB",
        "TF_MATMUL_AUTOTUNE_*",
        "TF_AUTOTUNE_*",
        "TF_CONV2D_USE_FP16_ACCUMULATE",
        "TF_FP16_*_USE_FP32_COMPUTE",
        "TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_*",
        "TF_ENABLE_AUTO_MIXED_PRECISION*",
        "TF_USE_CUBLASLT",
        "TF_USE_CUDNN_BATCHNORM_SPATIAL_PERSISTENT",
        "TF_USE_DEEP_CONV2D",
        "TF_USE_DEFAULT_CONV_ALGO",
        "TF_USE_ROCM_NHWC",
        "TF_USE_LEGACY_KERAS",
        "TF_DISABLE_JIT_KERNELS",
        "TF_DISABLE_RZ_CHECK",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
        "TF_OVERRIDE_GLOBAL_THREADPOOL",
        "TF_XLA_FLAGS",
    ),
    "xla": ("XLA_FLAGS", "PJRT_NPROC", "LIBTPU_INIT_ARGS"),
    "jax": (
        "JAX_ENABLE_X64",
        "JAX_EXPLICIT_X64_DTYPES",
        "JAX_DEFAULT_MATMUL_PRECISION",
        "JAX_DEFAULT_PRNG_IMPL",
        "JAX_DEFAULT_DTYPE_BITS",
        "JAX_RANDOM_SEED_OFFSET",
        "JAX_THREEFRY_*",
        "JAX_NUMPY_DTYPE_PROMOTION",
        "JAX_SOFTMAX_CUSTOM_JVP",
        "JAX_ALLOW_F16_REDUCTIONS",
        "JAX_USE_DIRECT_LINEARIZE",
        "JAX_DISABLE_JIT",
        "JAX_DISABLE_MOST_OPTIMIZATIONS",
        "JAX_OPTIMIZATION_LEVEL",
        "JAX_EXEC_TIME_OPTIMIZATION_EFFORT",
        "JAX_ENABLE_PGLE",
        "JAX_PLATFORMS",
        "JAX_PLATFORM_NAME",
        "JAX_NUM_CPU_DEVICES",
    ),
    "keras": ("KERAS_NNX_ENABLED", "KERAS_TORCH_DEVICE", "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"),
    "onnxruntime": (
        "ORT_DISABLE_*FLASH_ATTENTION",
        "ORT_GQA_DISABLE_FLASH_ATTENTION",
        "ORT_DISABLE_DECODER_ATTENTION",
        "ORT_LOAD_CONFIG_FROM_MODEL",
        "ORT_MLAS_*",
        "ORT_QMOE_CPU_*",
        "ORT_USE_MLAS_*",
        "ORT_TENSORRT_*",
        "MLAS_*",
    ),
}
PATHS = ("LD_PRELOAD",)  # only the files' names: where they lie is the machine's business


def variables(environ: Mapping[str, str], parts: Iterable[str], further: Iterable[str] = ()) -> Facts:
    """Facts ``variable.<name>`` of the set variables that one of `parts` reads or `further` names, credentials taken out."""
    is_read = _any_of((*(pattern for part in parts for pattern in READ_BY.get(part, ())), *further)).match
    return {
        f"variable.{name}": redact(_without_folders(value) if name in PATHS else value, name)
        for name, value in environ.items()
        if is_read(name)
    }


@functools.lru_cache(maxsize=64)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """What no name matches, where there are none. A letter's case counts, on every system."""
    return re.compile("|".join(map(translate, patterns)) or "(?!)")


def _without_folders(value: str) -> str:
    return " ".join(os.path.basename(path) for path in value.replace(":", " ").split())
