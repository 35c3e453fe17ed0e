"""MLPerf's accuracy log: `mlperf_log_accuracy.json`, with the logs and the accuracy that lie beside it.

Each answer is hexadecimal bytes of a type that the log does not name, and right answers are not in it: outputs are compared byte
by byte, decisions are not recorded. What was asked for stands in `mlperf_log_summary.txt`, the share of right answers in what the
accuracy script printed, `accuracy.txt`. Form: `loadgen/logging.cc` of mlcommons/inference.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracking.audit.recorded import RECORDER
from tracking.foreign.bounded import read_json, read_text
from tracking.foreign.samples import Sample, documents_of, packed
from tracking.runs.errors import UserError
from tracking.runs.flat import flat
from tracking.runs.run import FOREIGN, Run, Scalar

TOOL = "MLPerf LoadGen"
LOG, ACCURACY = "mlperf_log_accuracy.json", "accuracy.txt"
SUMMARY, DETAIL = "mlperf_log_summary.txt", "mlperf_log_detail.txt"
ASKED = re.compile(r"^(SUT name|Scenario|Mode|[a-z][a-z0-9_]*) *: (.*\S)\s*$", re.MULTILINE)
VERSION = re.compile(r'"key": "loadgen_version", "value": "([^"]{1,80})"')
FIGURE = re.compile(r"""['"]?\b([A-Za-z][\w.@-]{0,40})['"]?\s*[=:]\s*([0-9]+(?:\.[0-9]+)?)(%?)""")


def recognises(values: Any) -> bool:
    rows: Sequence[Any] = values if isinstance(values, list) else ()
    return bool(rows) and isinstance(rows[0], Mapping) and {"qsl_idx", "data"} <= rows[0].keys()


def read(path: Path, values: Any = None) -> list[Run]:
    """The run of a log.

    Raises:
        UserError: it is not as the tool writes it.
    """
    try:
        rows = read_json(path) if values is None else values
        if rows and not recognises(rows):
            raise KeyError("qsl_idx, data")
        samples = [_sample(row) for row in sorted(rows, key=lambda row: (row["qsl_idx"], row.get("seq_id", 0)))]
    except (TypeError, AttributeError, KeyError, ValueError, OverflowError) as problem:
        raise UserError(f"{path}: not a log of {TOOL} as it writes them ({problem})") from problem
    decisions = packed(samples) if samples else {}
    version = VERSION.search((read_text(path.with_name(DETAIL)) or "")[: 2**20])
    return [
        Run(
            subject=path.resolve().parent.name,
            command="",
            params=flat(dict(_asked(read_text(path.with_name(SUMMARY)) or ""))),
            inputs=documents_of(decisions),
            environment={RECORDER: TOOL, **({"package.mlperf-loadgen": version[1]} if version else {})},
            code={},
            results={**dict(_figures(read_text(path.with_name(ACCURACY)) or "")), "samples": len(samples)},
            decisions=decisions,
            schema=FOREIGN,
        )
    ]


def _sample(row: Mapping[str, Any]) -> Sample:
    bytes.fromhex(row["data"])
    return Sample(document=f"qsl {row['qsl_idx']:012d}", output=row["data"].upper())


def _asked(summary: str) -> Iterator[tuple[str, Scalar]]:
    """Scenario, mode and the parameters; what was measured (a latency, a rate) is none."""
    head, _, parameters = summary.partition("Test Parameters Used")
    for name, value in (*ASKED.findall(head), *ASKED.findall(parameters)):
        if name in ("SUT name", "Scenario", "Mode") or (name, value) in ASKED.findall(parameters):
            yield name.lower().replace(" ", "_"), value


def _figures(accuracy: str) -> Iterator[tuple[str, Scalar]]:
    """`accuracy=76.456%, good=38228, total=50000`, or a table of Python's; a share in per cent becomes a fraction."""
    for name, number, percent in FIGURE.findall(accuracy[: 2**16]):
        value = float(number)
        yield ("top1" if name == "accuracy" and percent else name), value / 100 if percent else value
