"""Labels as files that other programs open: on the image's own grid, with what their codes mean."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import WriteError
from napari_cam.files import check_writable, sidecar_path, suffixes, writing, writing_all
from napari_cam.labels.classes import HIGHEST, LabelClasses
from napari_cam.labels.codes import Remap, nnunet_codes, unchanged
from napari_cam.labels.files.label_image import LabelImage, label_image
from napari_cam.labels.files.slicer_seg import EXTENSION, write_slicer_seg
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.provenance import stamp, to_json
from napari_cam.volumes.stated_grid import grid_facts
from napari_cam.volumes.volume import Volume
from napari_cam.volumes.writing import write_volume

_IMAGES = (".nii", ".nii.gz", ".tif", ".tiff", ".ome.tif", ".ome.tiff")


def export_labels(
    path: str | os.PathLike[str],
    labels: Seeds | LabelImage | NDArray[Any],
    like: Volume,
    classes: LabelClasses | None = None,
    overwrite: bool = False,
    *,
    remap: Mapping[int, int] | Literal["nnunet"] | None = None,
    class_table: bool = False,
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write labels on the grid of an image; the file extension selects the format.

    Parameters
    ----------
    path
        ``.nii`` and ``.nii.gz``: NIfTI; the geometry of a NIfTI source is kept bit for bit.
        ``.tif``, ``.ome.tif``: TIFF with the voxel size. ``.seg.nrrd``: a 3D Slicer segmentation
        with names and colours. (For DICOM segmentations see :func:`export_dicom_seg`.)
    labels
        Seeds, labels from :func:`read_labels`, or an array (z, y, x) of integers or booleans with 0
        as background. Labels on another grid with the same voxels (axes swapped or reversed) are
        reoriented to match `like`.
    like
        The image that the labels belong to.
    classes
        The meaning of the codes; None to use the classes of `labels`, or "label 1", "label 2", ...
        if they have none.
    overwrite
        Whether to replace existing files. The file that `like` was read from is never replaced.
    remap
        New codes: a mapping with every old code, or "nnunet" (0 background, 1 and up the classes,
        and the last code "ignore"). None keeps the codes. The record always states the remap.
    class_table
        Whether to also write the classes as a table (CSV) next to the file.
    provenance
        How the labels were made, as plain JSON without patient identity; None to use the provenance
        of `labels`.

    Returns
    -------
    Path
        The written file. The record ``<name>.json`` next to it holds the classes, the remap and the
        grid.

    Raises
    ------
    MaskError
        If the labels do not fit the grid or the classes.
    WriteError
        If a file exists already, cannot be written, or has an unknown extension. No partly written
        file is left behind.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> heatmap = nc.explain_one(model, volume, "gradcam", "damaged")
    >>> seeds = nc.make_seeds(heatmap, high=0.6, low=0.2)
    >>> path = nc.export_labels("labels.nii.gz", seeds, like=volume)
    >>> bool((nc.read_labels(path, like=volume).labels == seeds.labels).all())
    True
    """
    path = Path(path)
    extension = suffixes(path)
    if extension not in (*_IMAGES, EXTENSION):
        raise WriteError(
            f"{path} has no extension that labels can be written in; "
            "give .nii.gz, .nii, .tif, .ome.tif or .seg.nrrd."
        )
    image = label_image(labels, like.grid, classes)
    image, facts = _recoded(image, remap, provenance)
    table = path.with_name(sidecar_path(path).stem + ".csv") if class_table else None
    if extension == EXTENSION:
        if not len(image.classes) and bool(image.labels.any()):
            raise WriteError(f"Segments are labels up to {HIGHEST}; number them anew from 1.")
        return _write_segmentation(path, image, like, facts, table, overwrite)
    with ExitStack() as stack:
        if table is not None:
            check_writable(table, overwrite)
            image.classes.write_csv(stack.enter_context(writing(table, overwrite)), overwrite=True)
        write_volume(path, image.labels, like=like, provenance=facts, overwrite=overwrite)
    return path


def _recoded(
    image: LabelImage,
    remap: Mapping[int, int] | Literal["nnunet"] | None,
    provenance: Mapping[str, Any] | None,
) -> tuple[LabelImage, dict[str, Any]]:
    """Return labels in the new codes, and their record."""
    if remap is None:
        codes = unchanged(image.classes, image.kind)
    elif remap == "nnunet":
        codes = nnunet_codes(image.classes, "ignore" if image.kind == "seeds" else "background")
    else:
        codes = Remap(dict(remap), {})
    facts = label_facts(image, codes, provenance)
    if remap is None:
        return image, facts
    recoded = LabelImage(
        codes.apply(image.labels), codes.classes(image.classes), image.grid, "labels"
    )
    return recoded, {**facts, "kind": "labels"}


def label_facts(
    image: LabelImage, codes: Remap, provenance: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the record of an export: what the codes mean, which became which, what made them."""
    made = image.provenance if provenance is None else provenance
    return stamp(
        kind=image.kind,
        classes=codes.classes(image.classes).to_json(),
        codes={str(code): name for code, name in sorted(codes.names.items())},
        remap=codes.to_json(),
        made_from=dict(made),
    )


def _write_segmentation(
    path: Path,
    image: LabelImage,
    like: Volume,
    facts: Mapping[str, Any],
    table: Path | None,
    overwrite: bool,
) -> Path:
    source = like.source.path
    if source and path.exists() and os.path.exists(source) and os.path.samefile(path, source):
        raise WriteError(f"{path} is the image itself; choose another name for the result.")
    labels = np.asarray(image.labels)
    image = LabelImage(labels.astype(np.min_scalar_type(int(labels.max()))), image.classes,
                       image.grid, image.kind)  # fmt: skip
    record = {**facts, "grid": grid_facts(image.grid)}
    paths = [path, sidecar_path(path), *([] if table is None else [table])]
    with writing_all(paths, overwrite) as temporaries:
        write_slicer_seg(temporaries[0], image)
        temporaries[1].write_text(to_json(record), encoding="utf-8")
        if table is not None:
            image.classes.write_csv(temporaries[2], overwrite=True)
    return path
