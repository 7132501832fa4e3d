"""Colours of heatmaps and masks: clear where there is nothing, so that the scan stays visible."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari.utils import Colormap, DirectLabelColormap

HEATMAP_COLORMAPS = ("inferno", "magma", "viridis", "turbo")
"""Colour scales for heatmaps; all but turbo are perceptually uniform."""
DEFAULT_COLORMAP = "inferno"

# Below the first share of the range nothing is drawn; from the second on opacity is at its most.
_RAMP = (0.05, 0.6)
_MOST_OPAQUE = 0.75
# The dark end of a scale would only darken the scan, so the colours start above it.
_FIRST_COLOUR = {"inferno": 0.25, "magma": 0.25}


@cache
def heatmap_colormap(name: str = DEFAULT_COLORMAP) -> Colormap:
    """Return napari's colormap `name` with opacity rising from 0.

    Parameters
    ----------
    name
        One of `HEATMAP_COLORMAPS`, or any colormap that napari knows.

    Raises
    ------
    KeyError
        Where napari knows no such colormap.
    """
    from napari.utils import Colormap
    from napari.utils.colormaps import ensure_colormap

    share = np.linspace(0, 1, 256)
    first = _FIRST_COLOUR.get(name, 0.0)
    colours = np.array(ensure_colormap(name).map(first + (1 - first) * share), dtype=np.float32)
    low, high = _RAMP
    colours[:, 3] = np.clip((share - low) / (high - low), 0, 1) * _MOST_OPAQUE
    return Colormap(colors=colours, name=f"{name} heatmap", display_name=f"{name} heatmap")


def mask_colormap() -> DirectLabelColormap:
    """Return the colours of masks: cyan, and green for what is painted beside it.

    Both stand out on the scan and on the heatmap's warm colours.
    """
    from napari.utils import DirectLabelColormap

    return DirectLabelColormap(color_dict={None: "#7cfc00", 0: "transparent", 1: "#00e5ff"})
