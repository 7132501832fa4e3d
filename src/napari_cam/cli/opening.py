"""What the texts of the command line name: a model, a volume, a mask, a foreground."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from napari_cam.cli.parsing import parse_series
from napari_cam.errors import MaskError, PreparationError, VolumeError
from napari_cam.names import file_and_label
from napari_cam.volumes.choices import TISSUES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cam.grid import Grid
    from napari_cam.heatmap import Heatmap
    from napari_cam.models.loaded import LoadedModel
    from napari_cam.models.preparation.preparation import Preparation
    from napari_cam.volumes.volume import Volume

SAMPLES: dict[str, Literal["classification", "segmentation"]] = {
    "sample": "classification",
    "sample:segmentation": "segmentation",
}
IMAGENET = "imagenet:"
FOREGROUNDS = tuple(method + per for method in TISSUES for per in ("", ":slice"))


def open_model(
    model: str,
    architecture: str | None = None,
    class_names: str | None = None,
    preparation: str | None = None,
) -> LoadedModel:
    """Load the network that `model` names: a file, "imagenet:NAME" or one of `SAMPLES`.

    `preparation` is "imagenet" or a JSON file; None leaves it to the model file.

    Raises
    ------
    ModelError
        Where there is none, or it does not fit what is said of it.
    PreparationError
        Where the preparation cannot be read.
    """
    steps = None if preparation is None else open_preparation(preparation)
    if is_sample(model):
        from napari_cam.sample import load_sample_model

        sample = load_sample_model(SAMPLES[model])
        card = sample.card if steps is None else replace(sample.card, preparation=steps)
        return replace(sample, card=card)
    from napari_cam.models.files.model_files import load_model

    names = [name.strip() for name in class_names.split(",")] if class_names else None
    return load_model(model, architecture=architecture, class_names=names, preparation=steps)


def is_sample(model: str) -> bool:
    """Whether `model` names a sample network, and no file that stands here."""
    return model in SAMPLES and not Path(model).exists()


def open_preparation(text: str) -> Preparation:
    """Return the preparation that `text` names: "imagenet", or a JSON file of steps.

    The file holds the list of steps, or an object with that list as its "preparation", as model
    cards and the JSON files beside heatmaps have.

    Raises
    ------
    PreparationError
        Where the file cannot be read or does not hold steps.
    """
    from napari_cam.models.preparation.preparation import Preparation

    if text == "imagenet":
        return Preparation.imagenet()
    try:
        steps = json.loads(Path(text).read_text(encoding="utf-8"))
    except OSError as error:
        raise PreparationError(
            f"There is no preparation '{text}' that can be read ({error.strerror}); "
            "say imagenet or give a JSON file of steps."
        ) from error
    except ValueError as error:
        raise PreparationError(
            f"{text} is no JSON ({error}); give a list of preparation steps."
        ) from error
    return Preparation.from_json(steps.get("preparation") if isinstance(steps, dict) else steps)


def open_volume(
    path: Path,
    axis4: str | None = None,
    time: int = 0,
    spacing: str | None = None,
    series: str | None = None,
) -> Volume:
    """Read the image at `path`; `spacing` is the text "z,y,x", `series` a number or UID.

    Raises
    ------
    VolumeError
        Where it cannot be read.
    """
    from napari_cam.volumes.reading import read_volume

    sizes: Any = spacing.split(",") if spacing is not None else None
    return read_volume(
        path, axis4=cast(Any, axis4), time=time, spacing=sizes, series=parse_series(series)
    )


def open_region(text: str, grid: Grid) -> Any:
    """Return the pixels that `text` names: a word, a place, or a file on `grid`.

    "LABELS.nii.gz:2" is label 2 of a file, a file alone what is not 0 in it.

    Raises
    ------
    TargetError
        Where the text names no region.
    VolumeError, MaskError
        Where the file cannot be read, or lies elsewhere.
    """
    from napari_cam.cams.targets.regions import Labelled, Painted

    path, label = file_and_label(text)
    if path.is_file() and label is None:
        return Painted(open_mask(path, grid, "region"))
    if path.is_file() and label is not None:
        values = open_labels(path, grid, "region")
        whole = (values == values.astype("int64")).all()  # NIfTI files may store labels as floats
        return Labelled(values.astype("int64") if whole else values, label)
    if text.isdecimal():
        return int(text)
    return text


def open_mask(path: Path, grid: Grid, what: str) -> NDArray[np.bool_]:
    """Read a mask that lies on `grid`: of seeds their classes, else what is not 0.

    Parameters
    ----------
    path
        An image file without channels, a segmentation of Slicer or of DICOM.
    grid
        Where it must lie.
    what
        What it is to the user, for messages: "reference", "foreground".

    Raises
    ------
    VolumeError
        Where it cannot be read.
    MaskError
        Where it lies elsewhere.
    """
    from napari_cam.labels.files.label_image import marked
    from napari_cam.labels.files.reading import is_dicom_seg, stated_kind

    if path.is_file() and is_dicom_seg(path):
        from napari_cam.labels.files.dicom.reading import read_dicom_seg

        return read_dicom_seg(path, grid).mask()  # its segments may overlap, or hold fractions
    return marked(open_labels(path, grid, what), stated_kind(path))


def open_labels(path: Path, grid: Grid, what: str) -> NDArray[Any]:
    """Read labels that lie on `grid`; see :func:`open_mask`."""
    import numpy as np

    from napari_cam.labels.files.reading import is_segmentation_file, read_labels

    if path.is_file() and is_segmentation_file(path):
        return read_labels(path, grid).labels
    volume = open_volume(path)
    if volume.values.ndim != 3:
        raise VolumeError(
            f"The {what} {path} holds {volume.n_channels} channels, but a mask has one; "
            "save the one that is meant."
        )
    from napari_cam.grid import check_same_place

    check_same_place(f"The {what} {path}", volume.grid, "the image", grid, MaskError, strict=False)
    labels: NDArray[Any] = np.asarray(volume.values)
    return labels


@dataclass(frozen=True, eq=False)
class Foreground:
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


def open_foreground(text: str, image: Path | None, heatmap: Heatmap) -> Foreground:
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

    if text not in FOREGROUNDS or Path(text).exists():
        if not Path(text).exists():
            raise MaskError(
                f"There is no foreground '{text}'; give a mask file, or one of "
                f"{', '.join(FOREGROUNDS)}."
            )
        return Foreground(open_mask(Path(text), heatmap.grid, "foreground"), made=True)
    if image is None:
        raise MaskError(
            f"The foreground {text} is found in an image; say in which with --image, "
            "or give a mask file."
        )
    volume = open_volume(image)
    from napari_cam.grid import check_same_place

    check_same_place(
        f"The image {image}", volume.grid, "the heatmap", heatmap.grid, MaskError, strict=False
    )
    method, _, per_slice = text.partition(":")
    found = foreground(
        volume,
        TISSUES.checked(method),
        "slice" if per_slice else "volume",
        axis=heatmap.unit_axis,
    )
    explained = heatmap.provenance.get("image")
    digest = explained.get("sha256") if isinstance(explained, Mapping) else None
    other = digest is not None and digest != volume.sha256()
    note = f"The voxels of {image} are not those that the heatmap explains." if other else None
    return Foreground(found, made=text, note=note)
