"""File > Open Sample: images to try everything on, none of which is downloaded."""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import TYPE_CHECKING

from napari_cam.errors import VolumeError

if TYPE_CHECKING:
    from napari_cam.widgets.layers.layer_axes import LayerData

TRUTH_ABOVE = 0.5
"""Voxels damaged by more than this are the sample's truth."""


def sample_volume() -> list[LayerData]:
    """Return the sample: a synthetic MRI of a cod fillet, for the sample network."""
    from napari_cam.sample import load_sample_volume
    from napari_cam.widgets.layers.image_layers import volume_to_layers
    from napari_cam.widgets.layers.patient_view import letter_current_viewer

    letter_current_viewer()
    return volume_to_layers(load_sample_volume(), "cod fillet")


def sample_with_truth() -> list[LayerData]:
    """Return the sample with its truth, the damaged part of the fillet, as labels."""
    from napari.layers import Layer

    from napari_cam.sample import load_sample_phantom
    from napari_cam.widgets.layers.derived_layers import mask_to_layer
    from napari_cam.widgets.layers.image_layers import volume_to_layer
    from napari_cam.widgets.layers.patient_view import letter_current_viewer
    from napari_cam.widgets.layers.records import layer_provenance

    letter_current_viewer()
    phantom = load_sample_phantom()
    image = volume_to_layer(phantom.volume, "cod fillet")
    like = Layer.create(*image)
    made = layer_provenance(None, like, "truth", {"rule": f"damage > {TRUTH_ABOVE}"})
    return [image, mask_to_layer(phantom.damage > TRUTH_ABOVE, like, "damage (truth)", made)]


def sample_anatomical() -> list[LayerData]:
    """Return a real MRI of a brain, coarse and small, that nibabel brings for its own tests.

    Raises
    ------
    VolumeError
        Where nibabel was installed without its tests.
    """
    from napari_cam.volumes.reading import read_volume
    from napari_cam.widgets.layers.image_layers import volume_to_layers
    from napari_cam.widgets.layers.patient_view import letter_current_viewer

    letter_current_viewer()
    source = files("nibabel") / "tests" / "data" / "anatomical.nii"
    if not source.is_file():
        raise VolumeError(
            "nibabel was installed here without its test images; reinstall it with pip, "
            "or open a scan of your own."
        )
    with as_file(source) as path:
        return volume_to_layers(read_volume(path), "brain (nibabel)")
