"""The report says what the runs say, loads nothing, and trusts no text it is given."""

import json
import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from stages.report import __main__ as stage
from stages.report import checks, curves, sections
from stages.report.__main__ import report
from stages.report.charts import decades, linear
from stages.report.grouping import split
from stages.report.head import described
from tracking.audit import trust
from tracking.audit.cases import cases
from tracking.runs.findings import Finding, Verdict, save_findings
from tracking.runs.run import Run
from tracking.runs.times import Times
from weighbridge.params.backend_parity import Parity
from weighbridge.params.whole import load_params
from weighbridge.process.failures import Failure

PAIRS = [Parity(reference="one", candidate="two", max_score_difference=1e-3, max_flips=0, layer_tolerance=1e-5)]
SECONDS = {"fetch": 1.5, "infer@one": 2.0, "infer@two": 4.25, "publish": None}


def a_run(subject: str = "one", findings: tuple[Finding, ...] = (), **changes: Any) -> Run:
    content: dict[str, Any] = {
        "subject": subject,
        "command": f"python -m stages.infer --model {subject}",
        "params": {"model.framework": "keras", "model.backend": "jax", "model.architecture": "MobileNet"},
        "inputs": {"weights": "0123456789abcdef" * 2, "samples": "fedcba9876543210" * 2 + ".dir"},
        "environment": {"python.version": "3.11.7", "cpu.cores": 2},
        "code": {"commit": "c0ffee12" * 5, "dirty": False},
        "results": {"top1": 0.97, "top1_low": 0.9524, "top1_high": 0.9817, "samples": 540},
        "findings": findings,
    }
    return Run(**{**content, **changes})


def findings() -> tuple[Finding, ...]:
    pair = {"reference": "one", "flipped_columns": ["sample", "label", "reference", "candidate"]}
    flipped = [[f"{number}.png", 1, 2, 3] for number in range(30)]
    return (
        Finding("accuracy_check", "two", Verdict.SKIP, "Top-1 is 97.00%; nothing was claimed.", {"top1": 0.97}),
        Finding("backend_parity", "two", Verdict.PASS, "Scores differ by at most 2e-05.", {
            "reference": "one", "max_score_difference": 2e-5, "median_score_difference": 0.0,
        }),
        Finding("backend_parity", "two", Verdict.FAIL, "30 of 540 decisions flip.", {**pair, "flips": 30, "flipped": flipped}),
        Finding("transfer_check", "two", Verdict.PASS, "A linear head does well.", {"frozen_target": 0.9, "frozen_source": 0.8}),
        Finding("transfer_check", "two", Verdict.WARN, "Fine-tuning destroys.", {
            "lr_0.001.target": 0.91, "lr_0.001.source": 0.79, "lr_0.001.drift": 0.01,
        }),
        Finding("transfer_check", "two", Verdict.WARN, "Fine-tuning destroys more.", {
            "lr_0.1.target": 0.95, "lr_0.1.source": 0.31, "lr_0.1.drift": 0.15,
        }),
    )  # fmt: skip


def test_every_way_to_the_second_task_is_a_row_and_the_task_is_named() -> None:
    heads = {
        **{"frozen_target": 0.9, "frozen_target_low": 0.8, "frozen_target_high": 0.95},
        **{"frozen_source": 0.8, "pixels_target": 0.5, "target": "2 classes out of data/images: even, <odd>"},
    }
    tuned = {"lr_1e-05.target": 0.91, "lr_1e-05.source": 0.79, "lr_1e-05.drift": 0.01, "lr_0.1.target": 0.7}
    others = {"scratch_lr_0.05.target": 0.4, "probed_lr_0.001.target": 0.85, "lr_nan.target": 0.1, "lr_..target": 0.1}
    (found,) = checks.transfers(
        Finding("transfer_check", "two", Verdict.PASS, "x.", each) for each in (heads, others | tuned)
    )
    assert [(way.name, way.target, way.source, way.drift) for way in found.ways] == [
        ("linear head, frozen features", ("90.00%", "80.00% to 95.00%"), ("80.00%", ""), "0%"),
        ("linear head on the samples as they are", ("50.00%", ""), ("–", ""), "–"),
        ("fine-tuned, learning rate 1e-05", ("91.00%", ""), ("79.00%", ""), "1.00%"),
        ("fine-tuned, learning rate 0.1", ("70.00%", ""), ("–", ""), "–"),
        ("fine-tuned after a trained head, learning rate 0.001", ("85.00%", ""), ("–", ""), "–"),
        ("trained from scratch, learning rate 0.05", ("40.00%", ""), ("–", ""), "–"),
    ]
    shown = report(
        [a_run("two", (Finding("transfer_check", "two", Verdict.PASS, "x.", heads | tuned),))], PAIRS, SECONDS
    )
    assert "New task: 2 classes out of data/images: even, &lt;odd&gt;. " in shown


def mistaken() -> Finding:
    names = ["mistake", "top1", "top1_low", "top1_high", "difference", "difference_low", "difference_high", "p_value",
             "flips", "mean_shift", "max_shift", "softmax_shift"]  # fmt: skip
    rows = [
        ["BGR <instead> of RGB", 0.4, 0.35, 0.45, -0.156, -0.19, -0.12, 1e-9, 180, 1.5, 17.0, None],
        ["resized bicubic", 0.56, 0.51, 0.6, 0.004, -0.01, 0.018, 0.75, 1, 0.1, 2.0, 1e-4],
    ]
    evidence = {"mistakes": rows, "mistakes_columns": names}
    return Finding("preprocess_check", "one", Verdict.PASS, "The costliest mistake is BGR.", evidence)


def test_preprocessing_mistakes_are_drawn_and_listed_in_their_order() -> None:
    text = text_of(page(a_run("one", (mistaken(),))))
    drawn = text[text.index("Preprocessing mistakes") :]
    assert drawn.index("-15.6 points, 180 flips") < drawn.index("+0.4 points, 1 flip")
    assert "BGR <instead> of RGB 40.00% 35.00% to 45.00% -15.60% -19.00% to -12.00% 1e-9 180 1.5 17 –" in drawn
    assert "Preprocessing mistakes" not in text_of(page())


def published() -> list[Finding]:
    cells = [[f"run{number}", "top1", "70.35", "70.350", "yes", "<none>"] for number in range(30)]
    pair = {"difference": 0.047, "difference_low": 0.043, "difference_high": 0.05, "published_difference_points": [1.2, 1.25],
            "reference": "one", "candidate": "two"}  # fmt: skip
    return [
        Finding("published_check", "table", Verdict.PASS, "30 of 30 come back.", {
            "cells": cells, "cells_columns": ["run", "of", "published %", "measured %", "comes back", "why not"],
        }),
        Finding("published_check", "net", Verdict.WARN, "two against one: +4.70 points.", pair),
    ]  # fmt: skip


def test_what_was_published_is_drawn_and_listed_in_full() -> None:
    text = text_of(report([a_run(), a_run("two")], PAIRS, SECONDS, published()))
    section = text[text.index("Two runs on the same images") :]
    assert "two − one published +1.20 to +1.25" in section
    assert "+4.70 points (+4.30 to +5.00)" in section
    assert "run29 top1 70.35 70.350 yes <none>" in section
    assert "Published numbers" not in text_of(page())


def test_what_could_not_run_stands_first_with_its_reason() -> None:
    failed = Failure("infer@broken", "input", "weights/broken.pt: <is> empty; fetch it again")
    text = text_of(report([a_run()], PAIRS, SECONDS, failures=[failed]))
    assert "✗ fail Could not run: infer@broken weights/broken.pt: <is> empty; fetch it again What it means" in text
    assert "With care. 1 model: 1 was not checked, 1 stage could not run." in text
    assert "Could not run" not in text_of(page())


def page(*runs: Run) -> str:
    return report(runs or [a_run(), a_run("two", findings(), curves=CURVES)], PAIRS, SECONDS)


CURVES = {"pretrain.train": ((1, 0.5), (2, 0.9)), "pretrain.loss": ((1, 2.5), (2, 0.25))}


class _Elements(HTMLParser):
    """Every element of a page with its attributes, and the text of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.code = ""
        self.words: list[str] = []
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._inside = tag

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            self.code += data
        else:
            self.words.append(data)


def loads(text: str) -> list[str]:
    """What a browser would fetch to show the page."""
    parsed = _Elements(text)
    wanted = [
        value or ""
        for tag, attributes in parsed.elements
        for name, value in attributes.items()
        if name in ("src", "srcset", "href", "xlink:href", "data", "poster", "action") and tag != "a"
    ]
    code = re.findall(r"url\(|@import|https?:|fetch\(|import\(", parsed.code)
    return [address for address in wanted if not address.startswith(("#", "data:,"))] + code


def text_of(page_text: str) -> str:
    return " ".join(" ".join(_Elements(page_text).words).split())


def test_the_page_loads_nothing() -> None:
    assert loads(page()) == []


@pytest.mark.parametrize(
    "loading",
    [
        '<img src="https://example.org/a.png">',
        '<link rel="stylesheet" href="style.css">',
        "<style>body { background: url(a.png) }</style>",
        "<script>import('x')</script>",
    ],
)
def test_the_test_of_loading_can_fail(loading: str) -> None:
    assert loads(page().replace("</body>", f"{loading}</body>")) != []


def test_equal_runs_give_equal_bytes_and_other_runs_others() -> None:
    assert page() == page()
    assert page(a_run()) != page(a_run(results={"top1": 0.5, "top1_low": 0.4, "top1_high": 0.6}))


def test_every_finding_stands_there_as_its_sentence() -> None:
    shown = text_of(page())
    assert [finding.sentence for finding in findings() if finding.sentence not in shown] == []


def test_every_interval_and_every_id_stands_there() -> None:
    runs = [a_run(), a_run("two", results={"top1": 0.5, "top1_low": 0.4011, "top1_high": 0.5989})]
    shown = text_of(page(*runs))
    assert "95.24% to 98.17%" in shown
    assert "40.11% to 59.89%" in shown
    assert all(run.id[:12] in shown for run in runs)


def test_what_needs_somebody_comes_first_and_the_rest_of_its_check_is_folded_and_counted() -> None:
    shown = text_of(page())
    pages = shown[shown.index("Unfold everything") :]
    first = pages.index("✗ fail 30 of 540 decisions")
    assert first < pages.index("1 pass", first) < pages.index("Scores differ", first)
    assert "backend_parity: 1 fail, 1 pass" in pages
    assert "accuracy_check: 1 not run" in pages


def test_findings_are_counted_once_though_two_models_share_one() -> None:
    shared = Finding("pretrain", "digits", Verdict.PASS, "Trained here.")
    assert "1 finding: 1 pass." in text_of(page(a_run(findings=(shared,)), a_run("two", (shared,))))


def stale() -> Finding:
    sentence = (
        "With each batch's own statistics (training mode) 100.00% of 192 images are right, with those stored in the file "
        "(inference mode) 52.00% (exact McNemar p = 1e-28)."
    )
    return Finding("mode_check", "stale", Verdict.WARN, sentence, {"top1_inference": 0.52, "top1_training": 1.0})


def repaired() -> Finding:
    sentence = (
        "With BatchNorm statistics estimated again on these 192 images 95.83% of them are right instead of 61.46%."
    )
    return Finding("mode_check", "stale", Verdict.WARN, sentence, {"top1_repaired": 184 / 192, "images": 192})


def short() -> Finding:
    sentence = "Top-1 is 52.00%; it falls short of the claimed 97.00% (x)."
    evidence = {"top1": 0.52, "top1_claimed": 0.97, "claim": "falls short"}
    return Finding("accuracy_check", "stale", Verdict.FAIL, sentence, evidence)


@pytest.mark.parametrize("evidence", [{"top1_repaired": -1, "images": 192}, {"top1_repaired": 0.5, "images": -1}])
def test_a_remedy_with_impossible_numbers_ends_no_page(evidence: dict[str, Any]) -> None:
    (case,) = cases([a_run("stale", (replace(repaired(), evidence=evidence), short()))])
    assert ("95%" in case.remedied, case.remedied == "") == (False, evidence["top1_repaired"] == -1)


def test_a_model_with_stale_statistics_among_sound_ones_is_the_first_thing_on_the_page_in_one_card() -> None:
    sound = [a_run(name, (warned(name), passed(name))) for name in ("a", "b", "c")]
    order = Finding("accuracy_check", "stale", Verdict.PASS, "No other order of the classes mends it: x.")
    found = (short(), passed("stale"), order, stale(), repaired())
    shown = text_of(page(*sound, a_run("stale", found, params={"model.claim.top1": 0.97})))
    assert shown.index("Not all of them. 4 models: 1 should not be trusted, 3 need a look") < shown.index("stale on")
    assert shown.index("stale on") < shown.index("a MobileNet")
    row = shown[shown.index("stale on") : shown.index("a MobileNet")]
    why = "52.00% instead of the claimed 97.00%: stored BatchNorm statistics do not fit."
    again = "With BatchNorm statistics estimated again on these images, without their labels, 95.83% of 192 are right"
    assert f"{why} {again} (95% interval 91.99% to 97.87%); the claimed 97.00% lies within." in row
    assert "Estimate BatchNorm's statistics again" in row
    card = shown[shown.index("Problems ✗ do not trust stale : 52.00%") :]
    card = card[: card.index("Compare with a")]
    assert card.count("What to do") == 1
    assert card.index("✗ fail Top-1 is 52.00%") < card.index("! warn With each batch's own statistics")
    assert "Ruled out another order of the classes Not ruled out usual mistakes in preprocessing" in card
    assert "Check the preprocessing" not in card


def test_a_case_names_a_sound_run_of_the_same_images_and_the_whole_command_that_compares_with_it() -> None:
    sound, bad = a_run("sound", (passed("sound"),)), a_run("bad", (stale(),))
    (case,) = cases([bad, sound])
    assert (case.sibling, case.run) == (sound, bad)
    assert f"weighbridge audit {sound.id[:12]} {bad.id[:12]}" in text_of(page(sound, bad))
    other = a_run("sound", (passed("sound"),), inputs={"samples": "0" * 32})
    assert cases([bad, other])[0].sibling is None


def test_what_is_alike_in_several_models_is_one_case_and_each_reason_of_its_own_keeps_its_steps() -> None:
    mean = Finding("preprocess_check", "x", Verdict.WARN, "A supposed mistake scores better than the recipe in use: x.")
    both = cases([a_run("a", (warned("a"), short())), a_run("b", (warned("b"), short(), stale(), mean))])
    assert [case.subjects for case in both] == [("b",), ("a", "b"), ("a", "b")]
    assert [len(case.steps) for case in both] == [4, 2, 1]


def warned(subject: str) -> Finding:
    sentence = "Fine-tuning at 0.1 reaches 75.6% on the target, leaves 38.9% on the source task."
    return Finding("transfer_check", subject, Verdict.WARN, sentence)


def passed(subject: str) -> Finding:
    return Finding(
        "mode_check", subject, Verdict.PASS, "In inference mode, a forward pass changes none of 122 weights."
    )


@pytest.mark.parametrize(
    ("found", "words", "kind"),
    [
        ((stale(),), "do not trust", "fail"),
        ((warned("m"),), "check before use", "warn"),
        ((Finding("accuracy_check", "m", Verdict.PASS, "x", {"claim": "comes back"}),), "claim is met", "pass"),
        ((passed("m"),), "nothing against it", "pass"),
        ((), "was not checked", "skip"),
    ],
)
def test_each_model_has_a_verdict_in_three_words(found: tuple[Finding, ...], words: str, kind: str) -> None:
    judged = trust.judged(a_run(findings=found))
    assert (judged.words, judged.kind) == (words, kind)
    assert len(words.split()) == 3
    assert judged.do


def test_what_was_checked_is_compared_like_with_like() -> None:
    exported = Finding("mode_check", "two", Verdict.SKIP, "An exported file has no training mode: nothing to check.")
    shown = text_of(page(a_run(findings=(passed("one"),)), a_run("two", (exported,))))
    assert "What changes the weights and statistics ✓ pass – not run" in shown


def test_the_head_says_what_images_when_and_whether_the_code_was_committed() -> None:
    times = Times(*(datetime(2026, 11, 30, hour, tzinfo=UTC) for hour in (1, 2)))
    source = Path(__file__).parents[2] / "weighbridge/images/digits.py"
    run = a_run(params={"data.source": str(source)}, code={"commit": "c0ffee12" * 5, "dirty": True})
    shown = text_of(report([run], PAIRS, SECONDS, asked=[times]))
    assert "540 test images: The embedded image folder: scikit-learn's bundled handwritten digits" in shown
    assert "Weighbridge, 2026-11-30, commit c0ffee12c0ff, with uncommitted changes ." in shown
    assert described(Path("absent.py")) == described(Path(__file__).parents[2] / "README.md") == ""


def test_which_checks_of_the_number_ran_stands_beside_the_verdict_and_the_claim_beside_who_made_it() -> None:
    claim = {"model.claim.top1": 0.98, "model.claim.source": "a colleague, 2026"}
    pair = Finding("backend_parity", "b", Verdict.PASS, "x", {"reference": "a"})
    shown = text_of(page(a_run("a", (passed("a"),), params=claim), a_run("b", (pair,))))
    assert "2 of 5 checks ran; not: accuracy, preprocessing, isolation" in shown
    assert "98.00% -1.00 points by a colleague ✓" in shown


def test_evidence_is_told_in_words_by_rows_the_widest_first() -> None:
    rows = [{"distance": 0.1, "layer": "conv1"}, {"distance": 0.25, "layer": "conv2"}]
    found = Finding("mode_check", "one", Verdict.PASS, "x", {"top1_repaired": 0.95833, "statistics": rows})
    shown = text_of(page(a_run(findings=(found,))))
    assert "top-1 with statistics estimated again 95.83%" in shown
    assert "layer distance conv2 0.25 conv1 0.1" in shown


def test_the_page_of_twenty_models_is_small() -> None:
    rows = [[f"layer{number}.conv", 0.1] for number in range(200)]
    found = [
        Finding("mode_check", "m", Verdict.PASS, f"{number}. {stale().sentence}", {"rows": rows})
        for number in range(40)
    ]
    runs = [a_run(f"model{number}", (*found, mistaken())) for number in range(20)]
    assert len(report(runs, PAIRS, SECONDS).encode()) < 2_000_000


def situation(subject: str, name: str, verdict: Verdict, version: str, outcome: str) -> Finding:
    row = {"situation": name, "version": version, "outcome": outcome}
    return Finding("mode_check", subject, verdict, f"{name} in {subject}.", {"row": row})


def test_situations_stand_in_one_table_by_model_and_version() -> None:
    one = (
        situation("one", "pass, training", Verdict.WARN, "keras 3.15.1, jax 0.10.2", "statistics change"),
        situation("one", "pass, inference", Verdict.PASS, "keras 3.15.1, jax 0.10.2", "nothing changes"),
    )
    two = (situation("two", "pass, training", Verdict.WARN, "torch 2.13.0", "<b>counters</b> change"),)
    whole = page(a_run(findings=one), a_run("two", two))
    table = text_of(whole[whole.index('id="modes"') : whole.index("</table>", whole.index('id="modes"'))])
    assert "Situation one keras 3.15.1, jax 0.10.2 two torch 2.13.0" in table
    assert "forward pass, training mode statistics change <b>counters</b> change" in table
    assert table.endswith("forward pass, inference mode nothing changes –")
    assert 'class="fact warn"' in whole
    assert 'id="modes"' not in page(a_run())


def test_a_claim_is_shown_with_its_source_and_as_a_mark() -> None:
    claim = {"model.claim.top1": 0.575, "model.claim.source": "a paper, https://arxiv.org/abs/1602.07360"}
    claimed = page(a_run(params=claim))
    assert "57.50%" in text_of(claimed)
    assert 'href="https://arxiv.org/abs/1602.07360"' in claimed
    assert "<title>claimed 57.50%</title>" in claimed
    assert "<title>claimed" not in page(a_run())


def test_uncommitted_changes_are_marked() -> None:
    dirty = {"commit": "c0ffee12" * 5, "dirty": True, "patch": "0" * 64}
    assert "uncommitted changes" in text_of(page(a_run(code=dirty)))
    assert "uncommitted changes" not in text_of(page(a_run()))


def test_hostile_text_is_shown_and_never_run() -> None:
    hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    evidence = {
        hostile: hostile,
        "list": [hostile],
        "rows": [[hostile]],
        "rows_columns": [hostile],
        "reference": hostile,
    }
    found = tuple(
        Finding(check, hostile, Verdict.FAIL, hostile, evidence) for check in ("a" + hostile, "backend_parity")
    )
    facts = {hostile: hostile}
    attacked = page(
        a_run(
            hostile,
            found,
            command=hostile,
            params={**facts, "model.claim.top1": 0.5, "model.claim.source": f"javascript:alert(3) {hostile}"},
            inputs=facts,
            environment=facts,
            code={"commit": hostile, "dirty": True},
            curves={hostile: ((0, 0.5), (1, 0.6)), f"b.{hostile}": ((0, 5.0),)},
        )
    )
    parsed = _Elements(attacked)
    assert [tag for tag, _ in parsed.elements].count("script") == 1
    assert not [1 for tag, attributes in parsed.elements if tag == "img" or "onerror" in attributes]
    assert not [1 for _, attributes in parsed.elements if (attributes.get("href") or "").startswith("javascript")]
    assert hostile in unescape(attacked)


def test_the_test_of_hostile_text_can_fail() -> None:
    parsed = _Elements(page().replace("</body>", "<img src=x onerror=alert(2)></body>"))
    assert [1 for tag, attributes in parsed.elements if tag == "img" or "onerror" in attributes]


def test_a_run_with_next_to_nothing_in_it_is_shown() -> None:
    bare = a_run(params={}, inputs={}, environment={}, code={}, results={})
    shown = text_of(report([bare], [], {}))
    assert "no commit" in shown
    assert "No check looked at these models." in shown
    assert "No stage left a note of its time" in shown


def test_curves_have_titles_and_names_of_axes_and_layers_of_all_models_are_dots_of_one_chart() -> None:
    distance, same = {"mode_check.distance": ((0, 0.1), (1, 0.2))}, ((1, 0.5), (2, 0.9))
    runs = [
        a_run(name, curves={**distance, "pretrain.train": same, "pretrain.loss": same, "mine": ((0, 3.0),)})
        for name in ("a", "b")
    ]
    found = {each.title: each for each in curves.curves(runs)}
    assert list(found) == [
        "Training here",
        "Training here: loss",
        "How far the images are from what BatchNorm stored",
        "mine",
    ]
    layers = found["How far the images are from what BatchNorm stored"]
    assert [name for name, *_ in layers.series] == ["a", "b"]
    assert not layers.joined
    assert found["Training here"].subjects == ("a", "b")
    assert (found["Training here"].x_name, found["Training here"].y_name) == ("epoch", "share that is right")


def test_dropout_without_effect_is_not_drawn_and_new_heads_are_a_table() -> None:
    points = {
        "mode_check.dropout_top1": ((0, 0.9), (1, 0.9)),
        "mode_check.heads.none.inference.training": ((0, 0.8), (1, 0.9)),
        "mode_check.heads.none.inference.inference": ((0, 0.5),),
    }
    run = a_run(curves=points)
    assert list(curves.curves([run])) == []
    assert curves.heads([run]) == [("one", "as they are", "whole base in inference mode", "85.00%", "50.00%")]


def test_bins_of_few_images_are_joined_and_keep_every_image() -> None:
    names = ["low", "high", "images", "confidence", "right"]
    rows = [[0.0, 0.1, 1, 0.05, 1.0], [0.1, 0.2, 12, 0.15, 0.5], [0.2, 0.3, 3, 0.25, 0.0]]
    found = Finding("accuracy_check", "m", Verdict.PASS, "x", {"reliability": rows, "reliability_columns": names})
    (drawn,) = checks.calibrations([found])
    assert [row.note for row in drawn.rows] == ["7 of 16 right"]


def test_a_number_that_is_none_is_a_dash() -> None:
    nan = math.nan
    found = (
        Finding("backend_parity", "two", Verdict.FAIL, "Broken.", {"reference": "one", "max_score_difference": nan}),
        Finding(
            "transfer_check",
            "two",
            Verdict.WARN,
            "Broken.",
            {"lr_0.1.target": nan, "lr_0.1.source": 0.5, "x": [nan, math.inf]},
        ),
    )
    broken = a_run(
        "two",
        found,
        results={"top1": nan, "top1_low": nan, "top1_high": 1.0, "samples": 3},
        environment={"odd": nan},
        curves={"pretrain.loss": ((1, nan), (2, 0.5)), "pretrain.train": ((1, nan),)},
        schema=1,
    )
    object.__setattr__(broken, "id", "0" * 64)  # such a run has no id: its JSON would not be JSON
    assert not re.search(r"\b(nan|inf)\b", text_of(page(broken)), re.IGNORECASE)
    assert not re.search(r'="[^"]*\b(nan|inf)\b', page(broken), re.IGNORECASE)


def test_a_long_list_is_cut_and_the_rest_counted() -> None:
    shown = text_of(page())
    assert "11.png" in shown
    assert "12.png" not in shown
    assert "… and 18 more" in shown


def test_what_is_equal_is_told_once_and_what_differs_for_each_model() -> None:
    other = a_run("two", environment={"python.version": "3.11.7", "cpu.cores": 8, "jax.x64": False})
    shown = text_of(page(a_run(), other))
    assert shown.count("3.11.7") == 1
    assert "cpu.cores 2 8" in shown
    assert "1 only for two jax.x64 false" in shown


def test_true_and_one_are_not_equal() -> None:
    facts = {"one": {"flag": True}, "two": {"flag": 1}}
    assert split(facts).differing == {"flag": [True, 1]}


def test_times_are_summed_and_a_stage_without_a_note_is_said_to_have_none() -> None:
    shown = text_of(page())
    assert "8 seconds in all" in shown
    assert "1 of 4 have no time" in shown
    assert "have no time" not in text_of(report([a_run()], PAIRS, {"fetch": 1.5}))


def test_every_drawing_says_in_words_what_it_shows() -> None:
    drawn = [attributes for tag, attributes in _Elements(page()).elements if tag == "svg"]
    assert all(
        attributes.get("aria-hidden") or "lane" in str(attributes) or "viewbox" in attributes for attributes in drawn
    )
    told = [
        attributes.get("aria-label") or ""
        for _, attributes in _Elements(page()).elements
        if attributes.get("role") == "img"
    ]
    assert len(told) == 7  # two accuracies, two of transfer, two curves, seconds
    assert all(re.search(r"\d", words) for words in told)


@pytest.mark.parametrize("values", [[0.97], [0.0], [0.95, 0.98], [0.0, 0.0], [1e-9, 4e8], [-3.0, 2.0]])
def test_an_axis_holds_its_values_between_its_ticks(values: list[float]) -> None:
    axis = linear(values)
    assert axis.ticks[0] <= min(values) <= max(values) <= axis.ticks[-1]
    assert 2 <= len(axis.ticks) <= 9
    assert all(0 <= axis.at(value) <= 100 for value in values)


def test_an_axis_of_accuracies_ends_at_one() -> None:
    assert linear([0.93, 1.0]).ticks[-1] == 1.0


def test_a_difference_of_zero_has_a_place_on_a_logarithmic_axis() -> None:
    axis = decades([0.0, 2e-5, 1e-3])
    assert axis.at(0.0) == 0.0
    assert 0 < axis.at(2e-5) < axis.at(1e-3) <= 100


def test_main_takes_every_run_and_the_notes_of_this_job_beside_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Path(__file__).parents[2]
    for name in ("params.yaml", "dvc.yaml"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    models = sorted(load_params().models)
    for name in models:
        a_run(name).save(tmp_path / f"data/runs/{name}.json")
    (tmp_path / "data/timings").mkdir()
    for name in (f"infer@{models[0]}", "infer@left-over", "report"):
        (tmp_path / f"data/timings/{name}.json").write_text(json.dumps({"stage": name, "seconds": 12.3}))
    (tmp_path / "data/timings/fetch.json").write_text("{half")
    save_findings(published(), tmp_path / "data/together/published_check.json")
    (tmp_path / "data/manifest.csv").write_text("name,split,label,class,sha256\n", encoding="utf-8")
    stage.main(
        *(Path("data", name) for name in ("runs", "together", "failures", "images", "manifest.csv", "report.html"))
    )
    shown = text_of((tmp_path / "data/report.html").read_text(encoding="utf-8"))
    places = [shown.index(f" {name} MobileNet") for name in models]
    assert places == sorted(places)
    assert "12 seconds in all" in shown
    assert "two against one: +4.70 points." in shown


def test_test_sets_stand_side_by_side() -> None:
    runs = [
        a_run("net+photos"),
        a_run("net+sketches", results={"top1": 0.5, "top1_low": 0.4, "top1_high": 0.6}),
        a_run("b+photos"),
    ]
    found = sections.by_test_set(runs)
    assert found is not None
    assert found["sets"] == ["photos", "sketches"]
    photos, sketches = ("97.00%", "95.24% to 98.17%"), ("50.00%", "40.00% to 60.00%")
    assert found["rows"] == [("net", [photos, sketches]), ("b", [photos, None])]
    page = report(runs, PAIRS, SECONDS)
    assert "Top-1 accuracy by test set" in page
    assert "not weighed" in page
    assert "by test set" not in report([a_run("net+photos"), a_run("b+photos")], PAIRS, SECONDS)


def test_a_run_without_top1_is_known_by_its_perplexity_and_its_suite_is_named_among_what_reproduces_it() -> None:
    texts = {
        "token_perplexity": 41.617,
        "token_perplexity_low": 38.944,
        "token_perplexity_high": 44.258,
        "samples": 277,
    }
    run = a_run(results=texts)
    shown = text_of(report([run], [], {}, suite="suites/language.yaml"))
    assert "41.62 perplexity" in shown
    assert "by token, 38.94 to 44.26" in shown
    assert "weighbridge use suites/language.yaml weighbridge repro" in " ".join(shown.split())
    assert "weighbridge use" not in text_of(report([run], [], {}))
