"""The calibration's part of `benchmark.json`: probabilities and abstention, per split."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from rabtriever_core.evaluation.abstention import RiskCoverage, auroc, risk_coverage
from rabtriever_core.evaluation.calibration import (
    Evidence,
    brier_score,
    calibration_error,
    gather,
    negative_log_likelihood,
    reliability,
)
from rabtriever_core.evaluation.metrics import Run
from rabtriever_core.evaluation.significance import proportion_interval
from rabtriever_core.models.arrays import Reals
from rabtriever_core.models.probability import Calibration, sigmoid

_CURVE_POINTS = 40


def split_calibration(
    student: Run,
    teacher: Run,
    relevant: Mapping[str, set[str]],
    calibration: Calibration,
    k: int,
    documents: int,
) -> dict[str, Any]:
    """A split's part of the calibration.

    Args:
        student: its rankings.
        teacher: its margins, of the student's best k documents of every query at least.
        relevant: query → its right documents.
        calibration: fitted on other queries.
        k: best documents per query that are measured.
        documents: in the pool; all pairs are measured as well where both systems have ranked
            them all.
    """
    best = gather(student, relevant, k)
    margins = np.array([teacher[query][document] for query, document in best.pairs])
    result = {
        "best": pair_result(best, calibration, margins),
        "teacher_agreement": agreement_result(best.margins, margins, calibration),
        "abstention": abstention_result(best, calibration),
    }
    everything = gather(student, relevant, documents)
    known = all(document in teacher[query] for query, document in everything.pairs)
    if known and len(everything.pairs) == len(relevant) * documents:
        margins = np.array([teacher[q][d] for q, d in everything.pairs])
        result["all_pairs"] = pair_result(everything, calibration, margins)
    return result


def pair_result(
    evidence: Evidence, calibration: Calibration, teacher: Reals | None = None
) -> dict[str, Any]:
    """How good the probabilities of pairs are: σ(margin) and calibrated, of student and teacher.

    Args:
        evidence: of the student.
        calibration: fitted on other queries.
        teacher: the teacher's margins of the same pairs [p].
    """
    logits = {"student": evidence.margins, "calibrated": calibration.logits(evidence.margins)}
    if teacher is not None:
        logits |= {"teacher": teacher, "teacher_calibrated": calibration.teacher_logits(teacher)}
    result: dict[str, Any] = {
        "pairs": len(evidence.pairs),
        "right": float(evidence.right.mean()),
    }
    for name, values in logits.items():
        probabilities = sigmoid(values)
        bins = reliability(probabilities, evidence.right)
        equal_mass = reliability(probabilities, evidence.right, equal_mass=True)
        result[name] = {
            "ece_equal_width": calibration_error(bins),
            "ece_equal_mass": calibration_error(equal_mass),
            "brier": brier_score(probabilities, evidence.right),
            "nll": negative_log_likelihood(values, evidence.right),
            "bins": [asdict(each) for each in bins],
        }
    return result


def agreement_result(student: Reals, teacher: Reals, calibration: Calibration) -> dict[str, Any]:
    """Student's calibrated probability held to the teacher's, of the same pairs [p]."""
    said, true = calibration.probabilities(student), calibration.teacher_probabilities(teacher)
    return {
        "mean_absolute_difference": float(np.abs(said - true).mean()),
        "mean_margin_difference": float((student - teacher).mean()),
        "bins": [asdict(each) for each in reliability(said, true)],
    }


def abstention_result(evidence: Evidence, calibration: Calibration) -> dict[str, Any]:
    """Answering and refusing at the fitted threshold, and risk against coverage.

    `precision`, its 95% interval and `answered` are of the queries as they are; in the mix, the
    calibration's share of the queries has had its right documents taken out of the pool.
    """
    top = calibration.probabilities(evidence.top)
    masked = calibration.probabilities(evidence.masked_top)
    as_they_are = risk_coverage(top, evidence.top_right, masked, 0.0)
    mix = risk_coverage(top, evidence.top_right, masked, calibration.unanswerable_share)
    result: dict[str, Any] = {
        "queries": len(top),
        "unanswerable": len(masked),
        "area_under_risk_coverage": as_they_are.area,
        "curve": _points(as_they_are),
        "curve_in_mix": _points(mix),
    }
    if len(masked):
        # Of margins: a slope of 0 would hide what they tell apart.
        result["auroc"] = auroc(evidence.top, evidence.masked_top)
    if calibration.threshold is None:
        return result
    answered = top >= calibration.threshold
    result["answered"] = float(answered.mean())
    if len(masked):
        result["unanswerable_refused"] = float((masked < calibration.threshold).mean())
    if answered.any():
        right = int(evidence.top_right[answered].sum())
        result["precision"] = right / int(answered.sum())
        result["precision_interval"] = proportion_interval(right, int(answered.sum()))
    in_mix = mix.threshold >= calibration.threshold
    if in_mix.any():
        last = int(np.flatnonzero(in_mix)[-1])
        result["answered_in_mix"] = float(mix.coverage[last])
        result["precision_in_mix"] = float(1 - mix.risk[last])
    return result


def _points(curve: RiskCoverage) -> list[tuple[float, float]]:
    """(coverage, risk) at even steps of coverage, ties answered together."""
    wanted = np.linspace(0, 1, _CURVE_POINTS + 1)[1:]
    found = np.searchsorted(curve.coverage, wanted - 1e-9)
    chosen = np.unique(np.minimum(found, len(curve.coverage) - 1))
    return [(float(curve.coverage[i]), float(curve.risk[i])) for i in chosen]
