"""A volume whose truth is known and a network trained on its like, to try everything on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from napari_cam.errors import ModelError, VolumeError
from napari_cam.sample.phantom import Phantom, phantom
from napari_cam.volumes.volume import Volume

if TYPE_CHECKING:
    from napari_cam.models.loaded import LoadedModel

SAMPLE_MODEL = Path(__file__).with_name("fillet.safetensors")
SAMPLE_UNET = Path(__file__).with_name("fillet_unet.safetensors")
# Far from the seeds that the network was trained and tested on (cohort.py); two foci and, at one
# end, intact slices.
_SEED = 30_004


def load_sample_phantom(name: Literal["damaged", "healthy"] = "damaged") -> Phantom:
    """Make a sample fillet with its truth; the network has not been trained on it.

    Parameters
    ----------
    name
        "damaged", or "healthy" for the same fillet before it was frozen.

    Raises
    ------
    VolumeError
        Where there is no sample of that name.
    """
    if name not in ("damaged", "healthy"):
        raise VolumeError(f"There is no sample '{name}'; there are damaged and healthy.")
    return phantom(_SEED, damaged=name == "damaged")


def load_sample_volume(name: Literal["damaged", "healthy"] = "damaged") -> Volume:
    """Make a sample volume (z, y, x): a synthetic MRI of a cod fillet.

    :func:`load_sample_phantom` also returns the true damage.

    Raises
    ------
    VolumeError
        If there is no sample of this name.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume = nc.load_sample_volume()
    >>> volume.shape, volume.spacing, volume.orientation
    ((22, 96, 128), (2.0, 0.5, 0.5), 'SPL')
    """
    return load_sample_phantom(name).volume


def load_sample_model(
    task: Literal["classification", "segmentation"] = "classification",
) -> LoadedModel:
    """Load a sample network; neither network has been trained on the sample volume.

    Parameters
    ----------
    task
        "classification" distinguishes slices of healthy and damaged fillets; "segmentation" is a
        U-Net that labels each voxel as background, tissue or damaged tissue.

    Raises
    ------
    ModelError
        If there is no such network, or its file is missing from the installation.

    Examples
    --------
    >>> import napari_cam as nc
    >>> nc.load_sample_model().card.class_names
    ('healthy', 'damaged')
    """
    from napari_cam.models.files.model_files import load_model

    files = {"classification": SAMPLE_MODEL, "segmentation": SAMPLE_UNET}
    if task not in files:
        raise ModelError(
            f"There is no sample network for '{task}'; there are {' and '.join(files)}."
        )
    return load_model(files[task])
