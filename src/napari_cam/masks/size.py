"""How much a mask covers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.heatmap import Heatmap


@dataclass(frozen=True)
class MaskSize:
    """Size of a mask.

    Attributes
    ----------
    voxels
        How many voxels lie in it.
    share
        Their share of what the network saw, 0 to 1; 0 where it saw nothing.
    millilitres
        Their volume; None where the image states no voxel size.
    """

    voxels: int
    share: float
    millilitres: float | None

    def __str__(self) -> str:
        if self.millilitres is None:
            return f"{self.share:.1%}, {self.voxels} px"
        return f"{self.share:.1%}, {self.millilitres:.3g} mL"


def mask_size(mask: NDArray[np.bool_], heatmap: Heatmap) -> MaskSize:
    """Measure a mask (z, y, x) that was cut from `heatmap`.

    Raises
    ------
    MaskError
        Where the mask has another shape.
    """
    if mask.shape != heatmap.values.shape:
        raise MaskError(
            f"The mask has shape {mask.shape} but the heatmap {heatmap.values.shape}; "
            "give the heatmap it was cut from."
        )
    voxels = int(np.count_nonzero(mask))
    share = voxels / max(1, int(np.count_nonzero(heatmap.inside)))
    if heatmap.grid.units != "mm":
        return MaskSize(voxels, share, None)
    return MaskSize(voxels, share, voxels * heatmap.grid.voxel_volume / 1000)
