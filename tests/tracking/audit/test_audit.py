"""The two-by-two table, the grades of a result, and what is a suspect for a difference."""

import hashlib
import json
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any, NamedTuple

import numpy as np
import pytest

from tracking.audit.audit import AuditOutcome, audit
from tracking.audit.grades import Grades
from tracking.pages.html_audit import audit_page
from tracking.pages.terminal import Screen
from tracking.pages.text_audit import audit_text, result_rows, summary_text
from tracking.runs.decisions import pack_decisions
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run
from tracking.runs.words import change_text, value_text

SAMPLES = 540
NAMES = tuple(f"{index}.png" for index in range(SAMPLES))
LABELS = np.arange(SAMPLES) % 10


class Judged(NamedTuple):
    """A stand-in for an entry of `tracking.audit.causes`."""

    can_change: str
    rank: int
    reason: str
    effect: str = ""
    source: str = ""


JUDGEMENTS = {
    "input.weights": Judged("decisions", 1, "Other weights are another model."),
    "param.recipe": Judged("decisions", 2, "Another recipe gives other pixels."),
    "package.pillow": Judged(
        "decisions", 35, "Another Pillow decodes or resizes otherwise.", "0.98 points", "SysNoise"
    ),
    "package.torch": Judged("bits", 30, "Another release sums in another order."),
    "variable": Judged("bits", 20, "Other kernels sum in another order."),
    "gpu.0.clock": Judged("speed", 90, "A clock moves no number."),
    "os.kernel": Judged("nothing", 99, "A kernel moves no number."),
}


@pytest.fixture(autouse=True)
def _fixed_judgements(monkeypatch: pytest.MonkeyPatch) -> None:
    """The audit's own logic is tested here, with causes that stay as they are."""

    def judge(name: str) -> Judged:
        found = (judged for start, judged in JUDGEMENTS.items() if name.startswith(start))
        return next(found, Judged("bits", 50, "It may round otherwise."))

    monkeypatch.setattr("tracking.audit.audit.cause_of", judge)


def weighed(
    *,
    top1: np.ndarray = LABELS,
    labels: np.ndarray = LABELS,
    names: tuple[str, ...] = NAMES,
    bits: str | None = None,
    params: dict[str, Any] | None = None,
    inputs: dict[str, Any] | None = None,
    facts: dict[str, Any] | None = None,
    code: dict[str, Any] | None = None,
    **more: Any,
) -> Run:
    """A run; scores carry other bits whenever a decision differs, or as `bits` says."""
    digest = hashlib.sha256((bits or "").encode() + top1.tobytes()).hexdigest()
    values: dict[str, Any] = {
        "subject": "resnet18-torchvision",
        "command": "python -m stages.infer",
        "params": {"model.backend": "torch", "model.batch_size": 64, **(params or {})},
        "inputs": {"weights": "a" * 32, "samples": "b" * 32, "code/stages/infer.py": "c" * 32, **(inputs or {})},
        "environment": {"package.torch": "2.13.0", "package.pillow": "12.0.0", "torch.threads": 1, **(facts or {})},
        "code": {"commit": "d" * 40, "dirty": False, **(code or {})},
        "results": {
            "top1": float((top1 == labels).sum()) / max(1, len(labels)),
            "samples": len(labels),
            "scores.sha256": digest,
        },
        "decisions": pack_decisions(names, labels, top1),
    }
    return Run(**values | more)


def wrong(count: int, start: int = 0) -> np.ndarray:
    """Decisions with `count` wrong ones, from sample `start` on."""
    top1 = LABELS.copy()
    top1[start : start + count] = (top1[start : start + count] + 1) % 10
    return top1


def without(run: Run, part: str, *names: str) -> Run:
    kept = {name: value for name, value in getattr(run, part).items() if name not in names}
    return replace(run, **{part: kept})


# ---- the table


def test_images_are_no_suspect_where_the_manifest_with_their_digests_is_the_same() -> None:
    copied, in_place = ({"images": digest * 32, "manifest": "e" * 32} for digest in "fg")
    found = audit(weighed(inputs=copied), weighed(inputs=in_place, bits="other"))
    assert [each.name for each in found.suspects] == []
    found = audit(weighed(inputs=copied), weighed(inputs={**in_place, "manifest": "h" * 32}, bits="other"))
    assert "input.images" in [each.name for each in found.differences if each.matters]


def test_the_same_run_twice_is_reproduced() -> None:
    found = audit(weighed(), weighed())
    assert found.outcome is AuditOutcome.REPRODUCED
    assert found.differences == ()


def test_the_same_scores_under_another_condition_are_robust_to_it() -> None:
    found = audit(weighed(), weighed(facts={"package.torch": "2.14.0"}))
    assert found.outcome is AuditOutcome.ROBUST
    assert [each.name for each in found.suspects] == ["package.torch"]


def test_other_scores_under_another_condition_are_explained() -> None:
    found = audit(weighed(), weighed(bits="other", facts={"variable.ONEDNN_MAX_CPU_ISA": "AVX2"}))
    assert found.outcome is AuditOutcome.EXPLAINED
    assert [each.name for each in found.suspects] == ["variable.ONEDNN_MAX_CPU_ISA"]


def test_other_scores_under_the_same_conditions_are_unexplained() -> None:
    assert audit(weighed(), weighed(bits="other")).outcome is AuditOutcome.UNEXPLAINED


@pytest.mark.parametrize(("name", "value"), [("gpu.0.clock_mhz", 1200), ("os.kernel", "6.1")])
def test_what_cannot_change_a_prediction_explains_nothing(name: str, value: Any) -> None:
    found = audit(weighed(), weighed(bits="other", facts={name: value}))
    assert found.outcome is AuditOutcome.UNEXPLAINED
    assert found.suspects == ()
    assert [each.name for each in found.harmless] == [name]


def test_equal_runs_give_equal_audits_and_the_order_of_conditions_is_no_matter() -> None:
    run = weighed(facts={"a.one": 1, "a.two": 2})
    turned = replace(run, environment=dict(reversed(run.environment.items())))
    assert audit(weighed(), run) == audit(weighed(), turned)


# ---- conditions


def test_a_fact_that_one_of_two_complete_runs_lacks_is_absent_there() -> None:
    (difference,) = audit(weighed(facts={"variable.OMP_NUM_THREADS": "4"}), weighed(bits="other")).differences
    assert (difference.before, difference.after, difference.absent) == ("4", None, "after")
    assert change_text(difference) == "4 -> absent"


def test_null_is_not_absent_and_true_is_not_one() -> None:
    found = audit(weighed(facts={"a.null": None, "a.flag": True}), weighed(facts={"a.flag": 1}))
    assert {each.name for each in found.differences} == {"a.null", "a.flag"}


def test_one_and_one_point_zero_are_the_same_number() -> None:
    assert audit(weighed(facts={"a.count": 1}), weighed(facts={"a.count": 1.0})).differences == ()


def test_what_another_schema_lacks_is_not_recorded_and_not_different() -> None:
    old = without(replace(weighed(), schema=7), "environment", "package.pillow")
    found = audit(old, weighed(bits="other"))
    assert found.outcome is AuditOutcome.UNEXPLAINED
    assert found.unrecorded == {"before": ("package.pillow",)}


def test_what_two_foreign_runs_hold_one_sided_is_not_recorded() -> None:
    found = audit(replace(weighed(facts={"a.fact": 1}), schema=0), replace(weighed(), schema=0))
    assert found.unrecorded == {"after": ("a.fact",)}


def test_a_run_without_any_environment_recorded_none() -> None:
    found = audit(replace(weighed(), environment={}), weighed(bits="other", params={"model.batch_size": 7}))
    assert [each.name for each in found.differences] == ["param.model.batch_size"]
    assert found.unrecorded == {"before": ("package.pillow", "package.torch", "torch.threads")}


def test_a_value_that_differs_between_schemas_is_still_a_difference() -> None:
    found = audit(replace(weighed(), schema=7), weighed(bits="other", facts={"package.torch": "2.14.0"}))
    assert [each.name for each in found.suspects] == ["package.torch"]


def test_a_commit_with_the_same_code_files_is_no_suspect() -> None:
    found = audit(weighed(), weighed(bits="other", code={"commit": "e" * 40, "dirty": True, "patch": "f" * 64}))
    assert found.outcome is AuditOutcome.UNEXPLAINED
    assert {each.name for each in found.harmless} == {"code.commit", "code.dirty", "code.patch"}
    assert "only names the code" in found.harmless[0].reason


def test_a_commit_with_other_code_files_is_filed_under_the_file() -> None:
    other = weighed(bits="other", code={"commit": "e" * 40}, inputs={"code/stages/infer.py": "0" * 32})
    found = audit(weighed(), other)
    assert [each.name for each in found.suspects] == ["input.code/stages/infer.py"]
    assert [each.name for each in found.consequences("input.code/stages/infer.py")] == ["code.commit"]


def test_a_commit_is_a_suspect_where_the_files_were_not_recorded() -> None:
    old = without(weighed(), "inputs", "code/stages/infer.py")
    new = without(weighed(bits="other", code={"commit": "e" * 40}), "inputs", "code/stages/infer.py")
    assert [each.name for each in audit(old, new).suspects] == ["code.commit"]


def test_a_setting_that_follows_from_a_variable_is_filed_under_it() -> None:
    found = audit(weighed(), weighed(bits="other", facts={"variable.OMP_NUM_THREADS": "2", "torch.threads": 2}))
    assert [each.name for each in found.suspects] == ["variable.OMP_NUM_THREADS"]
    assert [each.name for each in found.consequences("variable.OMP_NUM_THREADS")] == ["torch.threads"]


def test_the_same_setting_alone_is_a_suspect_itself() -> None:
    found = audit(weighed(), weighed(bits="other", facts={"torch.threads": 2}))
    assert [each.name for each in found.suspects] == ["torch.threads"]


def test_another_pillow_explains_its_codecs_its_pixels_and_weights_trained_on_them() -> None:
    trained = (Finding("pretrain", "resnet18-digits", Verdict.PASS, "Trained."),)
    other = weighed(
        top1=wrong(9),
        facts={"package.pillow": "11.3.0", "codec.jpeg": "3.0"},
        inputs={"samples": "0" * 32, "weights": "1" * 32},
        findings=trained,
    )
    found = audit(weighed(findings=trained), other)
    assert [each.name for each in found.suspects] == ["package.pillow"]
    assert len(found.consequences("package.pillow")) == 3


def test_published_weights_that_differ_are_a_suspect_of_their_own() -> None:
    other = weighed(top1=wrong(9), facts={"package.pillow": "11.3.0"}, inputs={"weights": "1" * 32})
    assert [each.name for each in audit(weighed(), other).suspects] == ["input.weights", "package.pillow"]


def test_another_backend_explains_the_packages_and_settings_it_brings() -> None:
    old = weighed(facts={"keras.backend": "torch"})
    new = weighed(bits="other", params={"model.backend": "jax"}, facts={"keras.backend": "jax", "package.jax": "0.10"})
    new = without(new, "environment", "torch.threads")
    found = audit(old, new)
    assert [each.name for each in found.suspects] == ["param.model.backend"]
    assert {each.name for each in found.consequences("param.model.backend")} == {
        "keras.backend",
        "package.jax",
        "torch.threads",
    }


def test_a_suspect_is_never_filed_under_something_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(JUDGEMENTS, "variable", Judged("nothing", 99, "It moves nothing."))
    found = audit(weighed(), weighed(bits="other", facts={"variable.OMP_NUM_THREADS": "2", "torch.threads": 2}))
    assert [each.name for each in found.suspects] == ["torch.threads"]


def test_flips_put_first_what_can_flip_and_mere_bits_what_is_likelier() -> None:
    facts = {"package.pillow": "11.3.0", "package.torch": "2.14.0"}
    flipped = audit(weighed(), weighed(top1=wrong(9), facts=facts))
    rounded = audit(weighed(), weighed(bits="other", facts=facts))
    assert [each.name for each in flipped.suspects] == ["package.pillow", "package.torch"]
    assert [each.name for each in rounded.suspects] == ["package.torch", "package.pillow"]


def test_the_same_is_counted_by_section() -> None:
    found = audit(weighed(), weighed(facts={"package.torch": "2.14.0"}))
    assert found.same == {"param": 2, "input": 3, "code": 2, "environment": 2}


# ---- results


def test_flips_and_right_answers_are_counted_sample_by_sample() -> None:
    grades = audit(weighed(top1=wrong(10)), weighed(top1=wrong(4, start=8))).grades
    assert (grades.samples, grades.flips) == (SAMPLES, 10)
    assert (grades.only_before, grades.only_after) == (2, 8)
    assert grades.p_value == pytest.approx(0.109375)


def test_a_change_that_the_paired_test_cannot_separate_is_within_noise() -> None:
    found = audit(weighed(top1=wrong(10)), weighed(top1=wrong(4, start=8)))
    assert found.grades.within_noise is True
    assert "within noise" in audit_text(found)


def test_a_change_that_it_separates_is_not() -> None:
    found = audit(weighed(), weighed(top1=wrong(20)))
    assert found.grades.within_noise is False
    assert "more than noise" in audit_text(found)


def test_other_bits_alone_are_neither() -> None:
    grades = audit(weighed(), weighed(bits="other")).grades
    assert (grades.finest, grades.bits_same, grades.flips, grades.within_noise) == ("bits", False, 0, None)


def test_runs_on_different_samples_are_compared_by_their_intervals() -> None:
    names = tuple(f"other-{index}" for index in range(SAMPLES))
    near = audit(weighed(top1=wrong(10)), weighed(top1=wrong(12), names=names)).grades
    far = audit(weighed(top1=wrong(10)), weighed(top1=wrong(90), names=names)).grades
    assert (near.flips, near.p_value, near.within_noise) == (None, None, True)
    assert far.within_noise is False


def test_other_labels_for_the_same_samples_are_said() -> None:
    found = audit(weighed(), weighed(labels=wrong(3)))
    assert found.grades.relabelled == 3
    assert found.outcome is AuditOutcome.UNEXPLAINED
    assert "3 of 540 differ" in audit_text(found)


def test_runs_that_only_share_an_accuracy_are_compared_at_that_level() -> None:
    foreign = Run("x", "", {}, {}, {}, {}, {"top1": 1.0}, schema=0)
    found = audit(foreign, weighed())
    assert (found.outcome, found.grades.finest) == (AuditOutcome.PARTLY, "accuracy")
    assert "compared by top-1 accuracy, no finer result was recorded in both" in audit_text(found)
    assert "10 conditions not recorded in both" in audit_text(found)


def test_runs_that_share_no_result_are_refused() -> None:
    foreign = Run("x", "", {}, {}, {}, {}, {"loss": 1.0}, schema=0)
    with pytest.raises(UserError, match="no result in common"):
        audit(foreign, weighed())


def test_numbers_of_other_checks_are_told_and_do_not_decide() -> None:
    run = weighed()
    other = replace(run, results={**run.results, "transfer_check.lr_0.1": 0.9})
    found = audit(replace(run, results={**run.results, "transfer_check.lr_0.1": 0.8}), other)
    assert found.outcome is AuditOutcome.REPRODUCED
    assert found.grades.other == {"transfer_check.lr_0.1": (0.8, 0.9)}


def test_an_empty_run_has_nothing_to_compare_sample_by_sample() -> None:
    empty = weighed(top1=LABELS[:0], labels=LABELS[:0], names=())
    assert audit(empty, empty).grades.flips == 0


# ---- words


@pytest.fixture
def explained() -> Any:
    old = weighed(facts={"gpu.0.clock_mhz": 1})
    return audit(
        old, weighed(top1=wrong(20), facts={"package.pillow": "11<b>", "codec.jpeg": "3", "gpu.0.clock_mhz": 2})
    )


def test_the_text_says_could_have_and_never_proven(explained: Any) -> None:
    text = audit_text(explained)
    assert "could have changed it" in text
    for word in ("proven", "caused", "because of", "culprit"):
        assert word not in text + audit_page([explained])


def test_the_text_names_suspect_values_reason_and_consequence(explained: Any) -> None:
    lines = audit_text(explained).splitlines()
    at = next(index for index, line in enumerate(lines) if "package.pillow" in line)
    assert lines[at].strip() == "1  package.pillow: 12.0.0 -> 11<b>"
    assert lines[at + 1].strip() == JUDGEMENTS["package.pillow"].reason
    assert lines[at + 2].strip() == "seen: 0.98 points (SysNoise)"
    assert lines[at + 3].strip() == "may follow from it: codec.jpeg: absent -> 3"


def test_the_text_has_no_colour_unless_asked(explained: Any) -> None:
    assert "\033" not in audit_text(explained)
    assert "\033" in audit_text(explained, Screen(colour=True))


def test_a_value_cannot_write_to_the_terminal_or_fill_it() -> None:
    assert value_text("a\033[31mb\nc") == "a\\x1b[31mb\\nc"
    assert len(value_text("x" * 1000)) == 60


def test_two_long_values_that_differ_at_their_ends_are_told_apart() -> None:
    found = audit(weighed(facts={"a.text": "x" * 100 + "1"}), weighed(facts={"a.text": "x" * 100 + "2"}))
    assert change_text(found.differences[0]) == "...xxxxxxxxxx1 -> ...xxxxxxxxxx2"


def test_many_audits_take_one_line_each_and_a_count(explained: Any) -> None:
    lines = summary_text([explained, audit(weighed(), weighed())]).splitlines()
    assert lines[-1] == "1 reproduced, 1 explained"
    assert "20 of 540 flips, more than noise" in summary_text([explained])


def test_audits_of_several_befores_name_both_ends() -> None:
    found = [audit(weighed(bits=bits), weighed(bits=bits)) for bits in "ab"]
    first = found[0].before.id[:12]
    assert summary_text(found).splitlines()[0] == f"reproduced  resnet18-torchvision {first} -> {first}  same bits"


def test_the_json_holds_the_outcome_the_grades_and_every_difference(explained: Any) -> None:
    values = json.loads(json.dumps(explained.to_dict(), allow_nan=False))
    assert values["outcome"] == "explained"
    assert values["suspects"] == ["package.pillow"]
    assert values["results"]["flips"] == 20
    assert {each["name"]: each["follows"] for each in values["differences"]} == {
        "package.pillow": "",
        "codec.jpeg": "package.pillow",
        "gpu.0.clock_mhz": "",
    }


class Page(HTMLParser):
    """What a browser would fetch, and whether every element is closed in order."""

    void = ("meta", "br", "link", "input")
    own = ("data:,", "#content")  # no icon, and the link past the head of the page

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.fetched: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        loading = [value or "" for name, value in attrs if name in ("src", "href", "srcset", "action")]
        self.fetched += [value for value in loading if value not in self.own]
        if tag not in self.void:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_is_whole_escaped_and_fetches_nothing(explained: Any) -> None:
    page = audit_page([explained])
    assert Page(page).fetched == []
    assert "11&lt;b&gt;" in page
    assert "11<b>" not in page
    assert "url(" not in page
    assert "@import" not in page


def test_the_page_of_many_audits_links_each_one(explained: Any) -> None:
    assert Page(audit_page([explained, explained])).fetched == ["#audit-1", "#audit-2"]


def test_the_page_test_can_fail() -> None:
    assert Page('<p><a href="https://example.org">x</a></p>').fetched == ["https://example.org"]
    with pytest.raises(AssertionError):
        Page("<p><b>x</p></b>")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (0.2074074074074074, 0.18333333333333332, "0.2074 -> 0.1833"),
        (0.003064218571312473, 0.0030642181462879688, "0.003064219 -> 0.003064218"),
        (float("nan"), float("nan"), "nan -> nan"),
        (3, 0.5, "3 -> 0.5"),
    ],
)
def test_other_numbers_have_as_many_digits_as_tell_them_apart(old: float, new: float, text: str) -> None:
    assert dict(result_rows(Grades(bits_same=False, other={"drift": (old, new)})))["other checks"] == f"drift {text}"


def test_the_hash_of_a_folder_is_shortened_as_that_of_a_file() -> None:
    assert value_text("0123456789abcdef" * 2 + ".dir") == value_text("0123456789abcdef" * 2) == "0123456789ab"


def test_where_a_condition_is_hidden_two_runs_are_neither_equal_nor_different_in_it() -> None:
    base = weighed()
    hidden = replace(base, params={**base.params, "model.arguments.token": "***"})
    shown = replace(base, params={**base.params, "model.arguments.token": "another", "model.extra": "x"})
    same, other = audit(hidden, replace(hidden, command="again")), audit(hidden, shown)
    assert same.hidden == other.hidden == ("param.model.arguments.token",)
    assert [each.name for each in other.differences] == ["param.model.extra"]
    assert same.same["param"] == len(base.params)
    assert "neither equal nor different, as a secret was taken out: param.model.arguments.token" in audit_text(same)
    assert same.to_dict()["hidden"] == ["param.model.arguments.token"]


# ---- what was not recorded at all


def foreign(**more: Any) -> Run:
    """A run of another tool, with parameters and one number."""
    values: dict[str, Any] = {"params": {"batch": 8}, "inputs": {}, "environment": {}, "code": {}}
    results = {"top1": 0.9123456}
    return Run(subject="theirs", command="", **{**values, **more}, results=results, schema=0)


def test_two_runs_that_recorded_nothing_of_their_environment_are_not_reproduced() -> None:
    found = audit(foreign(), foreign())
    assert found.outcome is AuditOutcome.PARTLY
    text = audit_text(found)
    assert text.startswith("same as far as recorded: the same result, and nothing differs that both runs recorded")
    assert "nothing of the inputs and the code and the environment was recorded in both" in text
    assert '<td class="same as far as recorded here">same as far as recorded</td>' in audit_page([found])
    assert found.to_dict()["not_recorded_at_all"] == ["input", "code", "environment"]


@pytest.mark.parametrize("lacking", ["params", "inputs", "environment", "code"])
def test_reproduced_is_said_only_where_both_recorded_something_of_every_section(lacking: str) -> None:
    whole = weighed(facts={"package.torch": "2.0"}, code={"commit": "c" * 40})
    assert audit(whole, whole).outcome is AuditOutcome.REPRODUCED
    part = replace(whole, **{lacking: {}})
    for pair in ((part, part), (whole, part), (part, whole)):
        assert audit(*pair).outcome is AuditOutcome.PARTLY
    declared = replace(whole, environment={"environment.origin": "declared"})
    assert audit(declared, declared).outcome is AuditOutcome.PARTLY
