"""MLPerf's logs: `mlperf_log_accuracy.json`, with the logs and the accuracy that lie beside it; or a summary or detail log alone.

Each answer is hexadecimal bytes of a type that the log does not name, and right answers are not in it: outputs are compared byte
by byte, decisions are not recorded; nor are outputs where the log was cut for a submission. What was asked for stands in
`mlperf_log_summary.txt` or `mlperf_log_detail.txt`, the share of right answers in what the accuracy script printed,
`accuracy.txt`. Form: `loadgen/logging.cc` and `tools/submission/truncate_accuracy_log.py` of mlcommons/inference.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tracking.audit.recorded import RECORDER
from tracking.foreign.bounded import read_text
from tracking.foreign.samples import Sample, documents_of, packed
from tracking.runs.errors import UserError
from tracking.runs.facts import is_number
from tracking.runs.flat import flat
from tracking.runs.run import FOREIGN, Run, Scalar

TOOL = "MLPerf LoadGen"
LOG, ACCURACY = "mlperf_log_accuracy.json", "accuracy.txt"
SUMMARY, DETAIL = "mlperf_log_summary.txt", "mlperf_log_detail.txt"
CUT = "\n\n...\n\n"  # what a submission leaves out of the middle of an accuracy log
ASKED = re.compile(r"^(SUT name|Scenario|Mode|[a-z][a-z0-9_]*)(?: \([nm]s\))? *: (.*\S)\s*$", re.MULTILINE)
RATE = re.compile(r"^((?:[A-Z][a-z]+ )?[Ss]amples per second) *: ([0-9]+(?:\.[0-9]+)?)\s*$", re.MULTILINE)
FIGURE = re.compile(r"""['"]?\b([A-Za-z][\w.@-]{0,40})['"]?\s*[=:]\s*([0-9]+(?:\.[0-9]+)?)(%?)(?![\w.])""")
EFFECTIVE = "effective_"


def recognises(values: Any) -> bool:
    rows: Sequence[Any] = values if isinstance(values, list) else ()
    return bool(rows) and isinstance(rows[0], Mapping) and {"qsl_idx", "data"} <= rows[0].keys()


def folder_of(path: Path) -> Path | None:
    """The folder of a start's logs: of one of these files, itself, or `accuracy` or `performance/run_1` in a submission's."""
    if path.is_file():
        return path.parent if path.name in (LOG, SUMMARY, DETAIL) else None
    below = (path / part for part in ("", "accuracy", "performance/run_1"))
    return next((each for each in below if any((each / name).is_file() for name in (LOG, SUMMARY, DETAIL))), None)


def read(folder: Path, rows: Any = None) -> list[Run]:
    """The run whose logs lie in `folder`; `rows` of an accuracy log that has another name.

    Raises:
        UserError: a log is not as the tool writes it.
    """
    samples = _samples(folder / LOG, rows)
    decisions = packed(samples) if samples else {}
    summary, detail = read_text(folder / SUMMARY) or "", dict(_detail(read_text(folder / DETAIL) or ""))
    asked = dict(_asked(summary)) if summary else dict(_effective(detail))
    version = str(detail.get("loadgen_version", ""))[:80]
    return [
        Run(
            subject=folder.resolve().name,
            command="",
            params=flat(asked),
            inputs=documents_of(decisions),
            environment={RECORDER: TOOL, **({"package.mlperf-loadgen": version} if version else {})},
            code={},
            results={
                **dict(_figures(read_text(folder / ACCURACY) or "")),
                **{name.lower().replace(" ", "_"): float(value) for name, value in RATE.findall(summary)},
                **({"samples": len(samples)} if samples else {}),
            },
            decisions=decisions,
            schema=FOREIGN,
        )
    ]


def _samples(log: Path, rows: Any) -> list[Sample]:
    """None where there is no log, or one that was cut."""
    try:
        if rows is None:
            text = read_text(log)
            if not text or CUT in text:
                return []
            rows = json.loads(text)
        if rows and not recognises(rows):
            raise KeyError("qsl_idx, data")
        return [_sample(row) for row in sorted(rows, key=lambda row: (row["qsl_idx"], row.get("seq_id", 0)))]
    except (TypeError, AttributeError, KeyError, ValueError, OverflowError, RecursionError) as problem:
        raise UserError(f"{log}: not a log of {TOOL} as it writes them ({problem})") from problem


def _sample(row: Mapping[str, Any]) -> Sample:
    bytes.fromhex(row["data"])
    return Sample(document=f"qsl {row['qsl_idx']:012d}", output=row["data"].upper())


def _asked(summary: str) -> Iterator[tuple[str, Scalar]]:
    """Scenario, mode and the parameters; what was measured (a latency, a rate) is none."""
    head, _, parameters = summary.partition("Test Parameters Used")
    named = ((name, value) for name, value in ASKED.findall(head) if name in ("SUT name", "Scenario", "Mode"))
    for name, value in (*named, *ASKED.findall(parameters)):
        yield name.lower().replace(" ", "_"), value


def _detail(text: str) -> Iterator[tuple[str, Any]]:
    """The keys and values of `:::MLLOG {...}`, each on its line."""
    for line in text.splitlines():
        if line.startswith(":::MLLOG "):
            try:
                row = json.loads(line.removeprefix(":::MLLOG "))
                yield str(row["key"]), row["value"]
            except (ValueError, TypeError, KeyError, RecursionError):
                continue  # a line that was cut


def _effective(detail: Mapping[str, Any]) -> Iterator[tuple[str, Scalar]]:
    """What was asked for, of a detail log, under the names of a summary."""
    named = {"sut_name": "sut_name", "effective_test_mode": "mode"}
    for key, value in detail.items():
        if key in named or key.startswith(EFFECTIVE):
            name = named.get(key, key.removeprefix(EFFECTIVE))
            whole = is_number(value) and float(value).is_integer()
            yield name, str(int(value) if whole else value)[:200]


def _figures(accuracy: str) -> Iterator[tuple[str, Scalar]]:
    """`accuracy=76.456%, good=38228, total=50000`, or a table of Python's; a share in per cent becomes a fraction."""
    for name, number, percent in FIGURE.findall(accuracy[: 2**16]):
        value = float(number)
        yield ("top1" if name == "accuracy" and percent else name), value / 100 if percent else value
