"""Where a mask is right and wrong, as labels with colours and as a picture (Kang et al. 2021)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError

TP, TN, FP, FN = 1, 2, 3, 4


class OverlayColour(NamedTuple):
    """One code of an overlay: what it means and how it is drawn."""

    code: int
    name: str
    colour: str


# Figure 4 of Kang et al. 2021: green, black, red, yellow. Their brightness differs too, so that
# people who do not see red and green apart can read them.
COLOURS: tuple[OverlayColour, ...] = (
    OverlayColour(TP, "true positive", "#2FBF4F"),
    OverlayColour(TN, "true negative", "#000000"),
    OverlayColour(FP, "false positive", "#C8102E"),
    OverlayColour(FN, "false negative", "#FFE119"),
)


def overlay_labels(
    prediction: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    region: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """Return a code for each voxel: 1 TP, 2 TN, 3 FP, 4 FN, 0 outside of the region.

    Parameters
    ----------
    prediction, reference
        Boolean arrays of one shape.
    region
        Boolean, where voxels count; None for everywhere.

    Raises
    ------
    MaskError
        Where shapes differ or an array is not boolean.
    """
    arrays = [prediction, reference, *([] if region is None else [region])]
    if any(each.dtype != np.bool_ or each.shape != prediction.shape for each in arrays):
        raise MaskError(
            "An overlay takes boolean arrays of one shape, not "
            + ", ".join(f"{each.dtype} {each.shape}" for each in arrays)
            + "; give masks on one grid."
        )
    codes: NDArray[np.uint8] = np.array([TN, FN, FP, TP], dtype=np.uint8)
    labels: NDArray[np.uint8] = codes[2 * prediction.astype(np.intp) + reference]
    if region is not None:
        labels[~region] = 0
    return labels


def overlay_image(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the labels of an overlay as a picture (..., 3) of 8 bits; 0 becomes white."""
    table: NDArray[np.uint8] = np.full((FN + 1, 3), 255, dtype=np.uint8)
    for each in COLOURS:
        table[each.code] = [int(each.colour[place : place + 2], 16) for place in (1, 3, 5)]
    return table[labels]


def colour_table() -> dict[int | None, str]:
    """Return the colours by code, as a labels layer takes them; what has none is clear."""
    return {None: "#00000000", 0: "#00000000", **{each.code: each.colour for each in COLOURS}}
