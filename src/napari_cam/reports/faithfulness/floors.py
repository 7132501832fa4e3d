"""Maps that know nothing of the network: what a heatmap must beat to say anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_cam.reports.localisation import centred_gaussian, image_intensity

FLOORS = ("random", "smooth random", "centred Gaussian", "image intensity")
_SMOOTH = 0.08  # of the shortest axis: as wide as a coarse map's own blobs


def floor_maps(
    image: NDArray[np.float32], foreground: NDArray[np.bool_] | None, seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Return the floors of one unit by name.

    Parameters
    ----------
    image
        (c, *s) the unit as the network takes it; intensity is the mean over channels.
    foreground
        (*s) where the object is; None for everywhere. The Gaussian and the intensity know it.
    seed
        Of the two random maps; the same for every network and method.

    Returns
    -------
    dict
        Name -> (*s) float32, non-negative.
    """
    shape = image.shape[1:]
    inside = np.ones(shape, bool) if foreground is None or not foreground.any() else foreground
    rng = np.random.default_rng(seed)
    noise = rng.random(shape, dtype=np.float32)
    smooth = ndimage.gaussian_filter(
        rng.standard_normal(shape, dtype=np.float32), _SMOOTH * min(shape), mode="nearest"
    )
    maps = (
        noise,
        smooth - smooth.min(),
        centred_gaussian(inside),
        image_intensity(image.mean(axis=0), inside),
    )
    return dict(zip(FLOORS, maps, strict=True))
