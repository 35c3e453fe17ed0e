"""What a command printed with `--json`, held to its JSON Schema's model."""

import json
from typing import Any

from weighbridge.cli.json_forms import FORMS


def printed(command: str, out: str) -> dict[str, Any]:
    """The values; raises pydantic's ValidationError where they are not of the command's form."""
    values: dict[str, Any] = json.loads(out)
    FORMS[command].model_validate(values)
    assert values["schema"] >= 1
    return values
