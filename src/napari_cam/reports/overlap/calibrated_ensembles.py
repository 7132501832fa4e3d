"""Calibrated ensembles in a report: tables II and III and figure 6 of Ostrowski et al. 2024.

An all-background prediction reaches most of their DSC where lesions are small, so it stands beside
everything else, and so does predicting everything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_cam.masks.calibration.result import Calibration
from napari_cam.masks.counts import Counts
from napari_cam.reports.overlap.metrics import pooled_metrics, unit_metrics
from napari_cam.reports.overlap.scores import COUNTS, MapScores
from napari_cam.reports.overlap.tables import BASELINE
from napari_cam.reports.overlap.threshold_choice import ORACLE, OUT_OF_FOLD
from napari_cam.reports.overlap.threshold_grid import threshold_grid
from napari_cam.reports.page.figure import ReportFigure
from napari_cam.reports.page.plotting import label
from napari_cam.reports.page.tables import ReportTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FLOOR = "floor: "
LEVEL = "ensemble"

_TITLES: Mapping[str, str] = {
    "dice_of_iou_pooled_background_foreground_mean": "2m/(1+m)",
    "iou_pooled_background_foreground_mean": "m, mean of both IoU",
    "iou_pooled_foreground": "IoU foreground",
    "dice_pooled_foreground": "Dice foreground",
    "iou_foreground_unit_mean": "IoU, unit mean",
    "iou_foreground_subject_mean": "IoU, subject mean",
}
_CAPTION = (
    "Thresholds of each case were chosen on other folds. 2m/(1+m) and m are what Ostrowski et al. "
    "2024 print as DSC and mIoU; what predicts nothing or everything, or knows the box alone, "
    "stands beside them."
)


def baseline_rows(scores: MapScores) -> pd.DataFrame:
    """Return what predicting nothing, and everything, would reach on the voxels of a map."""
    tp, fp, fn, tn = (np.asarray(getattr(scores.counts, name))[:1] for name in COUNTS)
    inside, outside = tp + fn, fp + tn
    none = np.zeros_like(inside)
    rows = []
    for name, counts in (
        ("nothing", Counts(none, none, inside, outside)),
        ("everything", Counts(inside, outside, none, none)),
    ):
        parts = (np.asarray(getattr(counts, each), float).sum(axis=-1) for each in COUNTS)
        found = {metric: float(value[0]) for metric, value in pooled_metrics(*parts).items()}
        iou = unit_metrics(counts)["iou_foreground"]
        if not np.isnan(iou).all():
            found["iou_foreground_unit_mean"] = float(np.nanmean(iou))
        rows += [
            {"level": BASELINE, "scored": "all", "method_a": f"{FLOOR}{name}"}
            | {"metric": metric, "value": value}
            for metric, value in found.items()
        ]
    return pd.DataFrame(rows)


def ensemble_rows(ensembles: Mapping[str, Calibration]) -> pd.DataFrame:
    """Return every metric of calibrated ensembles, as rows of a report."""
    return pd.DataFrame(
        [
            {"level": LEVEL, "scored": "all", "method_a": name, "threshold_a": chosen}
            | {"metric": metric, "value": value, "n": n}
            for name, chosen, n, scores in _lines(ensembles)
            for metric, value in scores.items()
        ]
    )


def ensemble_table(ensembles: Mapping[str, Calibration]) -> ReportTable:
    """Return the ensembles as the paper prints its methods, out of fold."""
    lines = [
        {"": name, "thresholds": chosen}
        | {title: scores[metric] for metric, title in _TITLES.items()}
        for name, chosen, _, scores in _lines(ensembles)
    ]
    return ReportTable("Ensembles", pd.DataFrame(lines), _CAPTION)


def ensemble_figures(ensembles: Mapping[str, Calibration]) -> Iterator[ReportFigure]:
    """Yield the score at every pair of thresholds of each ensemble (figure 6)."""
    for name, each in ensembles.items():
        members = " and ".join(map(label, each.members[:2]))
        yield ReportFigure(
            "threshold-grid",
            f"{name}: thresholds of its members",
            partial(_grid, each),
            f"{each.metric} on the training folds at every pair of thresholds of {members} (0 to "
            "1). Ring: chosen on all cases; crosses: by the folds.",
        )


def _grid(calibration: Calibration) -> Figure:
    return threshold_grid(calibration)


def _lines(
    ensembles: Mapping[str, Calibration],
) -> Iterator[tuple[str, str, int, Mapping[str, Any]]]:
    """Yield name, how thresholds were chosen, cases and scores; baselines of the first alone."""
    for place, (name, each) in enumerate(ensembles.items()):
        if place == 0:
            for floor, scores in each.baselines.items():
                yield f"{FLOOR}{floor}", "", each.cases, scores
        yield name, OUT_OF_FOLD, each.cases, each.out_of_fold
        yield name, ORACLE, each.cases, each.oracle.scores
