"""Which differing conditions may be mere consequences of another one, so that an audit names the root and not the leaf.

Two runs under another `OMP_NUM_THREADS` also differ in `torch.threads`; two installations with another Pillow also differ
in the wheel's hash, in its codecs and in every pixel made with them. Without this order one change looks like ten.
What may follow from a suspect is still listed, under it.
"""

import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

BACKEND = ("param.model.framework", "param.model.backend")
NETWORK = ("param.model.architecture", "param.model.arguments*")
WAYS = ("param.model.computing.*", "param.model.arguments.dtype", "param.model.arguments.attn_implementation")
PIXELS = ("param.model.recipe", "param.recipe.*", "param.data.*", "input.images", "input.manifest")
DECODERS = (
    "package.pillow*",
    "package.opencv*",
    "wheel.pillow*",
    "wheel.opencv*",
    "codec.*",
    "package.numpy",
    "wheel.numpy",
)
PIXEL_CODE = ("input.code/stages/preprocess.py", "input.code/weighbridge/images/*", "input.code/weighbridge/texts/*")
TRAINING_CODE = ("input.code/weighbridge/*",)
RECORDING_CODE = ("input.code/tracking/*", "input.code/stages/infer.py")
PROCESSOR = ("cpu.model", "cpu.flags", "cpu.usable", "cpu.cores", "cgroup.cpu")
DEVICE = ("param.inference.device", "gpu.*")
FRAMEWORK = r"(torch|tensorflow|keras|jax|onnxruntime|numpy|cv2)"
BUILT_IN = (
    r"(?:git|cuda|hip|cudnn|mkl\.version|onednn\.version|cudnn\.version|providers|platform|codec\..*|simd\.baseline)"
)
PACKAGES = (
    "package.torch*",
    "package.tensorflow*",
    "package.jax*",
    "package.onnxruntime*",
    "package.numpy",
    "package.scipy",
)

# A pattern of what may follow, and patterns of what it may follow from, the first that differs being taken.
# `\1` in the second is the group of the first.
RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"code\..*", ("input.code/*",)),
    (r"param\.recipe\..*", ("param.model.recipe",)),
    (r"param\.model\.backend", ("param.model.framework",)),
    (r"param\.model\.arguments.*", ("param.model.architecture",)),
    (r"param\.model\.computing\..*", ("param.model.framework",)),
    (r"input\.weights(?:/.*)?", NETWORK),
    (r"param\.model\.(?:weights|sha256)", ("input.weights",)),
    (r"input\.samples", (*PIXELS, *DECODERS, *PIXEL_CODE)),
    (r"seed\.(?:torch|tensorflow)", ("seed.keras",)),
    (r"input\.documents", ("param.limit", "param.config.limit", "param.task.dataset*", "param.dataset*")),
    (r"input\.manifest", ("input.images", "param.data.*")),
    (r"input\.images|images\..*", ("param.data.*",)),
    (r"(?:wheel|commit)\.(.+)", (r"package.\1",)),
    (r"codec\..*", ("package.pillow*", "wheel.pillow*")),
    (r"cpu\..*", ("cpu.model",)),
    (r"gpu\.(\d+)\..*", (r"gpu.\1.name",)),
    (r"(?:.*\.)?(?:interop_)?threads", ("variable.*THREAD*", "param.inference.threads", *PROCESSOR)),
    (r"pool\.(torch|tensorflow)\..*threads", (r"\1.threads",)),
    (r"torch\.onednn\..*", ("variable.ONEDNN_*", "variable.DNNL_*")),
    (r"torch\.capability", ("variable.ATEN_CPU_CAPABILITY",)),
    (r"numpy\.simd\..*", ("variable.NPY_*",)),
    (r"pool\..*", ("variable.OPENBLAS_*", "variable.MKL_*")),
    (r"tensorflow\.(?:onednn|deterministic)", ("variable.TF_ENABLE_ONEDNN_OPTS", "variable.TF_*DETERMINISTIC*")),
    (r".*tf32.*", ("variable.*TF32*",)),
    (r"keras\.dtype_policy", ("param.model.computing.precision",)),
    (r"torch\.quantized_engine", ("param.model.computing.quantisation",)),
    (r"keras\..*", ("variable.KERAS_*", *BACKEND)),
    (r"jax\..*", ("variable.JAX_*", "variable.XLA_*")),
    (r".*\.(?:kernel|dispatched|capability|isa)", PROCESSOR),
    (r".*\.devices?|.*\.cuda\.\d+\..*|jax\.backend|model\.device", DEVICE),
    (r"scores\..*", ("param.model.classes*", *NETWORK, "input.weights", *BACKEND)),
    (r"model\.(?:dtype|attention|jit|providers|graph_level|layers|values|tensors)", WAYS),
    (r"model\..*", (*NETWORK, "input.weights", *BACKEND)),
    (rf"{FRAMEWORK}\.{BUILT_IN}", (r"package.\1*", r"wheel.\1*")),
    (r"library\.lib(?:m|mvec)", ("os.libc",)),
    (r"library\..*|pool\..*", (*BACKEND, *PACKAGES, "wheel.*", "os.*", "cpu.model")),
    (rf"{FRAMEWORK}\..*", BACKEND),
)
# What only one of the runs has at all may have come or gone with these; older code may just not have written it down.
ONE_SIDED: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"input\.code/weighbridge/frameworks/.*", ("param.model.framework",)),
    (r"gpu\..*|variable\.(?:CUDA|NVIDIA|ROC|HIP).*", ("gpu.0.name",)),
    (rf"{FRAMEWORK}\..*", (r"package.\1",)),
    (
        r"(?:package|wheel|commit|library|pool|random|variable|torch|tensorflow|keras|jax|onnxruntime|numpy|cv2)\..*",
        (*BACKEND, *RECORDING_CODE),
    ),
    (r"(?:model|numerics)\..*", RECORDING_CODE),
)
# Weights trained here were trained on the same samples, and by some of the same code.
TRAINED_HERE = (("input\\.weights", (*NETWORK, "input.samples", *PIXELS, *DECODERS, *TRAINING_CODE)),)


def roots(names: Sequence[str], one_sided: set[str], suspects: set[str], *, trained_here: bool) -> dict[str, str]:
    """For each difference the one that it may follow from in the end, empty where there is none.

    Args:
        names: the differing conditions, the likeliest cause first.
        one_sided: those of them that one run does not have.
        suspects: those that can change a prediction; they are filed under one another only.
        trained_here: whether the weights were trained by this pipeline rather than published.
    """
    parents = {}
    for child in names:
        rules = (*(TRAINED_HERE if trained_here else ()), *RULES, *(ONE_SIDED if child in one_sided else ()))
        others = [name for name in names if name != child and (name in suspects or child not in suspects)]
        parents[child] = _parent(child, others, rules)
    return {name: _root(name, parents) for name in names}


def _parent(child: str, others: Sequence[str], rules: Sequence[tuple[str, tuple[str, ...]]]) -> str:
    for pattern, upstream in rules:
        if matched := re.fullmatch(pattern, child):
            for parent in (matched.expand(each) for each in upstream):
                if found := next((name for name in others if fnmatchcase(name, parent)), ""):
                    return found
    return ""


def _root(name: str, parents: Mapping[str, str]) -> str:
    """The far end of the chain of parents; empty for a name without one (a circle has no root)."""
    seen = {name}
    while parent := parents[name]:
        if parent in seen:
            return ""
        seen.add(parent)
        name = parent
    return name if len(seen) > 1 else ""
