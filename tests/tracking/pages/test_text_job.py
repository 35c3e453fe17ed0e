"""The last lines of a job: what needs somebody first, with what to do, and at most five lines."""

from tracking.pages.terminal import Screen
from tracking.pages.text_job import job_text
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run


def run(subject: str, top1: float, *findings: tuple[Verdict, str]) -> Run:
    found = tuple(Finding("mode_check", subject, verdict, sentence) for verdict, sentence in findings)
    return Run(subject, "", {}, {}, {}, {}, {"top1": top1}, found)


STALE = (
    "Forgetting eval() changes accuracy by +48.0 points on mixed batches (52.00% in inference mode, 100.00% in training mode on "
    "the same 192 samples, exact McNemar p = 1e-28) and by +31.0 points on batches of one class each (83.00%)."
)
FROZEN = "In training mode with every BatchNorm frozen, a forward pass changes 2 of 9 weights and buffers."


def test_a_model_with_stale_statistics_among_sound_ones_is_the_first_thing_that_needs_somebody() -> None:
    warned = [(Verdict.WARN, f"{FROZEN} {number}") for number in range(12)]
    runs = [run("a", 0.9, *warned), run("b", 0.95, (Verdict.PASS, "x.")), run("stale", 0.52, (Verdict.WARN, STALE))]
    lines = job_text(runs, "data/report.html").splitlines()
    assert lines == [
        "evaluated: 3 models, top-1 52.00 % to 95.00 %; do not trust 1 of them",
        f"needs somebody: stale warns: Stored BatchNorm statistics do not fit: {STALE.rstrip('.')}",
        "  do: Estimate BatchNorm's statistics again on the training images and save the file, or get it again from its source.",
        "  and 12 more findings, of a: in the report",
        "look: data/report.html, or `weighbridge ui`",
    ]


def test_what_was_found_alike_of_several_models_is_said_once() -> None:
    runs = [run(name, 0.9, (Verdict.WARN, FROZEN)) for name in ("a", "b")]
    assert "needs somebody: a, b warns: What changes the weights and statistics: In training" in job_text(
        runs, "r.html"
    )


def test_a_sound_job_says_that_nothing_needs_anybody() -> None:
    sound = run("a", 0.9, (Verdict.PASS, "x."))
    text = job_text([sound], "r.html", Screen(colour=True))
    assert text.splitlines() == [
        "evaluated: 1 model, top-1 90.00 %",
        "needs somebody: nothing (1 finding, none warns or fails)",
        "look: r.html, or `weighbridge ui`",
    ]
    assert "(1 finding, none" in job_text([sound, sound], "r.html")  # of the weights of both
