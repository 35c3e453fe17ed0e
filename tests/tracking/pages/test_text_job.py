"""The last lines of a job: what needs somebody first, and at most five lines."""

from tracking.pages.terminal import Screen
from tracking.pages.text_job import job_text
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run


def run(subject: str, top1: float, *findings: tuple[Verdict, str]) -> Run:
    found = tuple(Finding("mode_check", subject, verdict, sentence) for verdict, sentence in findings)
    return Run(subject, "", {}, {}, {}, {}, {"top1": top1}, found)


STALE = "Accuracy is 52 % in inference mode, 100 % in training mode. Estimate the statistics again."


def test_a_model_that_fails_among_sound_ones_is_the_first_thing_that_needs_somebody() -> None:
    warned = [(Verdict.WARN, f"warning {number}.") for number in range(3)]
    runs = [run("a", 0.9, *warned), run("b", 0.95, (Verdict.PASS, "x.")), run("stale", 0.52, (Verdict.FAIL, STALE))]
    lines = job_text(runs, "data/report.html").splitlines()
    assert lines[0] == "weighed: 3 models, top-1 52.00 % to 95.00 %"
    assert lines[1] == (
        "needs somebody: stale fails (mode_check): Accuracy is 52 % in inference mode, 100 % in training mode"
    )
    assert lines[-2:] == ["  and 1 more, in the report", "look: data/report.html"]
    assert len(lines) == 6


def test_a_sound_job_says_that_nothing_needs_anybody() -> None:
    text = job_text([run("a", 0.9, (Verdict.PASS, "x."))], "r.html", Screen(colour=True))
    assert text.splitlines() == [
        "weighed: 1 model, top-1 90.00 %",
        "needs somebody: nothing (1 finding, none warns or fails)",
        "look: r.html",
    ]
