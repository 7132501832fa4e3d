"""Tables II and III of Ostrowski et al. 2024 in kind: ensembles and box filters on the fillets.

Two members of one network, Grad-CAM at its last layer and Layer-CAM at an earlier one, stand for
the paper's two networks; tissue pixels and a box around the middle for its two box filters. As in
the paper each slice is stretched to [0, 1] by itself, every slice counts (also of healthy fillets),
and the explained class is the damage whatever is predicted.

Run: ``python benchmarks/sample/ensemble_study.py`` prints the tables of ``docs/ensembles.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from napari_cam.cams.explain import explain_one
from napari_cam.heatmap import Heatmap
from napari_cam.masks.calibration.calibrate import calibrate
from napari_cam.masks.calibration.result import Calibration
from napari_cam.masks.ensembles.box_shapes import CentredBox
from napari_cam.masks.ensembles.boxes import BoxFilter
from napari_cam.models.loaded import LoadedModel
from napari_cam.sample import load_sample_model
from napari_cam.sample.cohort import DAMAGED_ABOVE, TEST
from napari_cam.sample.phantom import Phantom
from napari_cam.statistics.bootstrap import pooled_ratio
from napari_cam.volumes.foreground import otsu

MEMBERS = {"Grad-CAM": ("gradcam", None), "Layer-CAM": ("layercam", "features.2")}
"""The members by name: method and layer (None for the network's default)."""

OPERATORS: dict[str, Literal["or", "and", "smallest", "largest"]] = {
    "'or'": "or",
    "'>'": "largest",
    "'<'": "smallest",
    "'and'": "and",
}
CENTRED = CentredBox((None, 0.6, 0.7), "share")
_COMPARED = (
    ("'and'", "Grad-CAM"),
    ("Grad-CAM + tissue", "Grad-CAM"),
    ("Grad-CAM + centred box", "Grad-CAM"),
    ("'and' + tissue", "Grad-CAM + tissue"),
    ("'and' + centred box", "Grad-CAM + centred box"),
)
PAPER_METRIC = "iou_pooled_background_foreground_mean"
_SHOWN = (
    "dice_of_iou_pooled_background_foreground_mean",
    PAPER_METRIC,
    "iou_pooled_foreground",
    "dice_pooled_foreground",
    "iou_foreground_unit_mean",
)


@dataclass(frozen=True, eq=False)
class StudyCases:
    """Fillets explained by every member.

    Attributes
    ----------
    heatmaps
        For each fillet its members' heatmaps for "damaged".
    truths
        For each where damage is above 0.5, (z, y, x) bool.
    tissue
        For each where the image shows tissue (Otsu's threshold, not the truth).
    fillets
        For each its seed: the groups.
    """

    heatmaps: list[Mapping[str, Heatmap]]
    truths: list[NDArray[np.bool_]]
    tissue: list[NDArray[np.bool_]]
    fillets: list[int]


@dataclass(frozen=True)
class StudyRow:
    """One line of the table.

    Attributes
    ----------
    name
        What was done.
    scores
        Every metric over all fillets, out of fold.
    fillets
        The IoU of each fillet by itself, NaN where nothing is and nothing was found.
    thresholds
        What each fold chose.
    oracle
        The best in-sample score of the metric that was maximised.
    """

    name: str
    scores: Mapping[str, float] = field(repr=False)
    fillets: tuple[float, ...] = field(default=(), repr=False)
    thresholds: tuple[tuple[float, ...], ...] = ()
    oracle: float = float("nan")


def study_cases(
    model: LoadedModel,
    phantoms: Iterable[Phantom],
    normalize: Literal["unit", "volume"] = "unit",
    tick: Callable[[], None] | None = None,
) -> StudyCases:
    """Explain fillets by every member.

    Parameters
    ----------
    model
        The sample network, which must not have been trained on them.
    phantoms
        The fillets.
    normalize
        "unit" stretches each slice to [0, 1] as the paper does, "volume" each fillet.
    tick
        Called after each.
    """
    cases = StudyCases([], [], [], [])
    for one in phantoms:
        cases.heatmaps.append(
            {
                name: explain_one(
                    model, one.volume, method, "damaged", layer=layer, normalize=normalize
                )
                for name, (method, layer) in MEMBERS.items()
            }
        )
        cases.truths.append(one.damage > DAMAGED_ABOVE)
        values = np.asarray(one.volume.values)[None]
        cases.tissue.append(otsu(values, one.volume.grid.spacing))
        cases.fillets.append(one.seed)
        if tick is not None:
            tick()
    return cases


def study(cases: StudyCases, metric: str = PAPER_METRIC, folds: int = 3) -> list[StudyRow]:
    """Calibrate each member and each operator, without a box and with either.

    Thresholds are chosen on two thirds of the fillets and judged on the last, three times over;
    the rows hold the scores of all fillets so judged.
    """
    boxes: dict[str, Any] = {"": None, " + tissue": cases.tissue, " + centred box": CENTRED}
    rows: list[StudyRow] = []
    for label, box in boxes.items():
        made = {name: _one(cases, [name], "or", box, metric, folds) for name in MEMBERS}
        made |= {
            name: _one(cases, list(MEMBERS), operator, box, metric, folds)
            for name, operator in OPERATORS.items()
        }
        known = next(iter(made.values()))
        if not label:
            rows += [StudyRow(name, known.baselines[name]) for name in ("empty", "full")]
        else:
            rows.append(StudyRow(f"box only{label}", known.baselines["box only"]))
        rows += [
            StudyRow(
                name + label,
                found.out_of_fold,
                tuple(scores["iou_pooled_foreground"] for scores in found.case_scores),
                tuple(each.training.thresholds for each in found.folds),
                found.oracle.scores[metric],
            )
            for name, found in made.items()
        ]
    return rows


def _one(
    cases: StudyCases,
    members: list[str],
    operator: Literal["or", "and", "smallest", "largest"],
    box: BoxFilter | list[NDArray[np.bool_]] | None,
    metric: str,
    folds: int,
) -> Calibration:
    chosen = ({name: maps[name] for name in members} for maps in cases.heatmaps)
    return calibrate(chosen, cases.truths, cases.fillets, operator, metric, boxes=box, folds=folds)


def markdown(rows: Iterable[StudyRow]) -> str:
    """Return the table: the paper's two columns in per cent, then foreground overlap."""
    columns = (
        "masks",
        "paper's DSC",
        "paper's mIoU",
        "IoU",
        "Dice",
        "IoU, mean of slices",
        "in-sample",
        "thresholds of the folds",
    )
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for row in rows:
        dsc, miou, *others = (row.scores[name] for name in _SHOWN)
        oracle = "" if np.isnan(row.oracle) else f"{100 * row.oracle:.1f}"
        chosen = "; ".join("/".join(f"{t:g}" for t in fold) for fold in row.thresholds)
        numbers = " | ".join(f"{score:.3f}" for score in others)
        lines.append(
            f"| {row.name} | {100 * dsc:.1f} | {100 * miou:.1f} | {numbers} | {oracle} | {chosen} |"
        )
    return "\n".join(lines)


def gain(rows: Iterable[StudyRow], name: str, over: str) -> tuple[float, float, float]:
    """Return by how much the IoU of a fillet grows on average, with its 95 % interval.

    Whole fillets are drawn anew; those without a defined IoU in either are left out.
    """
    by_name = {row.name: np.array(row.fillets) for row in rows}
    difference = by_name[name] - by_name[over]
    difference = difference[~np.isnan(difference)]
    return pooled_ratio(difference, np.ones(len(difference)))


def main(
    volumes: Annotated[int, typer.Option(min=3, help="Unseen fillets.")] = 32,
    folds: Annotated[int, typer.Option(min=2, help="Folds of fillets.")] = 3,
) -> None:
    """Print the tables of docs/ensembles.md."""
    model, phantoms = load_sample_model(), list(TEST.phantoms(volumes))
    normalized: tuple[Literal["unit", "volume"], ...] = ("unit", "volume")
    for normalize in normalized:
        cases = study_cases(model, phantoms, normalize)
        for metric in (PAPER_METRIC, "iou_pooled_foreground"):
            print(f"\nStretched per {normalize}, thresholds for the best {metric}:\n")
            rows = study(cases, metric, folds)
            print(markdown(rows))
            for name, over in _COMPARED:
                mean, low, high = gain(rows, name, over)
                print(f"\n{name} over {over}: {mean:+.3f} ({low:+.3f} to {high:+.3f}) IoU")


if __name__ == "__main__":
    typer.run(main)
