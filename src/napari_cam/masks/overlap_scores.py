"""Overlap over many images under honest names: pooled or averaged, with or without background.

Papers call several of these "mIoU" and "DSC". Those of Ostrowski et al. 2024 are the mean of the
pooled IoU of foreground and background, and 2m / (1 + m) of that mean, which is no Dice of
anything: an empty prediction already scores 0.65 where the foreground takes 5 % of the pixels.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.masks.counts import Counts

Numbers = NDArray[Any]


@dataclass(frozen=True, eq=False)
class Tally:
    """Counts of many images, added up so that every metric can be told from them.

    All are arrays of one shape, such as one number for each combination of thresholds.

    Attributes
    ----------
    tp, fp, fn, tn
        Voxels of all images together.
    image_iou, image_dice, images
        Sums over the images whose overlap is defined, and how many these are.
    case_iou, case_dice, cases
        The same for whole volumes.
    """

    tp: Numbers
    fp: Numbers
    fn: Numbers
    tn: Numbers
    image_iou: Numbers
    image_dice: Numbers
    images: Numbers
    case_iou: Numbers
    case_dice: Numbers
    cases: Numbers

    @classmethod
    def of_case(cls, images: Counts, both_empty: float) -> Tally:
        """Add up the images of one volume, counted along the first axis."""
        tp, fp, fn, tn = (
            np.asarray(getattr(images, name)).sum(axis=0) for name in ("tp", "fp", "fn", "tn")
        )
        case = Counts(tp, fp, fn, tn)
        # Dice is undefined exactly where IoU is.
        of_images, of_case = images.iou(both_empty), case.iou(both_empty)
        return cls(
            tp,
            fp,
            fn,
            tn,
            np.nansum(of_images, axis=0),
            np.nansum(images.dice(both_empty), axis=0),
            np.asarray(np.count_nonzero(~np.isnan(of_images), axis=0)),
            np.nan_to_num(of_case),
            np.nan_to_num(case.dice(both_empty)),
            (~np.isnan(of_case)).astype(np.int64),
        )

    @classmethod
    def total(cls, tallies: list[Tally]) -> Tally:
        """Add up several."""
        return cls(*(sum(getattr(each, item.name) for each in tallies) for item in fields(cls)))

    @classmethod
    def stacked(cls, tallies: list[Tally]) -> Tally:
        """Put several next to each other along a new first axis."""
        return cls(
            *(np.stack([getattr(each, item.name) for each in tallies]) for item in fields(cls))
        )

    def at(self, place: tuple[int, ...]) -> Tally:
        """Return the numbers at one place of the arrays."""
        return Tally(*(np.asarray(getattr(self, item.name)[place]) for item in fields(self)))

    def score(self, metric: str, both_empty: float = np.nan) -> NDArray[np.float64]:
        """Return the metric of this name; `both_empty` where nothing is there and nothing found."""
        return np.asarray(METRICS[checked(metric)](self, both_empty), np.float64)

    def scores(self, both_empty: float = np.nan) -> Scores:
        """Return every metric of a tally of single numbers."""
        return Scores({name: float(self.score(name, both_empty)) for name in METRICS})


class Scores(dict[str, float]):
    """Every metric by name; a name of before answers too, with a warning."""

    def __missing__(self, metric: str) -> float:
        if metric not in OLD_NAMES:
            raise KeyError(metric)
        return self[checked(metric)]


def _foreground(tally: Tally) -> Counts:
    return Counts(tally.tp, tally.fp, tally.fn, tally.tn)


def _bgfg_mean(tally: Tally, both_empty: float) -> Numbers:
    background = Counts(tally.tn, tally.fn, tally.fp, tally.tp)
    return (_foreground(tally).iou(both_empty) + background.iou(both_empty)) / 2


def _paper_dsc(tally: Tally, both_empty: float) -> Numbers:
    mean = _bgfg_mean(tally, both_empty)
    return np.asarray(2 * mean / (1 + mean))


def _mean(total: Numbers, n: Numbers) -> Numbers:
    return np.asarray(
        np.divide(total, n, out=np.full(np.shape(total), np.nan), where=np.asarray(n) > 0)
    )


METRICS: Mapping[str, Callable[[Tally, float], Numbers]] = {
    "iou_pooled_foreground": lambda tally, empty: _foreground(tally).iou(empty),
    "dice_pooled_foreground": lambda tally, empty: _foreground(tally).dice(empty),
    "iou_pooled_background_foreground_mean": _bgfg_mean,
    "dice_of_iou_pooled_background_foreground_mean": _paper_dsc,
    "iou_foreground_unit_mean": lambda tally, _: _mean(tally.image_iou, tally.images),
    "dice_foreground_unit_mean": lambda tally, _: _mean(tally.image_dice, tally.images),
    "iou_foreground_subject_mean": lambda tally, _: _mean(tally.case_iou, tally.cases),
    "dice_foreground_subject_mean": lambda tally, _: _mean(tally.case_dice, tally.cases),
}
"""Metrics by name, as in reports: "pooled" over all voxels, or a mean over images or volumes."""

OLD_NAMES: Mapping[str, str] = {
    "iou_pooled_fg": "iou_pooled_foreground",
    "dice_pooled_fg": "dice_pooled_foreground",
    "iou_pooled_bgfg_mean": "iou_pooled_background_foreground_mean",
    "dsc_from_iou_pooled_bgfg_mean": "dice_of_iou_pooled_background_foreground_mean",
    "iou_fg_image_mean": "iou_foreground_unit_mean",
    "dice_fg_image_mean": "dice_foreground_unit_mean",
    "iou_fg_case_mean": "iou_foreground_subject_mean",
    "dice_fg_case_mean": "dice_foreground_subject_mean",
}
"""What the metrics were called before calibrations took over the names of reports."""


def checked(metric: str) -> str:
    """Return the name of a metric; one of `OLD_NAMES` warns and gives the name of today.

    Raises
    ------
    MaskError
        Where there is none of that name.
    """
    if metric in OLD_NAMES:
        said = f"The metric '{metric}' is called '{OLD_NAMES[metric]}' now."
        warnings.warn(said, DeprecationWarning, stacklevel=3)
        return OLD_NAMES[metric]
    if metric not in METRICS:
        raise MaskError(f"There is no metric '{metric}'; there are {', '.join(METRICS)}.")
    return metric
