"""How well a network classifies, fold by fold (table 2 of Kang et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from napari_cam.errors import ReportError
from napari_cam.reports.overlap.metrics import ratio
from napari_cam.reports.page.tables import ReportTable

METRICS = ("accuracy", "precision_macro", "recall_macro", "f1_macro")
_COLUMNS = ("true", "predicted")
_TITLES = ("accuracy", "precision", "recall", "F1")


def classification_scores(true: Any, predicted: Any) -> dict[str, float]:
    """Return accuracy, and precision, recall and F1 averaged over classes.

    Classes are those that occur in either; one that is never predicted has precision 0, one that
    never occurs recall 0, and F1 0 then, as scikit-learn counts them.

    Parameters
    ----------
    true, predicted
        (n,) classes by name or number.

    Raises
    ------
    ReportError
        Where they are empty or not of one length.
    """
    one, two = (np.asarray(each).astype(str) for each in (true, predicted))
    if one.shape != two.shape or one.ndim != 1 or not len(one):
        raise ReportError(
            f"There are {one.size} true and {two.size} predicted classes; give one each per image."
        )
    names = np.unique(np.concatenate([one, two]))
    hits = np.array([np.count_nonzero((one == name) & (two == name)) for name in names])
    n_true = np.array([np.count_nonzero(one == name) for name in names])
    n_predicted = np.array([np.count_nonzero(two == name) for name in names])
    parts = (ratio(hits, n_predicted), ratio(hits, n_true), ratio(2 * hits, n_true + n_predicted))
    means = (float(np.nan_to_num(part).mean()) for part in parts)
    return dict(zip(METRICS, (float((one == two).mean()), *means), strict=True))


def classification_rows(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return each network's mean and standard deviation over folds, as rows of a report.

    Parameters
    ----------
    predictions
        One row for each image: `true`, `predicted`, and `backbone` and `fold` where there are any.

    Raises
    ------
    ReportError
        Where a column is missing.
    """
    missing = [name for name in _COLUMNS if name not in predictions]
    if missing:
        raise ReportError(f"The predictions have no column '{missing[0]}'; name the classes.")
    table = predictions.assign(
        **{name: "" for name in ("backbone", "fold") if name not in predictions}
    )
    rows: list[Mapping[str, Any]] = []
    for backbone, of_network in table.groupby("backbone", sort=False):
        folds = [
            classification_scores(part["true"], part["predicted"])
            for _, part in of_network.groupby("fold", sort=False)
        ]
        for metric in METRICS:
            values = np.array([fold[metric] for fold in folds])
            sd = float(values.std(ddof=1)) if len(values) > 1 else float("nan")
            for name, value in (("mean", float(values.mean())), ("sd", sd)):
                rows.append(
                    {"level": "cohort", "scored": "all", "backbone_a": backbone, "n": len(folds)}
                    | {"metric": f"{metric}_fold_{name}", "value": value}
                )
    return pd.DataFrame(rows)


def classification_table(rows: pd.DataFrame) -> ReportTable:
    """Return the rows of :func:`classification_rows` as the paper prints them: mean (SD)."""
    cells = {}
    for backbone in dict.fromkeys(rows["backbone_a"]):
        known = rows[rows["backbone_a"] == backbone].set_index("metric")["value"]
        cells[backbone or "–"] = {
            title: _cell(known[f"{metric}_fold_mean"], known[f"{metric}_fold_sd"])
            for metric, title in zip(METRICS, _TITLES, strict=True)
        }
    frame = pd.DataFrame.from_dict(cells, orient="index").rename_axis("network")
    caption = "Mean over folds, in brackets the standard deviation; the last three over classes."
    return ReportTable("Classification", frame, caption)


def _cell(mean: float, sd: float) -> str:
    return f"{mean:.3f}" if np.isnan(sd) else f"{mean:.3f} ({sd:.3f})"
