"""From what differs between two runs to factors: conditions that can be set again, each with how it is set.

What belongs together is one factor: sizes and crop (a half of them gives images of mixed sizes), interpolation with its
antialiasing and library (not every library has every pair), an architecture and its weights, all files of the code.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tracking.audit.audit import Audit, Difference
from tracking.explain.hybrids import Hybrid, name_of
from tracking.replay.conditions import CODE, PACKAGE, settable
from tracking.replay.flags import FLAGS
from tracking.runs.run import Run, Scalar
from tracking.runs.words import change_text

LEVERS = re.compile(
    r"variable\.(?:ONEDNN_MAX_CPU_ISA|DNNL_MAX_CPU_ISA|ATEN_CPU_CAPABILITY|MKL_\w+|NPY_\w+CPU_FEATURES)"
)
STANDS_IN = "an instruction-set lever, which stands in for another CPU"
PROCESSOR = "processor"

# arguments of transformers that make no other network: they say how it is asked, and each is a factor by itself
ASKED = "(?:dtype|attn_implementation|padding_side|use_cache)"
# name of the group -> the conditions that belong to it; what fits none is a factor by itself
GROUPS: Mapping[str, str] = {
    "network": rf"param\.model\.(?:framework|architecture|arguments(?!\.{ASKED}$).*|checkpoint)",
    "weights": r"input\.weights(?:/.*)?|param\.model\.(?:weights|sha256)",
    "recipe.geometry": r"param\.recipe\.(?:resize\.(?:size|fit)|crop\..*)",
    "recipe.resampling": r"param\.recipe\.resize\.(?:interpolation|antialias|library)",
    "recipe.normalise": r"param\.recipe\.normalise\..*",
    "precision": r"torch\.(?:matmul_precision|allow_tf32|fp32_precision\.(?:mkldnn\.)?matmul)",
    "autocast": r"torch\.autocast\..*",
    "images": r"input\.(?:images|manifest)|param\.data\..*",
    "code": r"code\..*|input\.code/.*",
    "factory": r"input\.factory",
}
# what names or pins the content and changes nothing by itself: it goes with the content, which loaders know by its suffix
WITH_CONTENT = {"input.weights": ("param.model.weights", "param.model.sha256")}
NETWORK = ("network", "weights", "param.model.backend", "factory")  # another architecture needs other weights
COMPUTING = "computing"
HALVES = ("param.model.computing.precision", "param.model.arguments.dtype")  # int8 layers take float32 alone
OWN_WAYS = rf"param\.model\.(?:computing\..*|arguments\.{ASKED})|param\.inference\.layout"
INT8 = "param.model.computing.quantisation"
RESIZING = ("recipe.geometry", "recipe.resampling")  # inseparable where one end does not resize at all

# condition -> how it is set and what that needs
HOW: tuple[tuple[str, str, str], ...] = (
    (r"package\..*", "an isolated environment with that version", "environment"),
    (r"variable\..*", "an environment variable", "process"),
    (r"input\.(?:weights(?:/.*)?|images|manifest)", "the content with that hash", "process"),
    (r"input\.factory", "the file with that hash, as it is here or in a commit", "process"),
    (r"recipe\..*", "the file with that content", "process"),
    (r"code\..*|input\.code/.*", "a git worktree of the recorded commit, or of the changes kept", "worktree"),
    (r"param\..*", "params.yaml", "process"),
    (r".*", "a setting of the framework, made before the stage starts", "process"),
)

# What torch and oneDNN call the instruction set that they chose, and the levers that make them choose it.
CAPABILITIES = {"DEFAULT": "default", "NO AVX": "default", "AVX2": "avx2", "AVX512": "avx512"}
INSTRUCTION_SETS = {
    "Intel SSE4.1": "SSE41",
    "Intel AVX": "AVX",
    "Intel AVX2": "AVX2",
    "Intel AVX-512 with AVX512BW, AVX512VL, and AVX512DQ extensions": "AVX512_CORE",
    "Intel AVX-512 with Intel DL Boost": "AVX512_CORE_VNNI",
    "Intel AVX-512 with Intel DL Boost and bfloat16 support": "AVX512_CORE_BF16",
}


@dataclass(frozen=True)
class Factor:
    """Conditions that differ between two ends and are set together.

    Attributes:
        name: of the condition, or of the group where there are several.
        conditions: their names; a hybrid takes all of them from one end.
        change: both values, for people.
        how: how it is set.
        needs: ``process``, ``environment`` or ``worktree``.
        missing: why it cannot be set here; empty where it can.
    """

    name: str
    conditions: tuple[str, ...]
    change: str
    how: str
    needs: str
    missing: str = ""


@dataclass(frozen=True)
class Ends:
    """Two ends as conditions to be set, and what differs between them.

    Attributes:
        before, after: of each end, every condition that is set for it.
        factors: those that can be set here, the likeliest first.
        missing: what differs, could matter and cannot be set here.
    """

    before: Mapping[str, Scalar]
    after: Mapping[str, Scalar]
    factors: tuple[Factor, ...]
    missing: tuple[Factor, ...]

    def hybrid(self, chosen: Hybrid) -> dict[str, Scalar]:
        """The conditions of `before` with those of the chosen factors as in `after`."""
        taken = {name for factor in self.factors if factor.name in chosen for name in factor.conditions}
        kept = {name: value for name, value in self.before.items() if name not in taken}
        return {**kept, **{name: value for name, value in self.after.items() if name in taken}}

    def hybrid_name(self, chosen: Hybrid) -> str:
        """``A``, ``B``, or whichever of ``A + ...`` and ``B - ...`` is shorter."""
        return name_of(chosen, [factor.name for factor in self.factors])


def ends_of(audit: Audit) -> Ends:
    """The two runs of an audit as ends."""
    levers = _levers(audit)
    before, after = (_conditions(run, audit, levers) for run in (audit.before, audit.after))
    differing = [each for each in audit.differences if each.matters]
    set_here = [each for each in (*differing, *_travelling(audit)) if _can_be_set(each, before, after)]
    packages = [each for each in differing if _is_absent_package(each)]
    factors = [*_grouped(set_here, packages), *_processor(audit, before, after, levers)]
    covered = {name for factor in factors for name in factor.conditions}
    rest = [each for each in differing if each.name not in covered and not each.follows]
    return Ends(before, after, tuple(factors), tuple(_absent(each) for each in rest if not _by_lever(each, levers)))


def _travelling(audit: Audit) -> list[Difference]:
    """Differences that go with another one's content."""
    matter = {each.name for each in audit.differences if each.matters}
    names = {name for content, named in WITH_CONTENT.items() if content in matter for name in named}
    return [each for each in audit.differences if each.name in names and not each.matters]


def _conditions(run: Run, audit: Audit, levers: Mapping[str, Mapping[str, str]]) -> dict[str, Scalar]:
    """What is set for a run: its settable conditions, the framework's flags that differ for no other reason, levers."""
    flags = {each.name for each in audit.differences if each.name in FLAGS and not each.follows}
    own = {name: run.environment[name] for name in sorted(flags) if name in run.environment}
    return {**levers.get(run.id, {}), **settable(run.conditions), **own}


def _can_be_set(difference: Difference, before: Mapping[str, Scalar], after: Mapping[str, Scalar]) -> bool:
    if difference.name.startswith(CODE) and difference.follows:
        return False  # another framework's adapter: it comes with the framework
    if _is_absent_package(difference):
        return False  # no environment here is without a package that is installed here
    return difference.name in before or difference.name in after


def _is_absent_package(difference: Difference) -> bool:
    return difference.name.startswith(PACKAGE) and bool(difference.absent)


# ---- what belongs together


def _grouped(differences: Sequence[Difference], packages: Sequence[Difference]) -> list[Factor]:
    """Factors in the order of their likeliest condition; each has those of the `packages` that come and go with it."""
    groups: dict[str, list[Difference]] = {}
    for each in differences:
        groups.setdefault(_group(each.name), []).append(each)
    if "network" in groups:
        _join(groups, NETWORK)
    if any(each.name == "param.model.framework" for each in groups.get("network", ())):  # each knows its own ways alone
        _join(groups, ("network", *(name for name in groups if re.fullmatch(OWN_WAYS, name))))
    elif INT8 in groups and any(name in groups for name in HALVES):
        groups = {COMPUTING if name == INT8 else name: members for name, members in groups.items()}
        _join(groups, (COMPUTING, *HALVES))
    if any(each.absent for name in RESIZING for each in groups.get(name, ()) if "resize" in each.name):
        _join(groups, RESIZING)
    return [_factor(name, members, packages) for name, members in groups.items()]


def _group(condition: str) -> str:
    return next((name for name, pattern in GROUPS.items() if re.fullmatch(pattern, condition)), condition)


def _join(groups: dict[str, list[Difference]], names: Sequence[str]) -> None:
    present = [name for name in names if name in groups]
    for name in present[1:]:
        groups[present[0]] += groups.pop(name)


def _factor(group: str, members: Sequence[Difference], packages: Sequence[Difference]) -> Factor:
    first, seen = members[0], [each for each in members if each.matters]
    how, needs = next((how, needs) for pattern, how, needs in HOW if re.fullmatch(pattern, first.name))
    single = len(seen) == 1
    shown = [f"{'' if single else each.name.rpartition('.')[2] + ' '}{change_text(each)}" for each in seen[:4]]
    more = [f"and {len(seen) - 4} more"] if len(seen) > 4 else []
    name = first.name if single else group
    conditions = [each.name for each in members]
    conditions += [each.name for each in packages if each.follows in conditions]
    return Factor(name, tuple(conditions), ", ".join([*shown, *more]), how, needs)


def _absent(difference: Difference) -> Factor:
    name = difference.name
    kinds = {"hardware": ("gpu.", "cpu."), "installation": ("wheel.",), "package": (PACKAGE,)}
    kind = next((kind for kind, heads in kinds.items() if name.startswith(heads)), "setting")
    words = {
        "package": "one end is without it, and no environment without it can be made here",
        "hardware": "that hardware is not here",
        "installation": "another build of the same version: an installer cannot be asked for it",
        "setting": "nothing sets it again",
    }
    return Factor(name, (name,), change_text(difference), "", "", words[kind])


# ---- other processors


def _levers(audit: Audit) -> dict[str, dict[str, str]]:
    """By run id: variables that make this machine choose the instruction sets that the run's machine chose."""
    if not any(each.name == "cpu.model" for each in audit.differences):
        return {}
    return {run.id: dict(_lever(run)) for run in (audit.before, audit.after)}


def _lever(run: Run) -> Iterator[tuple[str, str]]:
    chosen = {
        "variable.ATEN_CPU_CAPABILITY": CAPABILITIES.get(str(run.environment.get("torch.capability"))),
        "variable.ONEDNN_MAX_CPU_ISA": INSTRUCTION_SETS.get(str(run.environment.get("torch.onednn.isa"))),
    }
    return ((name, value) for name, value in chosen.items() if value is not None)


def _processor(
    audit: Audit, before: Mapping[str, Scalar], after: Mapping[str, Scalar], levers: Mapping[str, Mapping[str, str]]
) -> Iterator[Factor]:
    differing = {each.name for each in audit.differences}
    names = sorted({name for own in levers.values() for name in own if before.get(name) != after.get(name)} - differing)
    if names:
        change = next(change_text(each) for each in audit.differences if each.name == "cpu.model")
        yield Factor(PROCESSOR, tuple(names), change, STANDS_IN, "process")


def _by_lever(difference: Difference, levers: Mapping[str, Mapping[str, str]]) -> bool:
    """The processor's model is stood in for; that it is not really here is said by the word."""
    return difference.name == "cpu.model" and any(levers.values())
