"""The tables of an overlap report, as papers print them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from napari_cam.reports.cases.cut_maps import ONLY_MASK
from napari_cam.reports.cases.map_names import MapName
from napari_cam.reports.overlap.threshold_choice import ORACLE, OUT_OF_FOLD, Choice
from napari_cam.reports.page.tables import ReportTable

BASELINE = "baseline"
"""Level of rows on what predicting nothing, or everything, would reach."""

_NAMES = ["backbone_a", "method_a", "layer_a"]
_PUBLISHED = "iou_foreground_unit_mean"
_SPREAD = "iou_foreground_unit_sd"
_MAIN: Mapping[str, str] = {
    "iou_foreground_unit_mean": "IoU, unit mean",
    "dice_foreground_unit_mean": "Dice, unit mean",
    "iou_foreground_subject_mean": "IoU, subject mean",
    "iou_pooled_foreground": "IoU, pooled",
    "precision_unit_mean": "precision",
    "recall_unit_mean": "recall",
    "specificity_unit_mean": "specificity",
}
_POOLED: Mapping[str, str] = {
    "iou_pooled_foreground": "IoU foreground",
    "dice_pooled_foreground": "Dice foreground",
    "iou_pooled_background": "IoU background",
    "iou_pooled_background_foreground_mean": "mean of both IoU",
    "dice_of_iou_pooled_background_foreground_mean": "2m/(1+m) of that mean",
    "iou_pooled_micro": "micro IoU",
}
_SOFT: Mapping[str, str] = {
    "peak_inside": "peak inside",
    "energy_inside": "energy inside",
    "average_precision_unit_mean": "average precision",
    "soft_iou_unit_mean": "soft IoU",
    "soft_dice_unit_mean": "soft Dice",
}
_SPACE: Mapping[str, str] = {
    "hd95_volume_mean": "HD95",
    "assd_volume_mean": "ASSD",
    "volume_difference_relative_subject_mean": "relative volume difference",
    "volume_difference_ml_subject_mean": "volume difference (mL)",
}


def overlap_tables(
    table: pd.DataFrame, headline: str, choices: Mapping[MapName, Choice]
) -> tuple[ReportTable, ...]:
    """Return the tables of an overlap report.

    Parameters
    ----------
    table
        Its rows.
    headline
        Name of the threshold that is shown first.
    choices
        Which thresholds were chosen, by map.
    """
    totals = table[table["level"] == "cohort"]
    shown = totals[(totals["scored"] == "all") & totals["threshold_a"].isin([headline, ONLY_MASK])]
    soft = totals[(totals["scored"] == "all") & (totals["threshold_a"] == "")]
    many = "whole groups drawn anew, 95 % unless told otherwise"
    tables = [
        _wide(shown, _MAIN, f"Overlap at {headline}", f"In brackets the interval: {many}."),
        _curves(totals),
        _wide(
            pd.concat([shown, table[table["level"] == BASELINE]]),
            *(_POOLED, f"All voxels pooled, at {headline}", _POOLED_CAPTION),
        ),
        _wide(shown, _SPACE, f"Surfaces and volumes at {headline}", _SPACE_CAPTION),
        _wide(soft, _SOFT, "Without a threshold", "Peak inside is the pointing game."),
        _correct_only(totals, headline),
        _by_class(table, headline, _PUBLISHED, f"IoU by class at {headline}"),
        _by_class(
            table, headline, "share_iou_at_most_0.01", f"Share of IoU at most 0.01 at {headline}"
        ),
        _chosen(choices),
    ]
    return tuple(each for each in tables if each is not None and len(each.frame))


_POOLED_CAPTION = (
    "The mean of background and foreground is what Ostrowski et al. 2024 call mIoU; their DSC is "
    "2m/(1+m) of it, which is no Dice. Micro IoU is that of Rheude et al. 2024. Floors: what "
    "predicting nothing, or everything, would reach."
)
_SPACE_CAPTION = (
    "HD95 and ASSD in mm (pixels where the image states no size), means over volumes; the volume "
    "difference is predicted less reference."
)


def called_so(table: pd.DataFrame, called: Mapping[MapName, MapName]) -> pd.DataFrame:
    """Return the rows with their maps under other names."""
    columns = ["method_a", "backbone_a", "layer_a"]
    keys = table[columns].itertuples(index=False, name=None)
    found = [called.get(name, name) for name in (MapName(*key) for key in keys)]
    names = {
        "method_a": [name.method for name in found],
        "backbone_a": [name.backbone for name in found],
        "layer_a": [name.layer for name in found],
    }
    return table.assign(**names)


def map_label(row: Mapping[str, str]) -> str:
    """Return the name of the map of a row."""
    return " / ".join(str(row[name]) for name in _NAMES if row[name])


def _labels(table: pd.DataFrame) -> pd.Series[str]:
    names = table[_NAMES].drop_duplicates()
    known = {tuple(row): map_label(dict(zip(_NAMES, row, strict=True))) for row in names.to_numpy()}
    return pd.Series(
        [known[tuple(row)] for row in table[_NAMES].to_numpy()], index=table.index, dtype=object
    )


def _wide(
    rows: pd.DataFrame, metrics: Mapping[str, str], title: str, caption: str
) -> ReportTable | None:
    """Return one row for each map and one column for each metric, with intervals."""
    rows = rows[rows["metric"].isin(metrics) & rows["value"].notna()]
    if not len(rows):
        return None
    cells = rows.assign(map=_labels(rows), cell=[_cell(row) for row in rows.itertuples()])
    frame = _pivot(cells, "metric", "cell").reindex(columns=[*metrics]).dropna(axis=1, how="all")
    return ReportTable(title, frame.rename(columns=dict(metrics)), caption)


def _cell(row: object) -> str:
    value, low, high = (getattr(row, name) for name in ("value", "ci_low", "ci_high"))
    return f"{value:.3f}" if np.isnan(low) else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _pivot(rows: pd.DataFrame, columns: str, values: str) -> pd.DataFrame:
    order = list(dict.fromkeys(rows["map"]))
    # Not pivot_table, which leaves out columns without any value: what is undefined is shown.
    once = rows.drop_duplicates(["map", columns])
    frame = once.pivot(index="map", columns=columns, values=values)
    return frame.reindex(order).rename_axis(columns=None)


def _curves(totals: pd.DataFrame) -> ReportTable | None:
    """Return mean and SD of each map's IoU at each threshold (table 3 of Kang et al. 2021)."""
    rows = totals[(totals["scored"] == "all") & totals["metric"].isin([_PUBLISHED, _SPREAD])]
    if rows["threshold_a"].nunique() < 2:
        return None
    order = list(dict.fromkeys(rows["threshold_a"]))
    rows = rows.assign(map=_labels(rows))
    means, spreads = (
        _pivot(rows[rows["metric"] == metric], "threshold_a", "value")[order]
        for metric in (_PUBLISHED, _SPREAD)
    )
    frame = pd.DataFrame({name: _with_spread(means[name], spreads[name]) for name in order})
    caption = f"Mean over units, in brackets their SD. '{ORACLE}' was chosen on these very units"
    caption += f", '{OUT_OF_FOLD}' on other groups." if OUT_OF_FOLD in order else "."
    return ReportTable("IoU by threshold", frame, caption)


def _with_spread(means: pd.Series[float], spreads: pd.Series[float]) -> pd.Series[str]:
    cells = [
        "–" if np.isnan(mean) else f"{mean:.3f}" + (f" ({sd:.3f})" if sd == sd else "")
        for mean, sd in zip(means, spreads, strict=True)
    ]
    return pd.Series(cells, index=means.index)


def _correct_only(totals: pd.DataFrame, headline: str) -> ReportTable | None:
    rows = totals[
        totals["threshold_a"].isin([headline, ONLY_MASK]) & (totals["metric"] == _PUBLISHED)
    ]
    if "correct" not in set(rows["scored"]):
        return None
    frame = _pivot(rows.assign(map=_labels(rows)), "scored", "value")
    counts = _pivot(rows.assign(map=_labels(rows)), "scored", "n")
    frame = pd.DataFrame(
        {
            "all units": frame["all"],
            "n": counts["all"].astype("Int64"),
            "correct only": frame["correct"],
            "n correct": counts["correct"].astype("Int64"),
        }
    )
    caption = "Units that the network classified rightly, and all: the former hides its errors."
    return ReportTable(f"IoU of correctly classified units at {headline}", frame, caption)


def _by_class(table: pd.DataFrame, headline: str, metric: str, title: str) -> ReportTable | None:
    """Return a metric of each class and of all (tables 4 and 5 of Kang et al. 2021)."""
    rows = table[
        table["level"].isin(["class", "cohort"])
        & (table["scored"] == "all")
        & table["threshold_a"].isin([headline, ONLY_MASK])
        & table["metric"].isin(
            [metric, *(["iou_foreground_class_macro"] if metric == _PUBLISHED else [])]
        )
    ]
    if "class" not in set(rows["level"]):
        return None
    column = np.where(
        rows["level"] == "class",
        rows["class"],
        np.where(rows["metric"] == metric, "all (by unit)", "mean of classes"),
    )
    rows = rows.assign(column=column, map=_labels(rows))
    frame = _pivot(rows, "column", "value")
    classes = [
        name for name in dict.fromkeys(column) if name not in ("all (by unit)", "mean of classes")
    ]
    last = [name for name in ("all (by unit)", "mean of classes") if name in frame]
    return ReportTable(title, frame[[*classes, *last]])


def _chosen(choices: Mapping[MapName, Choice]) -> ReportTable | None:
    rows: list[Sequence[str]] = [
        (name.label, ", ".join(choice.by_fold), choice.oracle) for name, choice in choices.items()
    ]
    if not any(row[1] for row in rows):
        return None
    frame = pd.DataFrame(rows, columns=["map", "chosen by the other folds", ORACLE])
    return ReportTable("Chosen thresholds", frame.set_index("map"), "One for each fold.")
