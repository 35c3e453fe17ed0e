"""What each condition can change, how large that was seen to be, and why: so that an audit can order its suspects.

Judging lives apart from capturing, so that a better sentence re-runs no model. `RULES` is read from the top; the first
pattern that matches a name counts.
"""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import cache


class CanChange(StrEnum):
    """The most that a condition can do by itself. Other bits can tip a near tie, and with it a decision."""

    DECISIONS = "decisions"
    BITS = "bits"
    SPEED = "speed"
    NOTHING = "nothing"


@dataclass(frozen=True)
class Cause:
    """What is known of the conditions whose name matches `pattern` (as in `fnmatch`, case matters).

    Attributes:
        can_change: the most that they can change by themselves.
        rank: the lower, the likelier a cause; equal ranks are equally likely.
        reason: why, in a sentence.
        effect: how large it was seen to be; empty where nobody has measured.
        source: where that was seen, and under which conditions.
    """

    pattern: str
    can_change: CanChange
    rank: int
    reason: str
    effect: str = ""
    source: str = ""


DECISIONS, BITS, SPEED, NOTHING = CanChange.DECISIONS, CanChange.BITS, CanChange.SPEED, CanChange.NOTHING

DIGITS = "measured here: a small torch net, 540 handwritten digits, one CPU"
TORCH = (
    "measured here: torch 2.13, squeezenet1_0 with ImageNet weights, 100 photographs, logits up to 48, one AVX-512 CPU"
)
KERAS = (
    "measured here: Keras 3.15, MobileNet 0.25 with ImageNet weights, 100 photographs, logits up to 23, one AVX-512 CPU"
)
ONNX = "measured here: onnxruntime 1.32, squeezenet1_0 with ImageNet weights, 100 photographs, one AVX-512 CPU"
PHOTOS = "measured here: photographs decoded and resized"
SYSNOISE = "SysNoise, https://arxiv.org/abs/2307.00280, ResNet-50 on ImageNet"

# Why, and how much: said once, used by several names.
OTHER_ORDER = "the sums run in another order"
WRONG_PIXELS = ("a wrong scaling mode or channel order took accuracy from 0.98 to 0.10", DIGITS)
THREADS = "threads share out the sums"
THREADS_SEEN = (
    "2 for 1: up to 9e-6 in the scores on torch, none on TensorFlow and onnxruntime, no decision; "
    "five epochs of training: 24 of 597 decisions",
    f"{TORCH}; training: {DIGITS}",
)
ISA_SEEN = (
    "AVX2 or SSE41 for AVX-512: up to 4e-5 in the scores on torch, TensorFlow and JAX, no decision of 100",
    f"{TORCH}; {KERAS}",
)
ONEDNN_SEEN = (
    "without oneDNN: 3e-5 in torch's scores, 7e-5 in TensorFlow's, no decision of 100; "
    "five epochs of training: 44 of 597 decisions",
    f"{TORCH}; {KERAS}; training: {DIGITS}",
)
BACKEND_SEEN = ("TensorFlow against JAX 3e-5, against torch 4e-5 in the scores, no decision of 100", KERAS)
HALF_SEEN = (
    "bf16 autocast: 0.4 in the scores, 1 of 100 decisions; 10 of 64 of ResNet-50's",
    f"{TORCH}; measured here: ResNet-50, 64 images",
)
PRECISION_SEEN = ("torch's `medium`: 7e-6 in the scores, `high`: the same bits, no decision of 100", TORCH)
LAYOUT_SEEN = ("channels_last: 1.5e-5 in the scores", TORCH)
SAME_BITS = ("the same bits", TORCH)

TF32 = "TF32 keeps 10 bits of a mantissa where float32 has 23"
HALF = "it lets sums run in half precision"
PRECISION = "it is the precision of weights and sums"
MATMUL = "below the highest, matrix products may run in TF32 or bf16"
RANDOM = "random numbers come out otherwise"
KERNEL = "it steers which kernel is taken"
ALGORITHM = "it steers which algorithm is taken"
FASTEST = "the algorithm that is fastest on the day is taken, so that two runs may differ"
ANY_ORDER = "it forbids or allows algorithms whose sums run in any order"
WHERE_THREADS_RUN = "it says where threads run and how they wait, not what they compute"
BY_CPU = "libraries choose kernels by the CPU"
BY_GPU = "libraries choose kernels by the GPU"
WHICH_GPU = "it chooses the GPU, or none"
SIDE_BY_SIDE = "independent operations run side by side, each sums as before"
GRAPH = "it changes how the graph is built, compiled or run"
NO_CAUSE = "nothing computes with it"

UNKNOWN = Cause("*", DECISIONS, 900, "nobody has said yet what this can change, so it is not ruled out")

ASKED_FOR = (
    Cause("param.claim.*", NOTHING, 999, f"it is what somebody published: {NO_CAUSE}"),
    Cause("param.model.claim*", NOTHING, 999, f"it is what somebody published: {NO_CAUSE}"),
    Cause("param.model.weights", NOTHING, 999, "it is a file's name; what was in the file is input.weights"),
    Cause("param.model.sha256", NOTHING, 999, "it is what the weights should be; what they were is input.weights"),
    Cause("param.model.architecture", DECISIONS, 1, "another architecture is another function"),
    Cause("param.model.arguments*", DECISIONS, 3, "the builder's arguments shape the network"),
    Cause("param.model.recipe", DECISIONS, 4, "another recipe feeds the model other pixels", *WRONG_PIXELS),
    Cause(
        "param.recipe.resize*",
        DECISIONS,
        5,
        "another resize feeds the model other pixels",
        "against Pillow's bilinear at 224: nearest 10.2 of 255 levels on average, bicubic 1.5, without antialias 6.4; "
        "0.75 points of top-1",
        f"{PHOTOS}; {SYSNOISE}",
    ),
    Cause("param.recipe.*", DECISIONS, 5, "another step feeds the model other pixels", *WRONG_PIXELS),
    Cause("param.data.*", DECISIONS, 8, "it says which images and labels are read"),
    Cause("param.model.framework", DECISIONS, 16, "another framework has other defaults and other kernels"),
    Cause("param.model.backend", BITS, 17, f"on another back end {OTHER_ORDER}", *BACKEND_SEEN),
    Cause(
        "param.model.batch_size",
        BITS,
        30,
        f"in another batch {OTHER_ORDER}; in training mode the batch even enters the statistics",
        "1 for 32: up to 1e-5 in the scores, no decision of 100; none on onnxruntime; "
        "in training mode 0.985 against 0.456 by the batches' composition alone",
        f"{TORCH}; {ONNX}; training mode: {DIGITS}",
    ),
    Cause("param.model.*", DECISIONS, 18, "it says what the model is"),
    Cause("param.inference.device", BITS, 31, f"on a GPU {OTHER_ORDER}, perhaps in TF32"),
    Cause(
        "param.inference.mode",
        DECISIONS,
        1,
        "in training mode BatchNorm takes each batch's own statistics, and dropout draws",
        "0.985 with mixed batches, 0.456 with sorted ones, where inference mode gives 0.99",
        f"training mode: {DIGITS}",
    ),
    Cause("param.inference.layout", BITS, 51, f"in another layout {OTHER_ORDER}", *LAYOUT_SEEN),
    Cause("param.inference.seed", DECISIONS, 32, "where inference draws random numbers, they are others"),
    Cause("param.inference.threads", BITS, 60, THREADS, *THREADS_SEEN),
    Cause("param.inference.*", DECISIONS, 33, "it says how predictions are made"),
    Cause("param.*", DECISIONS, 19, "it was asked for"),
)
READ = (
    Cause("input.weights", DECISIONS, 2, "other weights are another function"),
    Cause("input.factory", DECISIONS, 2, "the file that builds the network was another"),
    Cause("input.samples", DECISIONS, 6, "other pixels or labels are another test"),
    Cause("input.manifest", DECISIONS, 6, "other images or labels are another test"),
    Cause("input.labels", DECISIONS, 6, "other labels are another test"),
    Cause(
        "input.images",
        DECISIONS,
        6,
        "other images are another test, even the same ones compressed again",
        "CIFAR-10's test set as JPEG: ResNet-20 errs in 19.0 % instead of 8.5 %",
        "measured here: published weights, 10,000 images as JPEG against 1,000 lossless",
    ),
    Cause("recipe.*.sha256", DECISIONS, 5, "the file that says how samples are prepared was another"),
    Cause("images.format", DECISIONS, 6, "a file that was compressed once more has lost something"),
    Cause("images.jpeg_step", DECISIONS, 6, "the coarser a JPEG's quantisation, the more of the image was lost"),
    Cause("input.predictions", NOTHING, 999, "it is the result itself, as its authors published it"),
    Cause("input.scores", NOTHING, 999, "it is part of the result, as its authors published it"),
    Cause("input.code/*", DECISIONS, 10, "this file's code took part"),
    Cause("input.*", DECISIONS, 9, "it was read"),
    Cause("code.patch", DECISIONS, 12, "code was changed and not committed"),
    Cause("code.dirty", DECISIONS, 13, "code was changed and not committed in one of the two"),
    Cause("code.commit", DECISIONS, 14, "another commit may hold other code"),
    Cause("code.*", DECISIONS, 15, "it describes the code that ran"),
)
NETWORK = (
    Cause(
        "random.*",
        DECISIONS,
        20,
        "random numbers were drawn while predicting: something, dropout perhaps, was not in inference mode",
        "dropout left on costs 0.2 points at a rate of .25, 8.6 points at .8",
        DIGITS,
    ),
    Cause(
        "model.training*",
        DECISIONS,
        20,
        "a module in training mode normalises by the batch, or drops values",
        "100 forward passes of black images in training mode took accuracy from 0.993 to 0.387",
        DIGITS,
    ),
    Cause("model.dropout*", DECISIONS, 21, "it is how much is dropped in training mode"),
    Cause(
        "model.batchnorm.epsilon",
        DECISIONS,
        21,
        "it enters every normalisation",
        "Keras' default 1e-3 for 1e-5: up to 0.26 in the scores",
        DIGITS,
    ),
    Cause("model.batchnorm.momentum", DECISIONS, 29, "it is how fast the moving statistics follow, in training only"),
    Cause("model.device", BITS, 31, f"on a GPU {OTHER_ORDER}, perhaps in TF32"),
    Cause("model.layers.frozen", DECISIONS, 29, "frozen layers do not train"),
    Cause("model.*", DECISIONS, 21, "the network in the process was another"),
)
IMAGES = (
    Cause(
        "package.pillow*",
        DECISIONS,
        22,
        "Pillow decodes and resizes: another version can give other pixels",
        "between libraries: decoding 0.98, resizing 0.75 points of top-1",
        SYSNOISE,
    ),
    Cause(
        "codec.*",
        DECISIONS,
        23,
        "another decoder can give other pixels",
        "TensorFlow's default JPEG decoding differs from Pillow's in 82-87 % of pixels, by up to 18 of 255 levels; "
        "0.98 points of top-1",
        f"{PHOTOS}; {SYSNOISE}",
    ),
    Cause("wheel.pillow*", DECISIONS, 24, "another build of Pillow carries other codecs"),
    Cause("cv2.*", DECISIONS, 25, "OpenCV's build and switches choose its decoder and its resize"),
)
PRECISIONS = (
    Cause("torch.autocast.*", DECISIONS, 27, "autocast computes in half precision", *HALF_SEEN),
    Cause("keras.dtype_policy", DECISIONS, 27, "a mixed policy computes in half precision"),
    Cause("keras.floatx", DECISIONS, 27, PRECISION),
    Cause("torch.default_dtype", DECISIONS, 27, PRECISION),
    Cause("jax.x64", DECISIONS, 27, PRECISION, "float32 inputs and weights: the same bits", KERAS),
    Cause("variable.JAX_*X64*", DECISIONS, 27, PRECISION, "float32 inputs and weights: the same bits", KERAS),
    Cause("variable.JAX_DEFAULT_DTYPE_BITS", DECISIONS, 27, PRECISION),
    Cause("variable.TF_*MIXED_PRECISION*", DECISIONS, 27, "it rewrites the graph to half precision"),
    Cause(
        "variable.*FPMATH_MODE",
        BITS,
        28,
        "it lets oneDNN compute in bf16 or TF32",
        "BF16: the same bits on torch and TensorFlow",
        f"{TORCH}; {KERAS}",
    ),
    Cause("variable.TF_*FP16*", BITS, 28, HALF),
    Cause("*tf32*", BITS, 28, TF32),
    Cause("*TF32*", BITS, 28, TF32),
    Cause("torch.fp32_precision.*", BITS, 28, "it lets float32 sums run in TF32 or bf16", *PRECISION_SEEN),
    Cause("torch.allow_*", BITS, 28, HALF),
    Cause("*matmul_precision", BITS, 28, MATMUL, *PRECISION_SEEN),
    Cause("variable.JAX_DEFAULT_MATMUL_PRECISION", BITS, 28, MATMUL, "bfloat16: the same bits on a CPU", KERAS),
    Cause("variable.CUBLAS_EMULAT*", BITS, 28, "cuBLAS may put float32 together from narrower numbers"),
    Cause("numerics.rounding", BITS, 29, "every operation rounds otherwise"),
    Cause("numerics.flush_to_zero", BITS, 53, "the smallest numbers become zero", *SAME_BITS),
)
LIBRARIES = (
    Cause("package.safetensors", BITS, 68, "it reads the weights, and passes their bits on"),
    Cause("package.h5py", BITS, 68, "it reads the weights, and passes their bits on"),
    Cause("package.*", DECISIONS, 34, "another version may have other kernels and other defaults"),
    Cause("commit.*", DECISIONS, 35, "it was installed from another commit"),
    Cause("wheel.*", BITS, 36, "the same version, built otherwise, may have other kernels"),
    Cause("library.*", BITS, 37, "another build of this library was loaded"),
    Cause("pool.*.threads", BITS, 61, THREADS, *THREADS_SEEN),
    Cause("pool.*", BITS, 38, f"with another kernel {OTHER_ORDER}"),
    Cause("variable.LD_PRELOAD", DECISIONS, 41, "a preloaded library may stand in for any other"),
)
INSTRUCTIONS = (
    Cause("variable.*_MAX_CPU_ISA", BITS, 39, f"it caps oneDNN's instruction set, so {OTHER_ORDER}", *ISA_SEEN),
    Cause(
        "variable.ATEN_CPU_CAPABILITY",
        BITS,
        39,
        f"it caps the instruction set of torch's own kernels, so {OTHER_ORDER}",
        "`default`: up to 2e-5 in the scores of a digits net, the same bits in squeezenet1_0; no decision",
        f"{DIGITS}; {TORCH}",
    ),
    Cause(
        "variable.MKL_CBWR", BITS, 39, "it fixes MKL's code path", "COMPATIBLE: 8e-6 in the scores, no decision", TORCH
    ),
    Cause("variable.MKL_ENABLE_INSTRUCTIONS", BITS, 39, "it caps MKL's instruction set", *SAME_BITS),
    Cause("variable.MKL_DEBUG_CPU_TYPE", BITS, 39, "it makes MKL take another CPU's code path"),
    Cause("variable.OPENBLAS_CORETYPE", BITS, 40, "it makes OpenBLAS take another CPU's kernels"),
    Cause("variable.GLIBC_TUNABLES", BITS, 43, "it can hide instruction sets from libm", *SAME_BITS),
    Cause("variable.NPY_*", BITS, 43, "it hides instruction sets from NumPy's own loops", *SAME_BITS),
    Cause("torch.capability", BITS, 42, "torch's own kernels use another instruction set", *ISA_SEEN),
    Cause("torch.onednn.*", BITS, 42, "oneDNN took another instruction set or kernel", *ISA_SEEN),
    Cause("numpy.simd.*", BITS, 43, "NumPy's own loops use another instruction set", *SAME_BITS),
    Cause("cpu.usable", BITS, 62, f"frameworks start as many threads, and {THREADS}", *THREADS_SEEN),
    Cause("cpu.cores", BITS, 62, f"MKL and onnxruntime start as many threads, and {THREADS}", *THREADS_SEEN),
    Cause("cpu.cache.*", BITS, 46, "libraries cut matrices into blocks that fit the cache"),
    Cause("cpu.model", BITS, 44, BY_CPU, *ISA_SEEN),
    Cause("cpu.flags", BITS, 44, "libraries choose kernels by instruction set", *ISA_SEEN),
    Cause("cpu.*", BITS, 45, BY_CPU),
    Cause("os.machine", BITS, 44, "another architecture has other instructions"),
)
SWITCHES = (
    Cause("variable.TF_ENABLE_ONEDNN_OPTS", BITS, 39, f"without oneDNN {OTHER_ORDER}", *ONEDNN_SEEN),
    Cause("tensorflow.onednn", BITS, 47, f"without oneDNN {OTHER_ORDER}", *ONEDNN_SEEN),
    Cause("torch.mkldnn.deterministic", BITS, 49, ANY_ORDER),
    Cause("torch.mkldnn*", BITS, 47, f"without oneDNN {OTHER_ORDER}", *ONEDNN_SEEN),
    Cause("torch.cudnn.benchmark", BITS, 48, FASTEST),
    Cause("torch.cudnn*", BITS, 48, "cuDNN's version and switches choose its algorithms"),
    Cause("tensorflow.cud*", BITS, 48, "CUDA's and cuDNN's versions choose the algorithms"),
    Cause("torch.deterministic*", BITS, 49, ANY_ORDER, *SAME_BITS),
    Cause("torch.sdp.*", BITS, 50, "it chooses the attention kernel"),
    Cause("torch.threads", BITS, 61, THREADS, *THREADS_SEEN),
    Cause("torch.interop_threads", SPEED, 63, SIDE_BY_SIDE),
    Cause("torch.*", BITS, 51, KERNEL),
    Cause("tensorflow.threads", BITS, 61, THREADS, *THREADS_SEEN),
    Cause("tensorflow.interop_threads", SPEED, 63, SIDE_BY_SIDE),
    Cause("tensorflow.deterministic", BITS, 49, ANY_ORDER, *SAME_BITS),
    Cause("tensorflow.soft_placement", BITS, 64, "what one device lacks may run on another"),
    Cause("tensorflow.*", BITS, 51, GRAPH),
    Cause("keras.backend", BITS, 17, f"on another back end {OTHER_ORDER}", *BACKEND_SEEN),
    Cause("keras.epsilon", DECISIONS, 29, "it is added where a division by zero threatens"),
    Cause("keras.data_format", BITS, 51, f"in another layout {OTHER_ORDER}", *LAYOUT_SEEN),
    Cause("keras.*", BITS, 51, "it changes how Keras calls its back end"),
    Cause("jax.threefry_partitionable", DECISIONS, 52, RANDOM),
    Cause("jax.prng", DECISIONS, 52, RANDOM),
    Cause("jax.*", BITS, 51, GRAPH),
    Cause("onnxruntime.*", BITS, 51, "another build or provider has other kernels"),
)
VARIABLES = (
    Cause(
        "variable.XLA_FLAGS",
        BITS,
        47,
        "it changes what XLA compiles",
        "--xla_cpu_max_isa=SSE4_2: 3e-5 in the scores, --xla_cpu_multi_thread_eigen=false: the same bits; no decision",
        KERAS,
    ),
    Cause("variable.TF_XLA_FLAGS", BITS, 47, "it changes what XLA compiles"),
    Cause("variable.LIBTPU_INIT_ARGS", BITS, 47, "it changes what XLA compiles"),
    Cause("variable.TF_*ONEDNN*", BITS, 47, "it steers how TensorFlow uses oneDNN"),
    Cause("variable.TF_ENABLE_ZENDNN_OPTS", BITS, 47, f"in another library {OTHER_ORDER}"),
    Cause("variable.ONEDNN_*", BITS, 40, "it steers which kernel oneDNN takes"),
    Cause("variable.DNNL_*", BITS, 40, "it steers which kernel oneDNN takes"),
    Cause("variable.*DETERMINIS*", BITS, 49, ANY_ORDER, *SAME_BITS),
    Cause("variable.*AUTOTUNE*", BITS, 48, FASTEST),
    Cause("variable.*WORKSPACE*", BITS, 48, "it decides which algorithms have room"),
    Cause("variable.JAX_THREEFRY_*", DECISIONS, 52, RANDOM),
    Cause("variable.JAX_DEFAULT_PRNG_IMPL", DECISIONS, 52, RANDOM),
    Cause("variable.JAX_RANDOM_SEED_OFFSET", DECISIONS, 52, RANDOM),
    Cause("variable.JAX_*", BITS, 51, GRAPH),
    Cause("variable.KERAS_MAX_*", DECISIONS, 29, "it cuts training short"),
    Cause("variable.KERAS_*", BITS, 51, "it changes how Keras calls its back end"),
    Cause("variable.TF_NUM_INTEROP_THREADS", SPEED, 63, SIDE_BY_SIDE),
    Cause("variable.OMP_WAIT_POLICY", SPEED, 70, WHERE_THREADS_RUN),
    Cause("variable.OMP_PLACES", SPEED, 70, WHERE_THREADS_RUN),
    Cause("variable.OMP_PROC_BIND", SPEED, 70, WHERE_THREADS_RUN),
    Cause("variable.KMP_BLOCKTIME", SPEED, 70, WHERE_THREADS_RUN),
    Cause("variable.*_AFFINITY", SPEED, 70, WHERE_THREADS_RUN),
    Cause("variable.*THREAD*", BITS, 60, THREADS, *THREADS_SEEN),
    Cause("variable.PJRT_NPROC", BITS, 60, THREADS, "1 for 2: the same bits on JAX", KERAS),
    Cause("variable.OMP_*", BITS, 61, f"it changes how {THREADS}"),
    Cause("variable.GOMP_*", BITS, 61, f"it changes how {THREADS}"),
    Cause("variable.KMP_*", BITS, 61, f"it changes how {THREADS}"),
    Cause("variable.MKL_*", BITS, 47, "it steers which kernel MKL takes"),
    Cause("variable.HIP_VISIBLE_DEVICES", BITS, 54, WHICH_GPU),
    Cause("variable.ROCR_VISIBLE_DEVICES", BITS, 54, WHICH_GPU),
    Cause("variable.CUDA_VISIBLE_DEVICES", BITS, 54, WHICH_GPU),
    Cause("variable.CUDA_DEVICE_ORDER", BITS, 54, WHICH_GPU),
    Cause("variable.CUDA_*", SPEED, 70, "it changes when kernels are loaded or waited for"),
    Cause("variable.CU*", BITS, 48, ALGORITHM),
    Cause("variable.HSA_*", BITS, 54, "it changes what the GPU passes for"),
    Cause("variable.MIOPEN_*", BITS, 48, ALGORITHM),
    Cause("variable.ROCBLAS_*", BITS, 48, KERNEL),
    Cause("variable.HIPBLASLT_*", BITS, 48, KERNEL),
    Cause("variable.TENSILE_*", BITS, 48, KERNEL),
    Cause("variable.ORT_*", BITS, 51, KERNEL),
    Cause("variable.MLAS_*", BITS, 51, KERNEL),
    Cause("variable.TF_*", BITS, 51, GRAPH),
    Cause("variable.TORCH*", BITS, 51, KERNEL),
    Cause("variable.TIMM_USE_NAFLEX*", DECISIONS, 29, "it puts another implementation in the architecture's place"),
    Cause("variable.TIMM_*", BITS, 51, KERNEL),
    Cause("variable.TRANSFORMERS_*", BITS, 51, KERNEL),
    Cause("variable.USE_HUB_KERNELS", BITS, 51, "it takes kernels from Hugging Face's hub instead of torch's own"),
    Cause("variable.PYTORCH_*", BITS, 51, KERNEL),
)
MACHINE = (
    Cause("gpu.count", SPEED, 72, "one process here uses one GPU"),
    Cause("gpu.visible", BITS, 54, WHICH_GPU),
    Cause("gpu.*.name", BITS, 55, BY_GPU),
    Cause("gpu.*.driver", BITS, 56, "the driver compiles kernels, and may choose them"),
    Cause("gpu.*.ecc", SPEED, 71, "error correction costs memory bandwidth"),
    Cause("gpu.*.mig*", BITS, 57, "a slice of a GPU has fewer multiprocessors, and libraries choose kernels by them"),
    Cause("gpu.*.memory_mib", BITS, 58, "it decides which algorithms have room"),
    Cause("gpu.*", BITS, 57, BY_GPU),
    Cause("environment.origin", NOTHING, 999, f"it says whether conditions were captured or declared: {NO_CAUSE}"),
    Cause("os.libc", BITS, 59, "exp, log and their like come from libm"),
    Cause("os.*", BITS, 65, "another system brings other builds of shared libraries"),
    Cause("python.*", BITS, 66, "wheels are built for each Python apart"),
    Cause("cgroup.*", SPEED, 73, "it limits time, not numbers"),
)
RULES: tuple[Cause, ...] = (
    *ASKED_FOR,
    *READ,
    *NETWORK,
    *IMAGES,
    *PRECISIONS,
    *LIBRARIES,
    *INSTRUCTIONS,
    *SWITCHES,
    *VARIABLES,
    *MACHINE,
)


@cache
def cause_of(name: str) -> Cause:
    """What the condition called `name` can change; `UNKNOWN` where no rule covers it."""
    return next((rule for rule in RULES if fnmatchcase(name, rule.pattern)), UNKNOWN)
