"""What checks that set modes or train leave out of what is asked of a model."""

from collections.abc import Iterator

from tracking.runs.findings import Finding, Verdict
from weighbridge.params.models import Model


def computing_left_out(check: str, name: str, model: Model) -> Iterator[Finding]:
    """One finding where `computing` asks for something: `load_network` does not heed it."""
    if asked := model.computing_asked:
        said = ", ".join(f"{key} {value}" for key, value in asked.items())
        sentence = (
            f"Its network was looked at as the framework computes by itself, in float32: models.{name}.computing in params.yaml "
            f"({said}) is not heeded here, since such a network cannot be trained or have its modes set."
        )
        yield Finding(check, name, Verdict.SKIP, sentence, {"computing_left_out": asked})
