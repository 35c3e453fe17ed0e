"""What each condition can change, how large that was seen to be, and why: so that an audit can order its suspects.

Judging lives apart from capturing, so that a better sentence re-runs no model. `RULES` is read from the top; the first
pattern that matches a name counts.
"""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache


class CanChange(StrEnum):
    """The most that a condition can do by itself."""

    DECISIONS = "decisions"
    BITS = "bits"
    SPEED = "speed"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Cause:
    """What is known of conditions whose name matches `pattern` (as in `fnmatch`, case matters).

    Attributes:
        can_change: the most that they can change by themselves.
        rank: the lower, the likelier a cause; equal ranks are equally likely.
        reason: why, in a sentence.
        effect: how large it was seen to be, and under which conditions; empty where nobody has measured.
        source: where that was seen.
    """

    pattern: str
    can_change: CanChange
    rank: int
    reason: str
    effect: str = ""
    source: str = ""


DECISIONS, BITS, SPEED, NOTHING = CanChange.DECISIONS, CanChange.BITS, CanChange.SPEED, CanChange.NOTHING
HERE = "measured here: "
DIGITS = f"{HERE}resnet-like torch net on 540 handwritten digits, 2-core x86 with AVX-512"
SYSNOISE = "SysNoise, https://arxiv.org/abs/2307.00280: ResNet-50 on ImageNet"
TRAINING = "after five training epochs one to two threads flip 24 of 597 predictions"

UNKNOWN = Cause("*", DECISIONS, 900, "nobody has said yet what this can change, so it is not ruled out")

RULES: tuple[Cause, ...] = (
    # ---- what was asked for
    Cause("param.claim.*", NOTHING, 999, "it is what somebody published, nothing computes with it"),
    Cause("param.model.claim*", NOTHING, 999, "it is what somebody published, nothing computes with it"),
    Cause("param.model.weights", NOTHING, 999, "it is a file's name; what was in the file is input.weights"),
    Cause("param.model.sha256", NOTHING, 999, "it is what the weights should be; what they were is input.weights"),
    Cause("param.model.architecture", DECISIONS, 1, "another architecture is another function"),
    Cause("input.weights", DECISIONS, 2, "other weights are another function"),
    Cause("param.model.arguments*", DECISIONS, 3, "the builder's arguments shape the network"),
    Cause(
        "param.model.recipe",
        DECISIONS,
        4,
        "another recipe feeds the model other pixels",
        "a wrong scaling mode or channel order took accuracy from 0.98 to 0.10",
        f"{HERE}net trained on handwritten digits",
    ),
    Cause(
        "param.recipe.resize*",
        DECISIONS,
        5,
        "another resize feeds the model other pixels",
        "against Pillow's bilinear at 224 pixels: nearest 10.2 of 255 levels in the mean, bicubic 1.5, no antialias 6.4",
        f"{HERE}photographs; 0.75 points of top-1 in {SYSNOISE}",
    ),
    Cause(
        "param.recipe.*",
        DECISIONS,
        5,
        "another preprocessing step feeds the model other pixels",
        "a wrong scaling mode or channel order took accuracy from 0.98 to 0.10",
        f"{HERE}net trained on handwritten digits",
    ),
    Cause("input.samples", DECISIONS, 6, "other prepared images or labels are another test"),
    Cause(
        "input.images",
        DECISIONS,
        6,
        "other images or labels are another test; even a recompressed copy is",
        "a JPEG-recompressed copy of CIFAR-10's test set took ResNet-20 from 8.5 to 19 % error",
        "measured by others on the published copy",
    ),
    Cause("input.labels", DECISIONS, 6, "other labels are another test"),
    Cause("param.data.*", DECISIONS, 8, "it says which images and labels are read"),
    Cause("input.code/*", DECISIONS, 10, "this file's code took part"),
    Cause("code.patch", DECISIONS, 12, "code was changed and not committed"),
    Cause("code.dirty", DECISIONS, 13, "code was changed and not committed in one of the two"),
    Cause("code.commit", DECISIONS, 14, "another commit may hold other code"),
    Cause("code.*", DECISIONS, 15, "it describes the code that ran"),
    Cause("param.model.framework", DECISIONS, 16, "another framework has other defaults and other kernels"),
    Cause(
        "param.model.backend",
        BITS,
        17,
        "another back end sums in another order",
        "2e-5 to 5e-5 in the scores between TensorFlow, JAX and torch, no decision of 64",
        f"{HERE}Keras Applications with random calibrated weights",
    ),
    Cause("keras.backend", BITS, 17, "another back end sums in another order", "2e-5 to 5e-5, no decision of 64", HERE),
    Cause(
        "param.model.batch_size",
        BITS,
        30,
        "another batch size lets libraries cut the sums differently; in training mode the batch even enters the statistics",
        "1 or 7 for 32: up to 2e-5 in the scores, no decision of 540; in training mode 0.985 against 0.456 by order alone",
        DIGITS,
    ),
    Cause("param.inference.device", BITS, 31, "a GPU sums in another order and may compute in TF32"),
    Cause("model.device", BITS, 31, "a GPU sums in another order and may compute in TF32"),
    Cause("param.inference.seed", DECISIONS, 32, "where inference draws random numbers, they are others"),
    Cause(
        "random.*",
        DECISIONS,
        20,
        "random numbers were drawn while predicting: something (dropout, say) was not in inference mode",
        "dropout left on at 0.25 costs 0.2 points, at 0.8 8.6 points",
        DIGITS,
    ),
    Cause(
        "param.inference.threads",
        BITS,
        60,
        "threads share out the sums",
        f"1 or 2 threads: the same bits in inference; {TRAINING}",
        DIGITS,
    ),
    Cause("param.inference.*", DECISIONS, 33, "it says how predictions are made"),
    Cause("param.model.*", DECISIONS, 18, "it says what the model is"),
    Cause("param.*", DECISIONS, 19, "it was asked for"),
    Cause("input.*", DECISIONS, 9, "it was read"),
    Cause(
        "model.training*", DECISIONS, 20, "a module in training mode uses the batch's own statistics, or drops values"
    ),
    Cause("model.*", DECISIONS, 21, "the network in the process was another"),
    # ---- images
    Cause(
        "package.pillow*",
        DECISIONS,
        22,
        "Pillow decodes and resizes: another build can give other pixels",
        "decoder 0.98, resize 0.75 points of top-1 between libraries",
        SYSNOISE,
    ),
    Cause(
        "codec.*",
        DECISIONS,
        23,
        "another decoder can give other pixels",
        "TensorFlow's default JPEG decoding differs from Pillow's in 82-87 % of pixels, by up to 18 of 255 levels",
        f"{HERE}photographs; 0.98 points of top-1 in {SYSNOISE}",
    ),
    Cause("wheel.pillow*", DECISIONS, 24, "another build of Pillow carries other codecs"),
    Cause("cv2.*", DECISIONS, 25, "OpenCV's build and switches choose its decoder and resize"),
    Cause(
        "variable.JSIMD_*",
        DECISIONS,
        26,
        "it switches libjpeg-turbo's vector code, which may round other than its plain code",
    ),
    # ---- precision that is given away
    Cause(
        "torch.autocast.*",
        DECISIONS,
        27,
        "autocast computes in half precision",
        "bf16: 8e-2 in the scores of a digits net; 10 of 64 decisions of ResNet-50",
        DIGITS,
    ),
    Cause("keras.dtype_policy", DECISIONS, 27, "a mixed policy computes in half precision"),
    Cause("keras.floatx", DECISIONS, 27, "it is the precision of weights and sums"),
    Cause("torch.default_dtype", DECISIONS, 27, "it is the precision of weights and sums"),
    Cause("jax.x64", DECISIONS, 27, "it is the precision of weights and sums"),
    Cause("variable.JAX_ENABLE_X64", DECISIONS, 27, "it is the precision of weights and sums"),
    Cause("variable.JAX_*X64*", DECISIONS, 27, "it is the precision of weights and sums"),
    Cause("variable.JAX_DEFAULT_DTYPE_BITS", DECISIONS, 27, "it is the precision of weights and sums"),
    Cause("variable.*FPMATH_MODE", DECISIONS, 27, "it lets oneDNN compute in bf16 or TF32"),
    Cause("variable.TF_*MIXED_PRECISION*", DECISIONS, 27, "it rewrites the graph to half precision"),
    Cause("variable.TF_*FP16*", BITS, 28, "it lets half-precision sums run in half precision"),
    Cause("variable.NVIDIA_TF32_OVERRIDE", BITS, 28, "TF32 keeps 10 bits of a mantissa, float32 has 23"),
    Cause("*tf32*", BITS, 28, "TF32 keeps 10 bits of a mantissa, float32 has 23"),
    Cause("*TF32*", BITS, 28, "TF32 keeps 10 bits of a mantissa, float32 has 23"),
    Cause("torch.fp32_precision.*", BITS, 28, "it lets float32 sums run in TF32 or bf16"),
    Cause("torch.allow_*", BITS, 28, "it lets half-precision sums run in half precision"),
    Cause(
        "*matmul_precision",
        BITS,
        28,
        "below `highest` matrix products may run in TF32 or bf16",
        "torch's `medium`: 1e-6 to 2e-5 in the scores, no decision of 540",
        DIGITS,
    ),
    Cause("variable.JAX_DEFAULT_MATMUL_PRECISION", BITS, 28, "below `highest` matrix products may run in TF32 or bf16"),
    Cause("variable.CUBLAS_EMULAT*", BITS, 28, "cuBLAS may put float32 together from narrower numbers"),
    # ---- libraries
    Cause("package.*", DECISIONS, 34, "another version may have other kernels and other defaults"),
    Cause("commit.*", DECISIONS, 35, "it was installed from another commit"),
    Cause("wheel.*", BITS, 36, "the same version, built otherwise, may have other kernels"),
    Cause("library.*", BITS, 37, "another build of this library was loaded"),
    Cause("pool.*.threads", BITS, 61, "threads share out the sums", f"the same bits in inference; {TRAINING}", DIGITS),
    Cause("pool.*", BITS, 38, "another kernel sums in another order"),
    # ---- instruction sets
    Cause(
        "variable.ONEDNN_MAX_CPU_ISA",
        BITS,
        39,
        "it caps the instruction set of oneDNN, whose kernels sum in another order",
        "AVX2 or SSE41 for AVX-512: 1e-6 to 2e-5 in the scores, no decision of 540",
        DIGITS,
    ),
    Cause("variable.ONEDNN_*", BITS, 40, "it steers which kernel oneDNN takes"),
    Cause("variable.DNNL_*", BITS, 40, "it steers which kernel oneDNN takes"),
    Cause(
        "variable.ATEN_CPU_CAPABILITY",
        BITS,
        39,
        "it caps the instruction set of torch's own kernels",
        "`default`: 1e-6 to 2e-5 in the scores, no decision of 540; avx2 and avx512 the same bits",
        DIGITS,
    ),
    Cause(
        "variable.MKL_CBWR",
        BITS,
        39,
        "it fixes MKL's code path",
        "COMPATIBLE: 1e-6 to 2e-5 in the scores, no decision of 540",
        DIGITS,
    ),
    Cause("variable.MKL_ENABLE_INSTRUCTIONS", BITS, 39, "it caps MKL's instruction set"),
    Cause("variable.MKL_DEBUG_CPU_TYPE", BITS, 39, "it makes MKL take another CPU's code path"),
    Cause("variable.OPENBLAS_CORETYPE", BITS, 40, "it makes OpenBLAS take another CPU's kernels"),
    Cause("variable.GLIBC_TUNABLES", BITS, 40, "it can hide instruction sets from libm"),
    Cause("variable.NPY_*", BITS, 40, "it hides instruction sets from NumPy's loops"),
    Cause("variable.LD_PRELOAD", DECISIONS, 41, "a preloaded library may stand in for any other"),
    Cause(
        "torch.capability",
        BITS,
        42,
        "torch's own kernels use another instruction set",
        "see ATEN_CPU_CAPABILITY",
        DIGITS,
    ),
    Cause(
        "torch.onednn.*", BITS, 42, "oneDNN used another instruction set or kernel", "see ONEDNN_MAX_CPU_ISA", DIGITS
    ),
    Cause("numpy.simd.*", BITS, 43, "NumPy's loops use another instruction set"),
    Cause("cpu.model", BITS, 44, "libraries choose kernels by the CPU"),
    Cause("cpu.flags", BITS, 44, "libraries choose kernels by instruction set"),
    Cause("cpu.cache.*", BITS, 46, "libraries cut matrices into blocks that fit the cache"),
    Cause("cpu.usable", BITS, 62, "frameworks start as many threads, and threads share out the sums", TRAINING, DIGITS),
    Cause(
        "cpu.cores",
        BITS,
        62,
        "MKL and onnxruntime start as many threads, and threads share out the sums",
        TRAINING,
        DIGITS,
    ),
    Cause("cpu.*", BITS, 45, "libraries choose kernels by the CPU"),
    # ---- framework switches
    Cause(
        "torch.mkldnn",
        BITS,
        47,
        "with and without oneDNN the sums run in another order",
        "off: 1e-6 to 2e-5 in the scores, no decision of 540; in training 44 of 597 predictions",
        DIGITS,
    ),
    Cause("variable.TF_ENABLE_ONEDNN_OPTS", BITS, 39, "with and without oneDNN the sums run in another order"),
    Cause("variable.TF_*ONEDNN*", BITS, 47, "it steers how TensorFlow uses oneDNN"),
    Cause("tensorflow.onednn", BITS, 47, "with and without oneDNN the sums run in another order"),
    Cause("variable.TF_ENABLE_ZENDNN_OPTS", BITS, 47, "another library computes"),
    Cause("torch.cudnn.benchmark", BITS, 48, "the fastest algorithm on this day is taken, so two runs may differ"),
    Cause("torch.cudnn*", BITS, 48, "cuDNN's version and switches choose its algorithms"),
    Cause("tensorflow.cud*", BITS, 48, "cuDNN's version chooses its algorithms"),
    Cause(
        "torch.deterministic*",
        BITS,
        49,
        "it forbids algorithms whose sums run in any order",
        "same bits on this CPU",
        DIGITS,
    ),
    Cause("torch.mkldnn.deterministic", BITS, 49, "it forbids algorithms whose sums run in any order"),
    Cause("torch.sdp.*", BITS, 50, "it chooses the attention kernel"),
    Cause("torch.interop_threads", SPEED, 63, "it runs independent operations side by side, each sums as before"),
    Cause("tensorflow.interop_threads", SPEED, 63, "it runs independent operations side by side, each sums as before"),
    Cause(
        "torch.threads",
        BITS,
        61,
        "threads share out the sums",
        f"1 or 2: the same bits in inference; {TRAINING}",
        DIGITS,
    ),
    Cause("tensorflow.threads", BITS, 61, "threads share out the sums"),
    Cause("tensorflow.soft_placement", BITS, 64, "what one device lacks may run on another"),
    Cause("tensorflow.*", BITS, 51, "it changes how TensorFlow builds or runs its graph"),
    Cause("torch.*", BITS, 51, "it changes which of its kernels torch takes"),
    Cause(
        "keras.epsilon",
        DECISIONS,
        29,
        "it enters normalisations",
        "BatchNorm's 1e-3 for 1e-5: 0.26 in the scores",
        HERE,
    ),
    Cause("keras.data_format", BITS, 51, "another layout is summed in another order"),
    Cause("keras.*", BITS, 51, "it changes how Keras calls its back end"),
    Cause("jax.threefry_partitionable", DECISIONS, 52, "random numbers come out otherwise"),
    Cause("jax.prng", DECISIONS, 52, "random numbers come out otherwise"),
    Cause("jax.*", BITS, 51, "it changes what XLA compiles"),
    Cause("onnxruntime.*", BITS, 51, "another build or provider has other kernels"),
    Cause("numerics.flush_to_zero", BITS, 53, "numbers below 1e-38 become zero", "the same bits", DIGITS),
    Cause("numerics.rounding", BITS, 29, "every operation rounds otherwise"),
    # ---- variables of the frameworks
    Cause("variable.XLA_FLAGS", BITS, 47, "it changes what XLA compiles"),
    Cause("variable.TF_XLA_FLAGS", BITS, 47, "it changes what XLA compiles"),
    Cause("variable.LIBTPU_INIT_ARGS", BITS, 47, "it changes what XLA compiles"),
    Cause("variable.PJRT_NPROC", BITS, 60, "threads share out the sums"),
    Cause("variable.*DETERMINIS*", BITS, 49, "it forbids or allows algorithms whose sums run in any order"),
    Cause("variable.*AUTOTUNE*", BITS, 48, "the fastest algorithm on this day is taken, so two runs may differ"),
    Cause("variable.*WORKSPACE*", BITS, 48, "it decides which algorithms have room"),
    Cause("variable.JAX_THREEFRY_*", DECISIONS, 52, "random numbers come out otherwise"),
    Cause("variable.JAX_DEFAULT_PRNG_IMPL", DECISIONS, 52, "random numbers come out otherwise"),
    Cause("variable.JAX_RANDOM_SEED_OFFSET", DECISIONS, 52, "random numbers come out otherwise"),
    Cause("variable.JAX_*", BITS, 51, "it changes what JAX compiles, or where it runs"),
    Cause("variable.KERAS_MAX_*", DECISIONS, 29, "it cuts training short"),
    Cause("variable.KERAS_*", BITS, 51, "it changes how Keras calls its back end"),
    Cause(
        "variable.TF_NUM_INTEROP_THREADS", SPEED, 63, "it runs independent operations side by side, each sums as before"
    ),
    Cause("variable.OMP_WAIT_POLICY", SPEED, 70, "it says how idle threads wait"),
    Cause("variable.KMP_BLOCKTIME", SPEED, 70, "it says how idle threads wait"),
    Cause("variable.OMP_PLACES", SPEED, 70, "it says where threads run"),
    Cause("variable.OMP_PROC_BIND", SPEED, 70, "it says where threads run"),
    Cause("variable.GOMP_CPU_AFFINITY", SPEED, 70, "it says where threads run"),
    Cause("variable.KMP_AFFINITY", SPEED, 70, "it says where threads run"),
    Cause(
        "variable.OMP_NUM_THREADS",
        BITS,
        60,
        "threads share out the sums",
        f"1 or 2: the same bits in inference; {TRAINING}",
        DIGITS,
    ),
    Cause(
        "variable.*THREAD*", BITS, 60, "threads share out the sums", f"the same bits in inference; {TRAINING}", DIGITS
    ),
    Cause("variable.OMP_*", BITS, 61, "it changes how threads share out the sums"),
    Cause("variable.GOMP_*", BITS, 61, "it changes how threads share out the sums"),
    Cause("variable.KMP_*", BITS, 61, "it changes how threads share out the sums"),
    Cause("variable.MKL_*", BITS, 47, "it steers which kernel MKL takes"),
    Cause("variable.CUDA_VISIBLE_DEVICES", BITS, 54, "it chooses the GPU, or none"),
    Cause("variable.CUDA_DEVICE_ORDER", BITS, 54, "it chooses the GPU"),
    Cause("variable.CUDA_*", SPEED, 70, "it changes when kernels are loaded or waited for"),
    Cause("variable.CU*", BITS, 48, "it steers which algorithm a CUDA library takes"),
    Cause("variable.HIP_VISIBLE_DEVICES", BITS, 54, "it chooses the GPU, or none"),
    Cause("variable.ROCR_VISIBLE_DEVICES", BITS, 54, "it chooses the GPU, or none"),
    Cause("variable.HSA_*", BITS, 54, "it changes what the GPU passes for"),
    Cause("variable.MIOPEN_*", BITS, 48, "it steers which algorithm MIOpen takes"),
    Cause("variable.ROCBLAS_*", BITS, 48, "it steers which kernel rocBLAS takes"),
    Cause("variable.HIPBLASLT_*", BITS, 48, "it steers which kernel hipBLASLt takes"),
    Cause("variable.TENSILE_*", BITS, 48, "it steers which kernel rocBLAS takes"),
    Cause("variable.ORT_*", BITS, 51, "it steers which kernel onnxruntime takes"),
    Cause("variable.MLAS_*", BITS, 51, "it steers which kernel onnxruntime takes"),
    Cause("variable.TF_*", BITS, 51, "it changes how TensorFlow builds or runs its graph"),
    Cause("variable.TORCH*", BITS, 51, "it changes which of its kernels torch takes"),
    Cause("variable.PYTORCH_*", BITS, 51, "it changes which of its kernels torch takes"),
    # ---- GPU
    Cause("gpu.*.name", BITS, 55, "libraries choose kernels by the GPU"),
    Cause("gpu.*.driver", BITS, 56, "the driver compiles and may choose kernels"),
    Cause("gpu.*.ecc", SPEED, 71, "error correction costs memory bandwidth"),
    Cause("gpu.*.mig*", BITS, 57, "a slice of a GPU has fewer multiprocessors, by which libraries choose kernels"),
    Cause("gpu.*.memory_mib", BITS, 58, "it decides which algorithms have room"),
    Cause("gpu.count", SPEED, 72, "one process here uses one GPU"),
    Cause("gpu.*", BITS, 57, "libraries choose kernels by the GPU"),
    # ---- system
    Cause("os.libc", BITS, 59, "exp, log and their like come from libm"),
    Cause("os.machine", BITS, 44, "another architecture has other instructions"),
    Cause("os.*", BITS, 65, "another system brings other builds of shared libraries"),
    Cause("python.*", BITS, 66, "wheels are built for each Python apart"),
    Cause("cgroup.*", SPEED, 73, "it limits time, not numbers"),
)


@cache
def cause_of(name: str) -> Cause:
    """What the condition called `name` can change; `UNKNOWN` where no rule covers it."""
    return next((rule for rule in RULES if fnmatchcase(name, rule.pattern)), UNKNOWN)
