"""File > Open and drag-and-drop: image files as layers in the patient's world.

napari asks `get_reader` about every file it opens, so this module loads nothing heavy by itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cam.errors import NapariCamError, VolumeError
from napari_cam.volumes.dicom.signature import is_dicom_file

if TYPE_CHECKING:
    from napari_cam.volumes.dicom.series import SeriesInfo
    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.layers.layer_axes import LayerData

NO_LAYERS: list[Any] = [(None,)]
"""What npe2 takes for: read, but there is nothing to show."""

_EXTENSIONS = (
    ".nii", ".nii.gz", ".hdr", ".hdr.gz", ".img", ".img.gz", ".dcm", ".dicom", ".ima",
    ".tif", ".tiff", ".png", ".jpg", ".jpeg", ".npy", ".seg.nrrd",
)  # fmt: skip
_DICOM = (".dcm", ".dicom", ".ima")
_LABEL_KINDS = ("labels", "mask", "seeds", "truth")
# So many files of a folder are looked at before it is taken for one without DICOM.
_LOOKED_AT = 200

Reader = Callable[[Any], "list[LayerData]"]


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """Return the reader of an image file or a DICOM folder, None where it is no business of ours.

    Judged by the name; folders, and files whose name says nothing, by their first bytes. Several
    files opened as a stack are taken where all are DICOM, which says itself how they lie.
    """
    if not isinstance(path, (str, os.PathLike)):
        if len(path) != 1:
            return read_layers if path and all(_is_dicom(Path(each)) for each in path) else None
        path = path[0]
    if os.path.isdir(path):
        return read_layers if holds_dicom(Path(path)) else None
    known = str(path).lower().endswith(_EXTENSIONS)
    return read_layers if known or _is_dicom(Path(path)) else None


def _is_dicom(file: Path) -> bool:
    """Whether a file is DICOM by its name, or else by its magic bytes."""
    if file.name.lower().endswith(_DICOM):
        return not file.is_dir()
    return is_dicom_file(file)


def holds_dicom(folder: Path) -> bool:
    """Whether a folder holds a DICOM file, told by its magic bytes and not by names."""
    looked_at = 0
    for parent, _, names in os.walk(folder):
        for name in sorted(names):
            if looked_at == _LOOKED_AT:
                return False
            looked_at += 1
            if is_dicom_file(Path(parent, name)):
                return True
    return False


def read_layers(path: str | Sequence[str]) -> list[LayerData]:
    """Read an image as layers; what went wrong, or had to be decided, is shown as a notification.

    Heatmaps and masks that this plugin saved come back as what they were, told by the record
    beside them.
    """
    from napari.utils.notifications import show_error

    from napari_cam.widgets.layers.patient_view import letter_current_viewer

    files = [path] if isinstance(path, (str, os.PathLike)) else path
    try:
        layers = _read(Path(files[0])) if len(files) == 1 else _dicom(files)
    except NapariCamError as error:
        show_error(str(error))
        return NO_LAYERS
    letter_current_viewer()
    return layers


def _read(path: Path) -> list[LayerData]:
    from napari_cam.labels.files.reading import is_segmentation_file
    from napari_cam.volumes.reading import count_times, read_volume
    from napari_cam.widgets.layers.image_layers import time_series_to_layer, volume_to_layers

    if path.is_file() and is_segmentation_file(path):
        return _segmentation(path)
    if path.is_dir() or _is_dicom(path):
        return _dicom(path)
    name = layer_name(path)
    facts = _record(path)
    if facts is not None and isinstance(facts.get("map"), dict):
        return [_heatmap(path, name, facts)]
    n_times = count_times(path)
    if n_times > 1:
        first = read_volume(path, axis4="time", time=0)
        _tell(first, name)
        return [time_series_to_layer(_time_points(path, first, n_times), first, name)]
    volume = _placed(read_volume(path), facts)
    _tell(volume, name)
    if facts is not None and facts.get("kind") in _LABEL_KINDS and volume.values.dtype.kind in "ui":
        return [_labels(volume, name, facts)]
    return volume_to_layers(volume, name)


def _dicom(path: Path | Sequence[str]) -> list[LayerData]:
    """Return the chosen series of DICOM files, several volumes in one as time points."""
    from dataclasses import replace

    from napari_cam.volumes.dicom.series import dicom_series
    from napari_cam.volumes.reading import read_volume
    from napari_cam.widgets.files.series_choice import choose_series
    from napari_cam.widgets.layers.image_layers import time_series_to_layer, volume_to_layers
    from napari_cam.widgets.layers.layer_axes import FACTS

    series = dicom_series(path)
    numbers = choose_series(series)
    if numbers is None:
        return NO_LAYERS
    if not numbers:
        numbers = [series[0].number]  # reading it says what is wrong
    layers: list[LayerData] = []
    for number in numbers:
        info = series[number]
        several = info.n_volumes > 1 and info.problem is None
        volume = read_volume(path, axis4="channels" if several else None, series=number)
        name = series_name(info)
        _tell(volume, name)
        if several:
            first = replace(volume, values=volume.values[0], channel_names=())
            read = [time_series_to_layer(volume.values, first, name)]
        else:
            read = volume_to_layers(volume, name)
        if len(series) > 1:
            for _, attributes, _ in read:
                attributes["metadata"][FACTS]["series"] = number  # its place in the folder
        layers += read
    return layers


def _segmentation(path: Path) -> list[LayerData]:
    """Return the segments of Slicer or of a DICOM segmentation as labels; fractions as an image."""
    from napari.utils import DirectLabelColormap

    from napari_cam.labels.files.dicom.reading import read_dicom_seg
    from napari_cam.labels.files.reading import is_dicom_seg, read_labels
    from napari_cam.volumes.volume import Volume
    from napari_cam.widgets.layers.image_layers import volume_to_layers

    if is_dicom_seg(path):
        name = "SEG"  # such files are often named after the patient
        read = read_dicom_seg(path)
        if read.kind == "fractional":
            volumes = [Volume(read.fractions(each.number), read.grid) for each in read.segments]
            named = zip(volumes, read.segments, strict=True)
            return [
                layer for volume, each in named for layer in volume_to_layers(volume, each.label)
            ]
        image = read.labels()
    else:
        name, image = layer_name(path), read_labels(path)
    facts = {"kind": image.kind, "classes": image.classes.to_json()}
    volume = Volume(image.labels, image.grid)
    _tell(volume, name)
    data, attributes, kind = _labels(volume, name, facts)
    shades: dict[int | None, str] = {each.code: each.colour for each in image.classes}
    shades |= {0: "transparent", None: "#7cfc00"}
    attributes["colormap"] = DirectLabelColormap(color_dict=shades)
    return [(data, attributes, kind)]


def series_name(info: SeriesInfo) -> str:
    """Return the name of a DICOM series' layer, such as "CT 3": kind and the scanner's number.

    Folders and files of DICOM are often named after the patient, and descriptions may cite one.
    """
    kind = info.modality if re.fullmatch(r"[A-Z]{2,10}", info.modality) else "DICOM"
    return kind if info.series_number is None else f"{kind} {info.series_number}"


def layer_name(path: Path) -> str:
    """Return the name of a file's layer: that of the file, without its ending; not for DICOM."""
    from napari_cam.files import suffixes

    ending = suffixes(path)
    return path.name[: len(path.name) - len(ending)] or path.name


def _record(path: Path) -> dict[str, Any] | None:
    """Return the record (JSON) beside a file that this project wrote, None where there is none."""
    from napari_cam.files import read_sidecar

    facts = {} if path.is_dir() else read_sidecar(path)
    return facts if "kind" in facts else None


def _placed(volume: Volume, facts: Mapping[str, Any] | None) -> Volume:
    """Return a volume where the record beside its file says that it lies."""
    from napari_cam.volumes.stated_grid import on_stated_grid, stated_grid

    grid = facts.get("grid") if facts is not None else None
    return on_stated_grid(volume, stated_grid(grid) if isinstance(grid, dict) else None)


def _heatmap(path: Path, name: str, facts: Mapping[str, Any]) -> LayerData:
    from dataclasses import replace

    from napari.layers import Layer

    from napari_cam.volumes.heatmap_files import read_heatmap
    from napari_cam.widgets.layers.derived_layers import heatmap_to_layer
    from napari_cam.widgets.layers.image_layers import volume_to_layer

    heatmap, volume = read_heatmap(path)
    volume = _placed(volume, facts)
    heatmap = replace(heatmap, grid=volume.grid)
    _tell(volume, name)
    return heatmap_to_layer(heatmap, Layer.create(*volume_to_layer(volume, name)), name)


def _labels(volume: Volume, name: str, facts: dict[str, Any]) -> LayerData:
    from napari.layers import Layer

    from napari_cam.widgets.layers.colormaps import mask_colormap
    from napari_cam.widgets.layers.derived_layers import mask_to_layer
    from napari_cam.widgets.layers.image_layers import volume_to_layer
    from napari_cam.widgets.layers.records import layer_provenance

    like = Layer.create(*volume_to_layer(volume, name))
    kept = {key: value for key, value in facts.items() if key not in ("kind", "threshold")}
    made = layer_provenance(None, like, facts["kind"], facts.get("threshold"), **kept)
    data, attributes, kind = mask_to_layer(volume.values, like, name, made)
    if facts["kind"] == "mask":
        # As the dock shows it, but filled: a reader cannot ask for outlines.
        attributes.update(colormap=mask_colormap(), opacity=0.5)
    return data, attributes, kind


def _time_points(path: Path, first: Volume, n_times: int) -> Any:
    """Return (t, z, y, x): loaded where the file is compressed, else read when looked at."""
    import dask.array
    import numpy as np
    from dask.delayed import delayed

    from napari_cam.volumes.reading import read_volume

    colours = first.values.ndim == 4
    with path.open("rb") as file:
        gzipped = file.read(2) == b"\x1f\x8b"
    if gzipped and not colours:
        # One pass: each point would be unpacked from the file's beginning.
        return read_volume(path, axis4="channels").values
    if colours:
        raise VolumeError(
            f"{path} holds several channels over time, which is more than a layer shows here; "
            "save one time point, or open it with napari's own reader."
        )

    def point(time: int) -> Any:
        return np.asarray(read_volume(path, axis4="time", time=time).values)

    shape, dtype = first.values.shape, first.values.dtype
    points = [
        dask.array.from_delayed(delayed(point)(time), shape=shape, dtype=dtype)
        for time in range(n_times)
    ]
    return dask.array.stack(points)


def _tell(volume: Volume, name: str) -> None:
    """Show what reading had to decide, and that an oblique volume is shown upright."""
    from napari.utils.notifications import show_info, show_warning

    from napari_cam.widgets.layers.placement import oblique_degrees

    if volume.notes:
        show_info(f"{name}: {' '.join(volume.notes)}")
    degrees = oblique_degrees(volume.grid)
    if degrees:
        show_warning(
            f"{name} lies {degrees:.1f} degrees oblique; it is shown upright about its "
            "centre, and saved where it truly lies."
        )
