"""What the dock says of a mask: how much it covers, its pieces, its overlap with a reference."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cam.heatmap import Heatmap
from napari_cam.masks.counts import counts
from napari_cam.masks.morphology import pieces
from napari_cam.masks.size import MaskSize, mask_size


@dataclass(frozen=True)
class Overlap:
    """How well a mask agrees with a reference, where the network looked.

    Attributes
    ----------
    iou, dice
        NaN where both are empty.
    left_out, voxels
        How many voxels of the reference lie where the network did not look, and how many it has.
    """

    iou: float
    dice: float
    left_out: int
    voxels: int


@dataclass(frozen=True)
class Figures:
    """Size and shape of a mask, or of one slice of it.

    Attributes
    ----------
    size
        How much it covers.
    seen
        Whether the network looked at any of it.
    pieces
        Connected components, over faces (in a slice over edges).
    overlap
        With the reference; None where there is none.
    """

    size: MaskSize
    seen: bool
    pieces: int
    overlap: Overlap | None = None

    @property
    def unit(self) -> str:
        """In what the volume is given: millilitres, or pixels where they have no size."""
        return "px" if self.size.millilitres is None else "mL"

    @property
    def texts(self) -> tuple[str, str, str, str, str]:
        """Coverage, pieces, volume in `unit`, IoU and Dice; "n/a" for what is undefined."""
        share = f"{self.size.share:.1%}" if self.seen else "n/a"
        ml = self.size.millilitres
        volume = str(self.size.voxels) if ml is None else f"{ml:.3g}"
        both = ("n/a", "n/a")
        if self.overlap is not None:
            both = _number(self.overlap.iou), _number(self.overlap.dice)
        return (share, str(self.pieces), volume, *both)


def figures_of(
    mask: NDArray[np.bool_], heatmap: Heatmap, reference: NDArray[np.bool_] | None = None
) -> Figures:
    """Measure a mask (z, y, x) that was cut from `heatmap`, and perhaps painted into.

    Raises
    ------
    MaskError
        Where a shape differs.
    """
    size = mask_size(mask, heatmap)
    seen = heatmap.inside
    _, number = pieces(mask)
    overlap = None
    if reference is not None:
        counted = counts(mask & seen, reference & seen)
        everything = int(np.count_nonzero(reference))
        looked_at = int(counted.tp + counted.fn)
        overlap = Overlap(
            float(counted.iou()), float(counted.dice()), everything - looked_at, everything
        )
    return Figures(size, bool(seen.any()), number, overlap)


def _number(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:.3f}"
