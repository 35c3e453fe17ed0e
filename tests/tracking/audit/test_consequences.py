"""One change is one suspect: what follows from it is filed under it, and what is independent of it is not."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from tests.import_graph import ROOT
from tests.project import UNSET
from tests.tracking.audit.test_audit import weighed, wrong
from tracking.audit.audit import Audit, audit
from tracking.audit.consequences import roots
from tracking.runs.findings import Finding, Verdict

TRAINED = (Finding("pretrain", "resnet18-digits", Verdict.PASS, "Trained."),)
GPU = {"gpu.0.name": "NVIDIA H200", "gpu.0.driver": "570", "gpu.0.memory_mib": 143_771, "gpu.count": 1}


def filed(*names: str, one_sided: tuple[str, ...] = (), trained_here: bool = False) -> dict[str, str]:
    return roots(names, set(one_sided), set(names), trained_here=trained_here)


def suspects(found: Audit) -> list[str]:
    return [each.name for each in found.suspects]


def changed(facts: dict[str, Any], **more: Any) -> Audit:
    """An audit, under the real causes, of two runs whose scores differ and so do these facts."""
    return audit(weighed(), weighed(bits="other", facts=facts, **more))


@pytest.mark.parametrize(
    ("facts", "suspect"),
    [
        (
            {"variable.OMP_NUM_THREADS": "2", "torch.threads": 2, "pool.torch.libgomp.threads": 2},
            "variable.OMP_NUM_THREADS",
        ),
        (
            {"variable.ONEDNN_MAX_CPU_ISA": "AVX2", "torch.onednn.isa": "AVX2", "torch.onednn.kernel": "jit:avx2"},
            "variable.ONEDNN_MAX_CPU_ISA",
        ),
        ({"variable.ATEN_CPU_CAPABILITY": "default", "torch.capability": "DEFAULT"}, "variable.ATEN_CPU_CAPABILITY"),
        ({"variable.TF_ENABLE_ONEDNN_OPTS": "0", "tensorflow.onednn": False}, "variable.TF_ENABLE_ONEDNN_OPTS"),
        ({"variable.NVIDIA_TF32_OVERRIDE": "0", "torch.allow_tf32": False}, "variable.NVIDIA_TF32_OVERRIDE"),
        ({"package.pillow": "11.3.0", "wheel.pillow": "0", "codec.libjpeg_turbo": "3.0"}, "package.pillow"),
        ({"wheel.pillow": "0", "codec.libjpeg_turbo": "3.0"}, "wheel.pillow"),
        (
            {"package.torch": "2.14", "wheel.torch": "0", "library.libtorch_cpu": "0", "torch.onednn.version": "3.9"},
            "package.torch",
        ),
        (
            {"cpu.model": "Xeon", "cpu.flags": "avx", "cpu.cache.l3_kib": 9, "torch.capability": "AVX2"},
            "cpu.model",
        ),
        ({**GPU, "variable.CUDA_VISIBLE_DEVICES": "0", "tensorflow.devices": "CPU GPU"}, "gpu.0.name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_one_change_is_one_suspect(facts: dict[str, Any], suspect: str) -> None:
    assert suspects(changed(facts)) == [suspect]


def test_two_independent_changes_are_two_suspects() -> None:
    facts = {"package.torch": "2.14.0", "variable.ONEDNN_MAX_CPU_ISA": "AVX2", "torch.onednn.isa": "AVX2"}
    assert suspects(changed(facts)) == ["package.torch", "variable.ONEDNN_MAX_CPU_ISA"]


def test_a_switch_set_in_code_is_no_consequence_of_a_new_release() -> None:
    found = audit(
        weighed(facts={"torch.deterministic": False}),
        weighed(bits="other", facts={"torch.deterministic": True, "package.torch": "2.14.0"}),
    )
    assert suspects(found) == ["package.torch", "torch.deterministic"]


def test_another_recipe_is_one_suspect_with_its_steps_its_pixels_and_weights_trained_on_them() -> None:
    found = audit(
        weighed(params={"model.recipe": "digits-32", "recipe.resize.size": 32}, findings=TRAINED),
        weighed(
            top1=wrong(50),
            params={"model.recipe": "digits-64", "recipe.resize.size": 64},
            inputs={"samples": "0" * 32, "weights": "1" * 32},
            findings=TRAINED,
        ),
    )
    assert suspects(found) == ["param.model.recipe"]


def test_another_step_of_the_same_recipe_is_the_suspect() -> None:
    found = audit(
        weighed(params={"recipe.resize.interpolation": "bilinear"}),
        weighed(top1=wrong(50), params={"recipe.resize.interpolation": "nearest"}, inputs={"samples": "0" * 32}),
    )
    assert suspects(found) == ["param.recipe.resize.interpolation"]


@pytest.mark.parametrize(
    ("more", "suspect"),
    [
        ({"params": {"model.batch_size": 7}}, "param.model.batch_size"),
        ({"params": {"inference.seed": 1}}, "param.inference.seed"),
        ({"inputs": {"weights": "1" * 32}}, "input.weights"),
        ({"inputs": {"weights": "1" * 32}, "params": {"model.weights": "other.safetensors"}}, "input.weights"),
        ({"inputs": {"code/stages/infer.py": "1" * 32}, "code": {"commit": "e" * 40}}, "input.code/stages/infer.py"),
        (
            {"inputs": {"code/weighbridge/images/recipes.py": "1" * 32, "samples": "2" * 32}},
            "input.code/weighbridge/images/recipes.py",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_another_parameter_input_or_commit_is_the_suspect(more: dict[str, Any], suspect: str) -> None:
    assert suspects(changed({}, **more))[0] == suspect


def test_another_architecture_explains_its_weights() -> None:
    found = audit(
        weighed(params={"model.architecture": "resnet18"}, facts={"model.tensors": 122}),
        weighed(
            top1=wrong(50),
            params={"model.architecture": "resnet34", "model.arguments.width": 2},
            inputs={"weights": "1" * 32},
            facts={"model.tensors": 218},
        ),
    )
    assert suspects(found) == ["param.model.architecture"]


def test_weights_trained_here_follow_from_the_pixels_and_published_ones_do_not() -> None:
    names = ("input.weights", "input.samples", "package.pillow")
    assert filed(*names, trained_here=True)["input.weights"] == "package.pillow"
    assert filed(*names)["input.weights"] == ""


def test_what_only_one_run_has_follows_from_the_backend_and_what_both_have_does_not() -> None:
    names = ("param.model.backend", "package.jax", "package.numpy")
    found = filed(*names, one_sided=("package.jax",))
    assert found == {"param.model.backend": "", "package.jax": "param.model.backend", "package.numpy": ""}


def test_what_older_code_did_not_write_down_follows_from_the_code_that_writes_it_down() -> None:
    code = "input.code/tracking/capture/network_settings.py"
    names = (code, "random.torch.consumed", "model.training", "torch.capability", "numerics.rounding")
    new = ("random.torch.consumed", "model.training", "numerics.rounding")
    assert filed(*names, one_sided=new) == {code: "", "torch.capability": "", **dict.fromkeys(new, code)}
    assert set(filed(*new, one_sided=new).values()) == {""}


def test_a_chain_ends_at_its_root() -> None:
    names = ("package.pillow", "wheel.pillow", "codec.zlib", "input.samples")
    assert set(filed(*names).values()) == {"", "package.pillow"}


def test_every_difference_is_a_root_or_filed_under_one() -> None:
    names = [
        *GPU,
        "variable.KERAS_BACKEND",
        "keras.backend",
        "package.keras",
        "input.samples",
        "input.manifest",
        "code.patch",
    ]
    found = filed(*names, one_sided=tuple(names), trained_here=True)
    assert all(found[root] == "" for root in found.values() if root)


# ---- real processes

FACTS = """
import json, sys, torch
from tests.tracking.capture.runtimes import capture
from tracking.capture.process_settings import settings
torch.nn.Conv2d(3, 8, 3)(torch.zeros(1, 3, 16, 16))
print(json.dumps({**capture("torchvision-torch").facts, **settings()}))
"""


@cache
def facts_of_a_process(**variables: str) -> dict[str, Any]:
    unset = {name: value for name, value in os.environ.items() if not name.startswith(UNSET)}
    command = [sys.executable, "-c", FACTS]
    ended = subprocess.run(command, env=unset | variables, cwd=ROOT, capture_output=True, text=True, check=True)
    facts: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return facts


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variable", "value"),
    [("OMP_NUM_THREADS", "3"), ("ONEDNN_MAX_CPU_ISA", "SSE41"), ("ATEN_CPU_CAPABILITY", "default")],
)
def test_a_variable_of_a_real_process_is_named_and_nothing_beside_it(variable: str, value: str) -> None:
    before = replace(weighed(), environment=facts_of_a_process())
    after = replace(weighed(bits="other"), environment=facts_of_a_process(**{variable: value}))
    assert suspects(audit(before, after)) == [f"variable.{variable}"]
