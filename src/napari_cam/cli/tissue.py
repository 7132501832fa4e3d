"""The foreground that a command's options name: a mask file, or the tissue of an image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from napari_cam.cli.opening import check_place, open_mask, open_volume
from napari_cam.errors import MaskError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cam.heatmap import Heatmap

_METHODS = ("kmeans", "otsu", "nonzero")
TEXTS = tuple(method + per for method in _METHODS for per in ("", ":slice"))


@dataclass(frozen=True, eq=False)
class Tissue:
    """A foreground.

    Attributes
    ----------
    mask
        Bool (z, y, x).
    made
        The method that found it; True for a file.
    note
        What the user should know.
    """

    mask: NDArray[np.bool_]
    made: str | bool
    note: str | None = None


def open_tissue(text: str, image: Path | None, heatmap: Heatmap) -> Tissue:
    """Return the foreground that `text` names, on a heatmap's grid.

    Parameters
    ----------
    text
        A mask file; or "kmeans", "otsu" or "nonzero" for the tissue of the image, with ":slice"
        for that of each slice by itself. A file of such a name goes first.
    image
        The image that the heatmap explains.
    heatmap
        On whose grid, and across which axis slices lie.

    Raises
    ------
    VolumeError, MaskError
        Where a file cannot be read, lies elsewhere, or the image is missing.
    """
    from napari_cam.volumes.foreground import foreground

    if text not in TEXTS or Path(text).exists():
        if not Path(text).exists():
            raise MaskError(
                f"There is no foreground '{text}'; give a mask file, or one of {', '.join(TEXTS)}."
            )
        return Tissue(open_mask(Path(text), heatmap.grid, "foreground"), made=True)
    if image is None:
        raise MaskError(
            f"The foreground {text} is found in an image; say in which with --image, "
            "or give a mask file."
        )
    volume = open_volume(image)
    check_place(volume, heatmap.grid, f"The image {image}", "heatmap")
    method, _, per_slice = text.partition(":")
    found = foreground(
        volume,
        cast(Any, method),
        "slice" if per_slice else "volume",
        axis=heatmap.unit_axis,
    )
    explained = heatmap.provenance.get("image")
    digest = explained.get("sha256") if isinstance(explained, Mapping) else None
    other = digest is not None and digest != volume.sha256()
    note = f"The voxels of {image} are not those that the heatmap explains." if other else None
    return Tissue(found, made=text, note=note)
