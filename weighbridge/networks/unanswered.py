"""Images whose scores are no answer: counted and named, for models and imported predictions alike."""

from collections.abc import Iterator

from tracking.runs.findings import Finding, Verdict
from weighbridge.images.tasks import REGRESSION
from weighbridge.networks.claimed import CHECK
from weighbridge.networks.predictions import PredictionSet

NAMED = 5  # images that a sentence names


def unanswered(model: str, predicted: PredictionSet) -> Iterator[Finding]:
    """A finding that names the images whose scores are NaN or infinite, where there are any."""
    names = [name for name, answered in zip(predicted.names, predicted.answered, strict=True) if not answered]
    if not names:
        return
    every = len(names) == len(predicted.names)
    counted = "they are left out of every metric" if predicted.task == REGRESSION else "they count as wrong"
    sentence = (
        f"{len(names)} of {len(predicted.names)} images got no answer, as their scores are NaN or infinite; {counted}: "
        f"{', '.join(names[:NAMED])}{f' and {len(names) - NAMED} more' if len(names) > NAMED else ''}."
    )
    yield Finding(
        CHECK,
        model,
        Verdict.FAIL if every else Verdict.WARN,
        sentence,
        {"unanswered": len(names), "images": names[:50]},
    )
