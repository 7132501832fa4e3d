"""What overlap means, exactly: one unit's numbers, and those of many units by honest names.

Three quantities of the literature are called "mIoU": the mean over slices of the foreground's IoU
(Sci Rep 2023, 13:2574; Kang et al. 2021), the mean over background and foreground of the pooled
IoU (Ostrowski et al. 2024), and the pooled IoU over all classes (Rheude et al. 2024). None of them
is called so here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree

from napari_cam.grid import Grid
from napari_cam.masks.counts import Counts

Floats = NDArray[np.float64]

_DENSE = 10  # voxels of a box for each at a surface
LOW_IOU = 0.01
"""Units with at most this much overlap count as missed (Kang et al. 2021, table 5)."""


def unit_metrics(counts: Counts, empty: float = np.nan) -> dict[str, Floats]:
    """Return the overlap of each unit from its counts, arrays of any one shape.

    IoU tp / (tp + fp + fn), Dice 2 tp / (2 tp + fp + fn), precision tp / (tp + fp), recall
    tp / (tp + fn), specificity tn / (tn + fp). IoU and Dice of two empty masks are `empty`, and so
    are precision and recall then; precision of an empty mask beside a reference, recall of a mask
    without a reference and specificity without any background are undefined (NaN).
    """
    tp, fp, fn, tn = (np.asarray(part, dtype=np.float64) for part in _parts(counts))
    both_empty = (tp + fp + fn) == 0
    precision, recall = ratio(tp, tp + fp), ratio(tp, tp + fn)
    return {
        "iou_foreground": counts.iou(empty),
        "dice_foreground": counts.dice(empty),
        "precision": np.where(both_empty, empty, precision),
        "recall": np.where(both_empty, empty, recall),
        "specificity": ratio(tn, tn + fp),
    }


def pooled_metrics(tp: Floats, fp: Floats, fn: Floats, tn: Floats) -> dict[str, Floats]:
    """Return the overlap of all voxels together, NaN where it does not exist.

    `iou_pooled_background_foreground_mean` and `dice_of_that_mean` are what Ostrowski et al. 2024
    print as mIoU and DSC: m = (IoU of background + IoU of foreground) / 2 and 2 m / (1 + m), the
    latter no Dice of any mask. `iou_pooled_micro` is what Rheude et al. 2024 print as IoU, over
    background and foreground; `accuracy_pooled` is their F1.
    """
    foreground, background = ratio(tp, tp + fp + fn), ratio(tn, tn + fp + fn)
    mean = (foreground + background) / 2
    return {
        "iou_pooled_foreground": foreground,
        "dice_pooled_foreground": ratio(2 * tp, 2 * tp + fp + fn),
        "precision_pooled": ratio(tp, tp + fp),
        "recall_pooled": ratio(tp, tp + fn),
        "specificity_pooled": ratio(tn, tn + fp),
        "iou_pooled_background": background,
        "iou_pooled_background_foreground_mean": mean,
        "dice_of_iou_pooled_background_foreground_mean": 2 * mean / (1 + mean),
        "iou_pooled_micro": ratio(tp + tn, tp + tn + 2 * (fp + fn)),
        "accuracy_pooled": ratio(tp + tn, tp + fp + fn + tn),
    }


def soft_overlap(heat: NDArray[Any], reference: NDArray[Any]) -> dict[str, float]:
    """Return the overlap of two fuzzy sets: no threshold, shares in [0, 1] on both sides.

    IoU is sum min(h, r) / sum max(h, r) (Ruzicka), Dice 2 sum min / (sum h + sum r); both are the
    plain ones where h and r are 0 or 1. NaN where both sets are empty.
    """
    h, r = np.asarray(heat, dtype=np.float64), np.asarray(reference, dtype=np.float64)
    shared = float(np.minimum(h, r).sum())
    either, total = float(np.maximum(h, r).sum()), float(h.sum() + r.sum())
    return {
        "soft_iou": shared / either if either > 0 else np.nan,
        "soft_dice": 2 * shared / total if total > 0 else np.nan,
    }


def average_precision(heat: NDArray[Any], reference: NDArray[np.bool_]) -> float:
    """Return the area below precision over recall: sum over cuts of precision times new recall.

    Voxels of one value are found at one cut; no interpolation (as scikit-learn). NaN where the
    reference is empty.
    """
    found = np.asarray(heat).ravel()
    true = np.asarray(reference).ravel()
    positives = int(np.count_nonzero(true))
    if positives == 0:
        return float("nan")
    order = np.argsort(found, kind="stable")[::-1]
    ranked = found[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    hits = np.cumsum(true[order])[ends].astype(np.float64)
    recall = hits / positives
    return float(np.sum(np.diff(recall, prepend=0.0) * hits / (ends + 1)))


def surface_distances(
    prediction: NDArray[np.bool_], reference: NDArray[np.bool_], grid: Grid
) -> dict[str, float]:
    """Return HD95 and ASSD between the surfaces of two masks, in the grid's units (mm).

    A surface is the mask's voxels with a face neighbour outside it (in a stack of one slice an
    edge neighbour), those at the image's border included, each standing for its centre. With
    d(P) the distances from the prediction's surface to the reference's and d(R) the other way,
    HD95 is the larger of their 95th percentiles (linear between ranks), ASSD the mean over both
    together. NaN where a mask is empty: nothing is any distance from it.

    Distances are between world positions, so that oblique and sheared grids are right too.
    """
    if not (prediction.any() and reference.any()):
        return {"hd95": np.nan, "assd": np.nan}
    ours, theirs = _surface(prediction), _surface(reference)
    there, back = _nearest(ours, theirs, grid), _nearest(theirs, ours, grid)
    return {
        "hd95": float(max(np.percentile(there, 95), np.percentile(back, 95))),
        "assd": float(np.concatenate([there, back]).mean()),
    }


def _surface(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the indices (n, 3) of the voxels at a mask's surface."""
    box = ndimage.find_objects(mask.view(np.uint8))[0]
    cut = mask[box]
    cross = ndimage.generate_binary_structure(3, 1)
    # Where there is one slice, it has no neighbours that could be outside.
    middle = tuple(slice(None) if n > 1 else slice(1, 2) for n in mask.shape)
    inside = cross[middle]
    # A single voxel without any neighbour is all surface.
    inner = ndimage.binary_erosion(cut, inside) if inside.size > 1 else np.zeros_like(cut)
    places: NDArray[np.int64] = np.argwhere(cut & ~inner) + [each.start for each in box]
    return places


def _nearest(these: NDArray[np.int64], those: NDArray[np.int64], grid: Grid) -> Floats:
    """Return the distance (n,) from each of these voxels to the nearest of those."""
    low = np.minimum(these.min(axis=0), those.min(axis=0))
    shape = np.maximum(these.max(axis=0), those.max(axis=0)) - low + 1
    # Searching takes longer than a distance transform where many voxels are asked for.
    if _is_orthogonal(grid) and _DENSE * (len(these) + len(those)) > np.prod(shape):
        others = np.ones(shape, bool)
        others[tuple((those - low).T)] = False
        distance = ndimage.distance_transform_edt(others, sampling=grid.spacing)
        return np.asarray(distance[tuple((these - low).T)])
    return np.asarray(cKDTree(grid.world(those)).query(grid.world(these))[0])


def _is_orthogonal(grid: Grid) -> bool:
    directions = grid.affine[:3, :3] / np.linalg.norm(grid.affine[:3, :3], axis=0)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() < 1e-6)


def ratio(part: Any, whole: Any) -> Floats:
    """Return part / whole, NaN where whole is 0."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    result = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=result, where=whole != 0)
    return result


def _parts(counts: Counts) -> tuple[Any, Any, Any, Any]:
    return counts.tp, counts.fp, counts.fn, counts.tn


DEFINITIONS: Mapping[str, str] = {
    "iou_foreground_unit_mean": "mean over units of the foreground's IoU",
    "dice_foreground_unit_mean": "mean over units of the foreground's Dice",
    "iou_foreground_subject_mean": "mean over subjects of the IoU of all their voxels",
    "dice_foreground_subject_mean": "mean over subjects of the Dice of all their voxels",
    "iou_foreground_class_macro": "mean over classes of iou_foreground_unit_mean",
    "iou_pooled_foreground": "IoU of all voxels of all subjects together",
    "iou_pooled_background_foreground_mean": "mean of the background's and foreground's pooled IoU",
    "dice_of_iou_pooled_background_foreground_mean": "2 m / (1 + m) of that mean; no Dice",
    "iou_pooled_micro": "pooled IoU over background and foreground together",
    "share_iou_at_most_0.01": "share of units whose IoU is at most 0.01",
    "peak_inside": "share of units whose maximum lies in the reference (pointing game)",
    "energy_inside": "share of the map's sum that lies in the reference, mean over units",
}
