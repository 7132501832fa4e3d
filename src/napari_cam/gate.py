"""Where a network predicts the class that a heatmap explains."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_cam.heatmap import Heatmap


def where_predicted(heatmap: Heatmap) -> NDArray[np.bool_]:
    """Return (z, y, x) True in the units for which the network predicts the explained class.

    Normalised slice by slice, even a slice without anything to find has a maximum and so a mask;
    as the foreground of :func:`napari_cam.binarize` this leaves it empty.
    """
    chosen = heatmap.per_unit(heatmap.predicted_index == heatmap.class_index)
    return np.array(np.broadcast_to(chosen, heatmap.values.shape))
