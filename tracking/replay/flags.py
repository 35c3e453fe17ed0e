"""Settings of a framework that a process makes before a stage starts, and whether they still held when it ended."""

from collections.abc import Mapping

from tracking.replay.conditions import Conditions
from tracking.replay.errors import RefusedError
from tracking.runs.outcomes import Outcome
from tracking.runs.run import Scalar

# How each is made, given the value `v`. Their names are those of `tracking.capture.process_settings`. In this order: the first
# of the precisions sets those after it too.
FLAGS: Mapping[str, str] = {
    "torch.mkldnn": "torch.backends.mkldnn.enabled = v",
    "torch.mkldnn.deterministic": "torch.backends.mkldnn.deterministic = v",
    "torch.matmul_precision": "torch.set_float32_matmul_precision(v)",
    "torch.cudnn.allow_tf32": "torch.backends.cudnn.allow_tf32 = v",
    "torch.allow_tf32": "torch.backends.cuda.matmul.allow_tf32 = v",
    "torch.fp32_precision.matmul": "torch.backends.cuda.matmul.fp32_precision = v",
    "torch.fp32_precision.cudnn.conv": "torch.backends.cudnn.conv.fp32_precision = v",
    "torch.fp32_precision.mkldnn.matmul": "torch.backends.mkldnn.matmul.fp32_precision = v",
    "torch.fp32_precision.mkldnn.conv": "torch.backends.mkldnn.conv.fp32_precision = v",
    "torch.default_dtype": "torch.set_default_dtype(getattr(torch, v.removeprefix('torch.')))",
    "torch.deterministic": "torch.use_deterministic_algorithms(v)",
    "torch.cudnn": "torch.backends.cudnn.enabled = v",
    "torch.cudnn.benchmark": "torch.backends.cudnn.benchmark = v",
    "torch.cudnn.deterministic": "torch.backends.cudnn.deterministic = v",
    "torch.sdp.flash": "torch.backends.cuda.enable_flash_sdp(v)",
    "torch.sdp.memory_efficient": "torch.backends.cuda.enable_mem_efficient_sdp(v)",
    "torch.sdp.math": "torch.backends.cuda.enable_math_sdp(v)",
    "torch.mha_fastpath": "torch.backends.mha.set_fastpath_enabled(v)",
    "torch.nnpack": "torch.backends.nnpack.set_flags(v)",
    "torch.autocast.cpu": "torch.set_autocast_enabled('cpu', v)",
    "torch.autocast.cpu.dtype": "torch.set_autocast_dtype('cpu', getattr(torch, v.removeprefix('torch.')))",
    "torch.autocast.cuda": "torch.set_autocast_enabled('cuda', v)",
    "torch.autocast.cuda.dtype": "torch.set_autocast_dtype('cuda', getattr(torch, v.removeprefix('torch.')))",
    "numerics.flush_to_zero": "torch.set_flush_denormal(v)",
    "tensorflow.allow_tf32": "tensorflow.config.experimental.enable_tensor_float_32_execution(v)",
    "tensorflow.deterministic": "v and tensorflow.config.experimental.enable_op_determinism()",
    "tensorflow.jit": "tensorflow.config.optimizer.set_jit(v)",
    "jax.x64": "jax.config.update('jax_enable_x64', v)",
    "jax.matmul_precision": "jax.config.update('jax_default_matmul_precision', v)",
}


def flags_in(conditions: Conditions) -> dict[str, Scalar]:
    """Those of the frameworks that this model's process imports: a hybrid may have those of another backend too."""
    backend = str(conditions.get("param.model.backend"))
    heads = {backend, *(["numerics"] if backend == "torch" else [])}
    return {
        name: value
        for name, value in conditions.items()
        if name in FLAGS and name.partition(".")[0] in heads and value is not None
    }


def launcher(stage: str, flags: Mapping[str, Scalar]) -> str:
    """A Python program that sets `flags`, which are its first argument as JSON, then runs the stage with those that follow."""
    heads = sorted({name.partition(".")[0].replace("numerics", "torch") for name in flags})
    return "\n".join(
        [
            f"import json, runpy, sys, {', '.join(heads)}",
            "flags = json.loads(sys.argv.pop(1))",
            *(f"v = flags[{name!r}]; {how}" for name, how in FLAGS.items() if name in flags),
            f"runpy.run_module('stages.{stage}', run_name='__main__')",
        ]
    )


def require_flags(outcome: Outcome, conditions: Conditions) -> None:
    """Code of the run's own may set a flag once more.

    Raises:
        RefusedError: a flag was no longer as set when the process ended.
    """
    for name in sorted(FLAGS.keys() & conditions.keys() & outcome.process.keys()):
        if outcome.process[name] != conditions[name]:
            raise RefusedError(
                f"{name}: set to {conditions[name]}, and to {outcome.process[name]} by the code that ran"
            )
