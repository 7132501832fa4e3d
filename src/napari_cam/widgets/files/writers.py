"""File > Save: images, heatmaps and labels on the grid of the scan that they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_GEOMETRY = ("name", "metadata", "scale", "translate", "rotate", "shear", "affine", "units",
             "axis_labels", "multiscale")  # fmt: skip


def write_image(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write an image layer: a heatmap with what its voxels cannot say, anything else as it is.

    Parameters
    ----------
    path
        ``.nii.gz`` or ``.nii`` on the grid of the source, ``.ome.tif`` with the voxel size.
    data, attributes
        The layer, as napari hands it to writers.

    Returns
    -------
    list of str
        The written file; its record (JSON) stands beside it.

    Raises
    ------
    NapariCamError
        Where the layer is no single volume, or the file cannot be written.
    """
    return _write(path, data, attributes, "image")


def write_labels(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a labels layer in the smallest integer type that holds it; see `write_image`."""
    return _write(path, data, attributes, "labels")


def _write(path: str, data: Any, attributes: Mapping[str, Any], layer_type: str) -> list[str]:
    import numpy as np
    from napari.layers import Layer

    from napari_cam.errors import WriteError
    from napari_cam.provenance import stamp
    from napari_cam.volumes.writing import write_volume
    from napari_cam.widgets.layers.derived_layers import layer_to_heatmap
    from napari_cam.widgets.layers.image_layers import layer_to_volume
    from napari_cam.widgets.layers.layer_axes import FACTS, image_axes
    from napari_cam.widgets.layers.records import is_heatmap, recorded

    if attributes.get("rgb"):
        raise WriteError(
            f"The layer '{attributes.get('name')}' holds colours, and one channel is written; "
            "split its channels first (right click on the layer)."
        )
    kept = {key: attributes[key] for key in _GEOMETRY if key in attributes}
    if layer_type == "image":
        kept["rgb"] = False  # napari guesses from the last axis
    layer = Layer.create(data, kept, layer_type)
    time = image_axes(layer).time
    if time is not None:
        raise WriteError(
            f"The layer '{layer.name}' holds {layer.data.shape[time]} time points, and one volume "
            "is written; split it first (right click on the layer, Split Stack)."
        )
    volume = layer_to_volume(layer)
    values = layer_to_heatmap(layer) if is_heatmap(layer) else np.asarray(volume.values)
    made = recorded(layer.metadata.get(FACTS, {}))
    file = Path(path)
    write_volume(
        file,
        values,
        like=volume,
        provenance=made if made.get("kind") not in (None, "image") else stamp(kind=layer_type),
        overwrite=file.exists(),  # napari's dialog has asked
    )
    return [str(file)]
