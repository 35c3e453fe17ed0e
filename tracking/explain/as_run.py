"""An explanation as a run, so that any tracker keeps it by the one method that it has; and a certificate read back from one.

Its id is a digest of the certificate and the audit, so logging it twice changes nothing. The certificate stands in the
finding as the very text that was sealed: a tracker's own order of keys would break the seal.
"""

from collections.abc import Mapping
from typing import Any

from tracking.audit.audit import Audit
from tracking.explain.search_result import SearchVerdict
from tracking.runs.errors import UserError
from tracking.runs.findings import Finding, Verdict
from tracking.runs.run import Run, Scalar

CHECK = "explain"
CHECK_VERDICTS = {
    SearchVerdict.PROVEN: Verdict.PASS,
    SearchVerdict.SAME: Verdict.PASS,
    SearchVerdict.NOISE: Verdict.PASS,
    SearchVerdict.UNAVAILABLE: Verdict.SKIP,
}


def as_run(values: Mapping[str, Any], text: str, audit: Audit, headline: str) -> Run:
    """The run that stands for a certificate: `values`, which were sealed as `text`; `headline` says its verdict.

    Its parameters are the ends and every factor's change, its numbers the difference and each factor's share (decisions,
    points of top-1 accuracy).
    """
    first, second = audit.before, audit.after
    subject = f"explain-{second.subject}"
    verdict = CHECK_VERDICTS.get(SearchVerdict(values["verdict"]), Verdict.WARN)
    evidence = {"certificate": text, "audit": audit.to_dict()}
    return Run(
        subject=subject,
        command=f"weighbridge explain {first.id[:12]} {second.id[:12]}",
        params={
            "A": first.id,
            "B": second.id,
            "verdict": values["verdict"],
            "grade": values["grade"],
            **_changes(values),
        },
        inputs={},
        environment={},
        code={},
        results={**_numbers(values), "certificate.sha256": values["sha256"]},
        findings=(Finding(CHECK, subject, verdict, f"{values['verdict']}: {headline}.", evidence),),
    )


def _changes(values: Mapping[str, Any]) -> dict[str, Scalar]:
    carrying = set(values["minimal"])
    return {
        f"factor.{factor['name']}": f"{factor['change']}{' (carries the difference)' if factor['name'] in carrying else ''}"
        for factor in values["factors"]
    }


def _numbers(values: Mapping[str, Any]) -> dict[str, Scalar]:
    whole = values["difference"]
    shares = {
        f"share.{share['factor']}.{unit}": number
        for share in values["shares"]
        for unit, number in (("decisions", _decimal(share["flips"])), ("points", share["points"]))
    }
    return {"decisions": whole["flips"], "points": whole["points"], "runs": values["runs"], **shares}


def _decimal(fraction: str) -> float:
    """Of a share, which is kept as a fraction: ``7/2``."""
    above, _, below = fraction.partition("/")
    return int(above) / int(below or 1)


def certificate_in(run: Run, reference: str) -> str:
    """The text of the certificate that a run of `as_run` holds.

    Raises:
        UserError: it is another kind of run; `reference` is how the user named it.
    """
    for finding in run.findings:
        if finding.check == CHECK and "certificate" in finding.evidence:
            return str(finding.evidence["certificate"])
    raise UserError(
        f"{reference}: this run holds no certificate; `weighbridge explain A B --log TRACKER` makes one that does"
    )
