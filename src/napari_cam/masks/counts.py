"""Two masks compared: the only place that counts true and false positives and negatives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError

Count = int | NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Counts:
    """How often a prediction and a reference agree: integers, or arrays with one per unit.

    Attributes
    ----------
    tp, fp, fn, tn
        Voxels in both masks; in the prediction alone; in the reference alone; in neither.
    """

    tp: Count
    fp: Count
    fn: Count
    tn: Count

    def iou(self, empty: float = np.nan) -> NDArray[np.float64]:
        """Return intersection over union, tp / (tp + fp + fn); `empty` for two empty masks."""
        return _ratio(self.tp, self.tp + self.fp + self.fn, empty)

    def dice(self, empty: float = np.nan) -> NDArray[np.float64]:
        """Return Dice's coefficient, 2 tp / (2 tp + fp + fn); `empty` for two empty masks."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn, empty)


def counts(
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    axis: int | tuple[int, ...] | None = None,
) -> Counts:
    """Count where two boolean arrays of one shape agree.

    Parameters
    ----------
    prediction, reference
        Boolean arrays of the same shape.
    axis
        Axes to count over: ``(1, 2)`` of a (z, y, x) mask gives one count per slice z; None counts
        over all.

    Raises
    ------
    MaskError
        Where an array is not boolean, the shapes differ or an axis does not exist.
    """
    prediction, reference = np.asarray(prediction), np.asarray(reference)
    for name, array in (("prediction", prediction), ("reference", reference)):
        if array.dtype != np.bool_:
            raise MaskError(
                f"The {name} holds {array.dtype}, not booleans; cut a heatmap with binarize, "
                "or pick a label, as in labels == 1."
            )
    if prediction.shape != reference.shape:
        raise MaskError(
            f"The prediction has shape {prediction.shape} but the reference {reference.shape}; "
            "give both on one grid."
        )
    try:
        in_both = _count(prediction & reference, axis)
        in_prediction = _count(prediction, axis)
        in_reference = _count(reference, axis)
        in_neither = _count(~(prediction | reference), axis)
    except ValueError as error:  # an axis twice, or one that does not exist
        raise MaskError(
            f"Masks of shape {prediction.shape} cannot be counted over axis {axis}: {error}."
        ) from error
    return Counts(in_both, in_prediction - in_both, in_reference - in_both, in_neither)


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_], empty: float = np.nan) -> float:
    """Return the intersection over union (Jaccard index) of two masks.

    Parameters
    ----------
    a, b
        Boolean arrays of the same shape, in any order.
    empty
        The value to return if both masks are empty: NaN (undefined), 0.0 or 1.0.

    Raises
    ------
    MaskError
        If an array is not boolean, the shapes differ, or `empty` is another number.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cam as nc
    >>> a = np.array([True, True, False, False])
    >>> b = np.array([False, True, True, False])
    >>> round(nc.iou(a, b), 3)
    0.333
    >>> nc.iou(a & ~a, b & ~b, empty=1.0)
    1.0
    """
    return float(counts(a, b).iou(empty))


def dice(a: NDArray[np.bool_], b: NDArray[np.bool_], empty: float = np.nan) -> float:
    """Return the Dice coefficient (F1 score) of two masks: 2 IoU / (1 + IoU).

    The parameters and errors are those of :func:`iou`.

    Examples
    --------
    >>> import numpy as np
    >>> import napari_cam as nc
    >>> a = np.array([True, True, False, False])
    >>> b = np.array([False, True, True, False])
    >>> nc.dice(a, b)
    0.5
    """
    return float(counts(a, b).dice(empty))


def _count(mask: NDArray[np.bool_], axis: int | tuple[int, ...] | None) -> Any:
    return np.count_nonzero(mask, axis=axis)


def _ratio(part: Count, whole: Count, empty: float) -> NDArray[np.float64]:
    """Return part / whole, and `empty` where whole is 0."""
    if not (np.isnan(empty) or empty in (0, 1)):
        raise MaskError(f"Two empty masks may count as nan, 0.0 or 1.0, not {empty!r}.")
    whole = np.asarray(whole)
    result = np.full(whole.shape, float(empty))
    np.divide(part, whole, out=result, where=whole > 0)
    return result
