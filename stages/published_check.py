"""What all runs together say of published accuracies: of a table of them, of two frameworks, of claims made in words.

reads   <runs>/<subject>.json, <claims> (published accuracies, added to the shipped ones)
writes  findings: whether a published table comes back, digit by digit; how many runs agree with their publisher's own
        numbers; for each pair the paired difference beside the published one; for each statement what remains of it
params  published_check

"With preprocessing taken out" means published against published, each with the preprocessing of its own weights. What authors of
imported predictions declare of theirs is told, and proves nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tracking.audit.claim_outcomes import EXCEEDS, SHORT
from tracking.audit.claims import Claim, Measured, claims_about, comes_back, image_side, load_claims
from tracking.audit.compare import Accuracy, Comparison, compare
from tracking.runs.findings import Finding, Verdict, save_findings
from tracking.runs.run import Run, load_runs
from weighbridge.params.published_check import Compared, PublishedCheck, Statement
from weighbridge.params.section import read
from weighbridge.process.stage import run

CHECK = "published_check"
ALPHA = 0.05


@dataclass(frozen=True)
class RunWithClaims:
    """One run beside what is published of its checkpoint: by its publisher, and in the table that should come back.

    Published are accuracies: of a run without single classes `accuracy` is None and no claim is held against it.
    """

    run: Run
    accuracy: Accuracy | None
    own: tuple[Claim, ...]
    cells: tuple[Claim, ...]

    @property
    def publisher(self) -> str:
        return str(self.run.params.get("model.checkpoint", "")).partition("/")[0]

    @property
    def judged(self) -> set[str]:
        """What its accuracy is to each of its publisher's numbers."""
        accuracy = _accuracy(self)
        measured = Measured.of(self.run.results, accuracy.right, accuracy.samples)
        return {claim.judged(measured) for claim in self.own}

    @property
    def preprocessing(self) -> str:
        """As declared, or as the recipe says."""
        steps = {name: value for name, value in self.run.params.items() if name.startswith("recipe.")}
        return ", ".join(f"{name.removeprefix('recipe.')}: {value}" for name, value in steps.items())

    @property
    def shortfall(self) -> float:
        """Points by which it stays below the nearest of its publisher's numbers."""
        return min(float(claim.top1) for claim in self.own) - 100 * _accuracy(self).top1


@dataclass(frozen=True)
class Pair:
    """Two runs on the same images, and the range of what their publishers' numbers make of the difference, in points."""

    key: str
    found: Comparison
    published: tuple[float, float] | None
    preprocessing: tuple[str, str]

    @property
    def points(self) -> float:
        return 100 * self.found.difference

    @property
    def measured_sign(self) -> int:
        """1 where the candidate is better, -1 where the reference is, 0 where chance could have done it."""
        return 0 if self.found.p_value >= ALPHA else _sign(self.points, self.points)

    @property
    def published_sign(self) -> int:
        return _sign(*self.published) if self.published else 0


def _sign(low: float, high: float) -> int:
    return 1 if low > 0 else -1 if high < 0 else 0


def _accuracy(each: RunWithClaims) -> Accuracy:
    """Of a run that has claims."""
    assert each.accuracy is not None
    return each.accuracy


def published_check(asked: PublishedCheck, runs: Mapping[str, Run], claims: Sequence[Claim]) -> Iterator[Finding]:
    """Nothing where nothing is asked; else findings in the order of `asked`.

    Raises:
        UserError: the runs of a pair decided on different images.
    """
    if not (asked.table or asked.pairs or asked.statements):
        return
    runs_with_claims = {name: _with_claims(each, claims, asked.table) for name, each in runs.items()}
    if asked.table is not None:
        yield from _table(asked.table, runs_with_claims, asked.known)
    yield from _publishers(runs_with_claims)
    yield from _without_top1(runs_with_claims, claims)
    pairs = {}
    for key, compared in asked.pairs.items():
        if numbers := [name for name in (compared.reference, compared.candidate) if not runs[name].decisions]:
            yield _undecided(key, numbers)
            continue
        pairs[key] = _pair(key, compared, runs_with_claims)
        yield _paired(pairs[key])
    for key, statement in asked.statements.items():
        if statement.pairs:
            yield _of_pairs(key, statement, [pairs[name] for name in statement.pairs if name in pairs])
        else:
            yield _of_runs(key, statement, [runs_with_claims[name] for name in statement.runs])


def _with_claims(each: Run, claims: Sequence[Claim], table: str | None) -> RunWithClaims:
    about = claims_about(each.params.get("model.checkpoint"), claims, image_side(each.params))
    if "top1" not in each.results:
        return RunWithClaims(each, None, (), ())
    samples = int(each.results["samples"] or 0)
    cells = tuple(claim for claim in about if table and claim.source.startswith(table))
    publisher = str(each.params.get("model.checkpoint", "")).partition("/")[0]
    own = tuple(claim for claim in about if claim.framework == publisher and claim not in cells)
    return RunWithClaims(each, Accuracy.of(_hits(each, "top1"), samples), own, cells)


def _hits(each: Run, name: str) -> int:
    return round(float(each.results[name] or 0) * int(each.results["samples"] or 0))


# ---- a table, cell by cell


def _table(source: str, runs_with_claims: Mapping[str, RunWithClaims], known: Mapping[str, str]) -> Iterator[Finding]:
    rows = [
        row
        for name, each in runs_with_claims.items()
        for claim in each.cells
        if claim.framework == each.publisher
        for row in _cells(name, each.run, claim, known)
    ]
    if not rows:
        yield Finding(CHECK, "table", Verdict.SKIP, f"No run has a number in the table of {source}.")
        return
    missing = [row for row in rows if row[4] == "no"]
    sentence = f"{len(rows) - len(missing)} of {len(rows)} numbers of the table of {source} come back to the last digit"
    names = list(dict.fromkeys(row[0] for row in missing))
    told = "; ".join(f"{name} does not: {known.get(name, 'nobody has said why')}" for name in names)
    unknown = [name for name in names if name not in known]
    verdict = Verdict.FAIL if unknown else Verdict.WARN if missing else Verdict.PASS
    columns = ["run", "of", "published %", "measured %", "comes back", "why not"]
    evidence = {"numbers": len(rows), "come_back": len(rows) - len(missing), "cells": rows, "cells_columns": columns}
    yield Finding(CHECK, "table", verdict, f"{sentence}{f'; {told}' if told else ''}.", evidence)


def _cells(name: str, each: Run, claim: Claim, known: Mapping[str, str]) -> Iterator[list[str]]:
    samples = int(each.results["samples"] or 0)
    for k, published in (("top1", claim.top1), ("top5", claim.top5)):
        if published is None or k not in each.results:
            continue
        hits = _hits(each, k)
        same = comes_back(published, hits, samples)
        why = "" if same else known.get(name, "")
        yield [name, k, str(published), f"{100 * hits / samples:.3f}", "yes" if same else "no", why]


# ---- every run against its publisher


def _publishers(runs_with_claims: Mapping[str, RunWithClaims]) -> Iterator[Finding]:
    known = {name: each for name, each in runs_with_claims.items() if each.own}
    if not known:
        return
    parts = []
    for publisher in dict.fromkeys(each.publisher for each in known.values()):
        runs = [each for each in known.values() if each.publisher == publisher]
        short, exceed = (sum(each.judged == {word} for each in runs) for word in (SHORT, EXCEEDS))
        parts.append(f"of {len(runs)} {publisher} runs {short} fall short of all of them, {exceed} exceed all of them")
    rows = [_publisher_row(name, each) for name, each in known.items()]
    columns = ["run", "measured %", "95 % interval", "published by its publisher, %", "measured is", "preprocessing"]
    outside = any(each.judged <= {SHORT, EXCEEDS} for each in known.values())
    sentence = f"Held against their publishers' own numbers, {'; '.join(parts)}."
    evidence = {"runs": len(known), "measured": rows, "measured_columns": columns}
    yield Finding(CHECK, "publishers", Verdict.WARN if outside else Verdict.PASS, sentence, evidence)


def _without_top1(runs_with_claims: Mapping[str, RunWithClaims], claims: Sequence[Claim]) -> Iterator[Finding]:
    """Runs with published accuracies, and labels that are no single class."""
    others = [each.run for each in runs_with_claims.values() if each.accuracy is None]
    named = [run.subject for run in others if claims_about(run.params.get("model.checkpoint"), claims)]
    if named:
        sentence = (
            f"What is published for the checkpoint of {', '.join(named)} are accuracies of single classes, which these runs do "
            "not measure: nothing is held against them. A claim about another metric belongs to the model: `metric`, `value`."
        )
        yield Finding(CHECK, "without top-1", Verdict.SKIP, sentence)


def _publisher_row(name: str, each: RunWithClaims) -> list[str]:
    accuracy = _accuracy(each)
    published = ", ".join(f"{claim.top1} ({claim.date})" for claim in each.own)
    ends = f"{100 * accuracy.low:.2f} to {100 * accuracy.high:.2f}"
    judged = " or ".join({SHORT: "short", EXCEEDS: "above"}.get(word, word) for word in sorted(each.judged))
    return [name, f"{100 * accuracy.top1:.2f}", ends, published, judged, each.preprocessing]


# ---- two runs on the same images


def _pair(key: str, compared: Compared, runs_with_claims: Mapping[str, RunWithClaims]) -> Pair:
    reference, candidate = runs_with_claims[compared.reference], runs_with_claims[compared.candidate]
    differences = [float(new.top1 - old.top1) for old in reference.own for new in candidate.own]
    published = (min(differences), max(differences)) if differences else None
    return Pair(
        key, compare(reference.run, candidate.run), published, (reference.preprocessing, candidate.preprocessing)
    )


def _undecided(key: str, names: Sequence[str]) -> Finding:
    sentence = (
        f"{' and '.join(names)} hold no decisions (their answers are numbers): nothing can be paired; `weighbridge audit` "
        "compares the metrics."
    )
    return Finding(CHECK, key, Verdict.SKIP, sentence)


def _paired(pair: Pair) -> Finding:
    found = pair.found
    low, high = (100 * end for end in found.bootstrap)
    p_value = "< 1e-300" if found.p_value < 1e-300 else f"= {found.p_value:.2g}"
    sentence = (
        f"{found.second.subject} against {found.first.subject} on the same {len(found.labels):,} images: "
        f"{pair.points:+.2f} points [{low:+.2f}, {high:+.2f}] (exact McNemar p {p_value}, {len(found.flipped):,} flips); "
        f"{_published_words(pair, low, high)}."
    )
    agrees = pair.published is not None and low <= pair.published[1] and high >= pair.published[0]
    verdict = Verdict.SKIP if pair.published is None else Verdict.PASS if agrees else Verdict.WARN
    evidence = {
        "difference": found.difference,
        "difference_low": found.bootstrap[0],
        "difference_high": found.bootstrap[1],
        "only_reference_right": found.only_first,
        "only_candidate_right": found.only_second,
        "p_value": found.p_value,
        "flips": len(found.flipped),
        "published_difference_points": list(pair.published or ()),
        "preprocessing": list(pair.preprocessing),
        "reference": found.first.subject,
        "candidate": found.second.subject,
    }
    return Finding(CHECK, pair.key, verdict, sentence, evidence)


def _published_words(pair: Pair, low: float, high: float) -> str:
    if pair.published is None:
        return "of one of them no number by its publisher is known"
    words = f"by their publishers' numbers, each with its own preprocessing, {_range(pair.published)}"
    if low <= pair.published[1] and high >= pair.published[0]:
        return f"{words}, which agrees"
    turned = {1: "", -1: ", the other way round", 0: ", or none"}[pair.published_sign * _sign(low, high)]
    told = pair.preprocessing[0] != pair.preprocessing[1]
    return words + turned + (". They were prepared differently, which could have made the rest" if told else "")


def _range(ends: tuple[float, float]) -> str:
    low, high = (f"{end:+.2f}" for end in ends)
    return low if low == high else f"{low} to {high}"


# ---- claims in words


def _unknown(key: str, statement: Statement, of: str) -> Finding:
    return Finding(
        CHECK,
        key,
        Verdict.SKIP,
        f"“{statement.says}”: of {of} no number by its publisher is known, so nothing can be said.",
    )


def _of_pairs(key: str, statement: Statement, pairs: Sequence[Pair]) -> Finding:
    known = [pair for pair in pairs if pair.published is not None]
    if not known:
        return _unknown(key, statement, f"one side at least of every pair ({', '.join(statement.pairs)})")
    wanted = 1 if statement.better == "candidate" else -1
    measured = [pair for pair in pairs if pair.measured_sign == wanted]
    remaining = [pair for pair in pairs if pair.published_sign == wanted]
    told = ", ".join(f"{pair.key} {pair.points:+.2f}" for pair in pairs)
    rest = ", ".join(f"{pair.key} {_range(pair.published) if pair.published else 'unknown'}" for pair in pairs)
    sentence = (
        f"“{statement.says}”: {len(measured)} of {len(pairs)} pairs confirm it in these predictions ({told} points); "
        f"{len(remaining)} of {len(pairs)} when each publisher's own numbers are compared ({rest})."
    )
    stands, refuted = len(measured) == len(remaining) == len(pairs), not remaining and len(known) == len(pairs)
    rows = [[pair.key, f"{pair.points:+.2f}", _range(pair.published) if pair.published else ""] for pair in pairs]
    columns = ["pair", "measured, points", "published, points"]
    verdict = Verdict.PASS if stands else Verdict.FAIL if refuted else Verdict.WARN
    return Finding(CHECK, key, verdict, sentence, {"pairs": rows, "pairs_columns": columns})


def _of_runs(key: str, statement: Statement, runs: Sequence[RunWithClaims]) -> Finding:
    known = [each for each in runs if each.own]
    if not known:
        return _unknown(key, statement, ", ".join(each.run.subject for each in runs))
    short = [each for each in known if each.judged == {SHORT}]
    points = sorted(each.shortfall for each in short)
    by = f", by {points[0]:.2f} to {points[-1]:.2f} points" if points else ""
    ours = dict.fromkeys(each.preprocessing for each in known if each.run.is_declared and each.preprocessing)
    theirs = dict.fromkeys(claim.preprocessing for each in known for claim in each.own if claim.preprocessing)
    told = bool(ours and theirs and ours.keys() != theirs.keys())
    sentence = (
        f"“{statement.says}”: {len(short)} of {len(known)} runs fall short of every number by their publisher{by}. "
        + (_not_alike(list(ours), list(theirs)) if told and short else "")
    )
    rows = [[each.run.subject, f"{each.shortfall:+.2f}", each.preprocessing] for each in known]
    columns = ["run", "points short of the lowest", "preprocessing"]
    evidence = {"runs": rows, "runs_columns": columns, "theirs": list(theirs)}
    verdict = (
        Verdict.PASS if short and len(short) == len(known) and not told else Verdict.WARN if short else Verdict.FAIL
    )
    return Finding(CHECK, key, verdict, sentence.strip(), evidence)


def _not_alike(ours: Sequence[str], theirs: Sequence[str]) -> str:
    return (
        f"But they were prepared differently ({'; '.join(ours)}) from the published numbers ({'; '.join(theirs)}), so that this "
        "says nothing against these: what remains takes the weights, the images and the published recipe."
    )


def main(runs: Path, claims: Path, findings: Path) -> None:
    """Load every run, check, write."""
    loaded = {each.subject: each for each in load_runs(runs)}
    save_findings(published_check(read(PublishedCheck, "published_check"), loaded, load_claims(claims)), findings)


if __name__ == "__main__":
    run(main)
