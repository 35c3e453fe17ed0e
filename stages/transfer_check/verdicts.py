"""Sentences about what `transfer_check` saw: a pure function of it."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from stages.transfer_check.advice import Quadrant, quadrant
from stages.transfer_check.finetuning import Outcome
from stages.transfer_check.seeds import MeanOverSeeds, significantly_better
from stages.transfer_check.similarity import Similarity
from stages.transfer_check.study import Study, best, cuts_by_layers, diverged, way_named
from tracking.audit.statistics import mcnemar_exact
from tracking.runs.findings import Finding, Verdict
from weighbridge.params.transfer_check import Transfer

CHECK = "transfer_check"
LOST = 0.05
NAMED = 6  # classes of a target that are named; the rest is counted
SIGNIFICANT = 0.05
_SHORT = {"fine-tuned": "lr", "probed": "probed_lr", "scratch": "scratch_lr"}


def skipped(model: str, reason: str) -> Finding:
    """Nothing was looked at."""
    return Finding(CHECK, model, Verdict.SKIP, reason)


def judge(model: str, task: Transfer, study: Study) -> Iterator[Finding]:
    """Every finding about one model."""
    yield from (Finding(CHECK, model, Verdict.WARN, note) for note in study.notes)
    yield _heads(model, task, study)
    tunings = {key: outcomes for key, outcomes in study.trainings().items() if key[0] != "scratch"}
    kept = any(_loss(study, outcomes) <= LOST for outcomes in tunings.values() if not diverged(outcomes))
    for (method, rate), outcomes in tunings.items():
        yield _tuning(model, study, method, rate, outcomes, kept=kept)
    yield _scratch(model, task, study)
    yield from _layers(model, task, study)
    yield _earlier(model, study)
    yield _scores(model, study)
    yield _similarity(model, study.similarity)
    yield _advice(model, quadrant(study, task.few), study)


def _heads(model: str, task: Transfer, study: Study) -> Finding:
    linear, neighbours, pixels = (study.probed(name) for name in ("linear", "neighbours", "pixels"))
    won, how, tested = _against_pixels(study)
    said = {True: "better than", False: "worse than", None: "no better than"}[won]
    sentence = (
        f"Of the target a linear head on frozen features gets {linear}, {task.neighbours} nearest neighbours {neighbours}: "
        f"{said} a linear head on {study.raw}, {pixels} ({how}). The source task stays at {study.source:.1%}. "
        f"The target is {target_named(task, study.classes)}."
    )
    evidence = {
        **linear.evidence("frozen_target"),
        "frozen_source": study.source,
        **neighbours.evidence("neighbours_target"),
        **pixels.evidence("pixels_target"),
        **tested,
        "target": target_named(task, study.classes),
        "train_samples": study.drawn,
        "seeds": len(linear.values),
    }
    easy = won is None and pixels.mean == 1  # nothing can be better
    return Finding(CHECK, model, Verdict.PASS if won or easy else Verdict.WARN, sentence, evidence)


def target_named(task: Transfer, classes: Sequence[str]) -> str:
    """For example ``2 classes out of data/images: even, odd``."""
    place = f"{task.target.images}/{task.target.prompts}" if task.target.prompts else task.target.images
    more = f" and {len(classes) - NAMED} more" if len(classes) > NAMED else ""
    return f"{len(classes)} classes out of {place}: {', '.join(classes[:NAMED])}{more}"


def _against_pixels(study: Study) -> tuple[bool | None, str, dict[str, float]]:
    """Whether a linear head is better than one on raw pixels (None: undecided), by which test, and its p value.

    Seeds decide where they differ. A single one, or seeds that change nothing, leave the images to McNemar's test.
    """
    linear, pixels = study.probed("linear"), study.probed("pixels")
    if len(set(zip(linear.values, pixels.values, strict=True))) > 1:
        return significantly_better(linear, pixels), f"seed by seed, over {len(linear.values)} seeds", {}
    first = study.probes[0]
    only, never = int((first.linear & ~first.pixels).sum()), int((first.pixels & ~first.linear).sum())
    p_value = mcnemar_exact(only, never)
    return only > never if p_value < SIGNIFICANT else None, f"McNemar's p {p_value:.2g}", {"pixels_p_value": p_value}


def _loss(study: Study, outcomes: list[Outcome]) -> float:
    """What is lost of the accuracy on the source task, as a fraction."""
    return study.source - study.left(outcomes).mean


def _tuning(
    model: str, study: Study, method: str, rate: float, outcomes: list[Outcome], *, kept: bool = False
) -> Finding:
    """`kept`: another of the rates keeps the source task, so that one which does not is no warning."""
    name = f"{_SHORT[method]}_{rate:g}"
    if words := diverged(outcomes):
        return _lost(model, name, way_named(method, rate), words, outcomes)
    target, left = study.target(outcomes), study.left(outcomes)
    drift = float(np.mean([outcome.drift for outcome in outcomes if outcome.drift is not None]))
    layers = {
        name: float(np.mean([each.drift_by_layer[name] for each in outcomes])) for name in outcomes[0].drift_by_layer
    }
    lost = _loss(study, outcomes)
    most = max(layers, key=layers.__getitem__)
    sentence = (
        f"{way_named(method, rate).capitalize()} reaches {target} on the target, leaves {left} on the source task "
        f"({-100 * lost:+.1f} points) and changes the weights by {drift:.1%} (relative norm), most in {most} "
        f"({layers[most]:.1%})."
    ) + (" This learning rate is too high to keep the source task." if lost > LOST else "")
    evidence = {
        **target.evidence(f"{name}.target"),
        **left.evidence(f"{name}.source"),
        f"{name}.drift": drift,
        f"{name}.drift_by_layer": [[layer, moved] for layer, moved in layers.items()],
        f"{name}.by_seed": [[each.seed, each.target, each.source, each.drift] for each in outcomes],
        "curves": _curves(name, outcomes)
        | {f"drift.{name}": [[i + 1, moved] for i, moved in enumerate(layers.values())]},
    }
    return Finding(CHECK, model, Verdict.WARN if lost > LOST and not kept else Verdict.PASS, sentence, evidence)


def _lost(model: str, name: str, way: str, words: str, outcomes: Sequence[Outcome]) -> Finding:
    sentence = f"{way.capitalize()} {words}: its loss or weights became NaN or infinite, so it is left out of every comparison."
    evidence = {
        f"{name}.diverged": min(each.diverged for each in outcomes if each.diverged is not None),
        f"{name}.by_seed": [[each.seed, each.target, each.source, each.drift] for each in outcomes],
        "curves": _curves(name, outcomes),
    }
    return Finding(CHECK, model, Verdict.WARN, sentence, evidence)


def _curves(name: str, outcomes: Sequence[Outcome]) -> dict[str, list[list[float]]]:
    """Training accuracy and mean loss by epoch, averaged over the seeds, as long as they are numbers."""
    points = np.mean([outcome.curve for outcome in outcomes], axis=0)
    points = points[np.isfinite(points).all(axis=1)]
    return {f"train.{name}": points[:, [0, 2]].tolist(), f"loss.{name}": points[:, [0, 1]].tolist()}


def _scratch(model: str, task: Transfer, study: Study) -> Finding:
    groups = {key: outcomes for key, outcomes in study.trainings().items() if key[0] == "scratch"}
    if not groups:
        reason = study.unbuilt or "transfer_check.scratch_rates in params.yaml is empty"
        return skipped(model, f"Nothing was trained from scratch: {reason}.")
    lost = "; ".join(f"{way_named(*key)}: {words}" for key, outcomes in groups.items() if (words := diverged(outcomes)))
    spreads = {way_named(*key): study.target(outcomes) for key, outcomes in groups.items() if not diverged(outcomes)}
    if not spreads:
        return Finding(CHECK, model, Verdict.WARN, f"No training from scratch came to an end: {lost}.")
    (way, scratch), (transfer, transferred) = best(spreads), best(study.transfers())
    won = significantly_better(scratch, transferred)
    evidence: dict[str, Any] = {"curves": {}}
    for (_, rate), outcomes in groups.items():
        if diverged(outcomes):
            continue
        name = f"scratch_lr_{rate:g}"
        evidence |= study.target(outcomes).evidence(f"{name}.target")
        evidence |= {f"{name}.by_seed": [[each.seed, each.target] for each in outcomes]}
        evidence["curves"] |= _curves(name, outcomes)
    doubt = "" if won is not None else ", which these seeds and images cannot tell apart"
    sentence = (
        f"{way.capitalize()} it reaches {scratch} on the target; the best transfer is {transfer}: {transferred}{doubt}."
    ) + (f" Left out: {lost}." if lost else "")
    return Finding(CHECK, model, Verdict.WARN if won else Verdict.PASS, sentence, evidence)


def _layers(model: str, task: Transfer, study: Study) -> Iterator[Finding]:
    if not study.cuts:
        reason = study.unbuilt or "transfer_check.cuts in params.yaml is 0"
        yield skipped(model, f"Layers were not transferred one by one: {reason}.")
        return
    base = study.target(study.trainings()["scratch", task.scratch_rates[0]])
    curves: dict[str, list[list[float]]] = {}
    for layers, kinds in cuts_by_layers(study.cuts):
        spreads = {kind: study.target(cuts) for kind, cuts in kinds.items()}
        for kind, reached in spreads.items():
            curves.setdefault(f"layers.{_name(kind)}", []).append([layers, reached.mean])
        evidence = {"curves": curves} if layers == max(cut.layers for cut in study.cuts) else {}
        yield _cut(model, layers, study.cuts[0].of, spreads, base, evidence)


def _name(kind: str) -> str:
    """As trackers allow it."""
    return kind.replace("+", "_tuned")


def _cut(
    model: str, layers: int, of: int, spreads: dict[str, MeanOverSeeds], base: MeanOverSeeds, evidence: dict[str, Any]
) -> Finding:
    lost = spreads["BnB"].mean - spreads["AnB"].mean  # late layers of every network are special to its own task
    sentence = (
        f"With the first {layers} of {of} layers held, the source's (AnB) reach {spreads['AnB']} on the target, the target's own "
        f"(BnB) {spreads['BnB']}: {-100 * lost:+.1f} points for what is special to the source. Fine-tuned, AnB+ reaches "
        f"{spreads['AnB+']} and BnB+ {spreads['BnB+']}; held random layers {spreads['RnB']}; all from scratch {base}."
    )
    evidence = {"layers": of, f"cut_{layers}.base": base.mean, **evidence}
    for kind, reached in spreads.items():
        evidence |= reached.evidence(f"cut_{layers}.{_name(kind)}")
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def _earlier(model: str, study: Study) -> Finding:
    if isinstance(study.earlier, str):
        return skipped(model, f"No head was put on an earlier layer: {study.earlier}.")
    heads, last, reached = study.earlier, study.probed("linear"), study.chosen_earlier(study.earlier)
    by_layer = {layer: study.at_layer(heads, layer) for layer in heads[0].right}
    won = significantly_better(reached, last)
    said = {True: "better than", False: "worse than", None: "not significantly different from"}[won]
    chosen = " or ".join(dict.fromkeys(each.chosen for each in heads))
    sentence = (
        f"A linear head on an earlier layer ({chosen}, chosen among {len(by_layer)} by the training images) gets {reached} of "
        f"the target: {said} one on the last features, {last}."
    )
    evidence = {
        **reached.evidence("earlier_target"),
        "earlier.by_layer": [[layer, reached.mean] for layer, reached in by_layer.items()],
        "curves": {"earlier_heads": [[index + 1, each.mean] for index, each in enumerate(by_layer.values())]},
    }
    return Finding(CHECK, model, Verdict.WARN if won else Verdict.PASS, sentence, evidence)


def _scores(model: str, study: Study) -> Finding:
    found = study.scores
    few = (
        "With no more images than features the H-score is as great as it can be. " if study.drawn <= study.width else ""
    )
    sentence = (
        f"Five transferability scores, only useful to rank several models: LogME {found['logme']:.3f}, H-score "
        f"{found['h_score']:.3f}, LEEP {found['leep']:.3f}, NCE {found['nce']:.3f}, TransRate {found['transrate']:.2f}; baseline "
        f"for them: {study.parameters:,} parameters. {few}transfer_ranking compares several models' with what they reached."
    )
    evidence = {f"score.{name}": value for name, value in found.items()} | {"parameters": study.parameters}
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def _similarity(model: str, found: Similarity | str) -> Finding:
    if isinstance(found, str):
        return skipped(model, f"How similar the target is to the source is not known: {found}.")
    sentence = (
        f"In this model's features the distance from target to source is {found.ratio:.2f}, where 0 is the same data and 1 is as "
        f"far as two halves of the source's classes are apart ({found.low:.2f} to {found.high:.2f}: 5 % to 95 % of "
        f"random halves of "
        f"the samples; kernel distance {found.kernel:.3g} against {found.within:.3g}; by chance {found.noise:.2g}; "
        f"Fréchet distance "
        f"{found.frechet:.3g})."
    )
    names = ("frechet", "kernel", "within", "noise", "ratio", "low", "high")
    evidence = {f"distance.{name}": getattr(found, name) for name in names}
    return Finding(CHECK, model, Verdict.PASS, sentence, evidence)


def _advice(model: str, found: Quadrant | str, study: Study) -> Finding:
    if isinstance(found, str):
        return skipped(model, f"No advice from size and similarity: {found}.")
    seen = {True: "It holds here", False: "It does not hold here", None: "Here it cannot be told from the rest"}[
        found.advice_held
    ]
    place = f"The target is {found.size} ({study.drawn} training images) and {found.kind} to the source"
    evidence: dict[str, Any] = {
        "quadrant": f"{found.size}, {found.kind}",
        "advice": found.advice,
        **found.other.evidence("other_target"),
    }
    if found.advised is None:
        sentence = f"{place}; the usual advice (CS231n) would be {found.advice}: refused, as {found.missing}."
        return Finding(CHECK, model, Verdict.SKIP, sentence, evidence)
    sentence = (
        f"{place}; the usual advice (CS231n) is {found.advice}. {seen}: {found.advised}, against {found.other} by "
        f"{found.other_way}."
    )
    evidence |= found.advised.evidence("advised_target")
    return Finding(CHECK, model, Verdict.WARN if found.advice_held is False else Verdict.PASS, sentence, evidence)
