"""Exports as jobs: files of seeds and heatmaps. No Qt, no layers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_cam.errors import MaskError
from napari_cam.heatmap import Heatmap
from napari_cam.labels.classes import BACKGROUND
from napari_cam.labels.files.dicom.form import Code, SegmentationForm, SegmentForm
from napari_cam.labels.seeds.seeds import Seeds

if TYPE_CHECKING:
    from napari_cam.volumes.volume import Volume

Writing = Callable[[], Iterator[Path]]


@dataclass(frozen=True)
class Form:
    """What is typed in step 5.

    Attributes
    ----------
    title, creator
        Of a DICOM segmentation.
    segments
        Label, category and type by the name of the class.
    dataset_id, dataset_name, case, channel
        Of an nnU-Net dataset.
    nnunet_codes
        Whether a file of labels gets the codes of nnU-Net.
    """

    title: str
    creator: str
    segments: Mapping[str, tuple[str, str, str]]
    dataset_id: int
    dataset_name: str
    case: str
    channel: str
    nnunet_codes: bool

    def dicom(self) -> SegmentationForm:
        """Return what a DICOM segmentation says of itself.

        Raises
        ------
        MaskError
            Where a text does not fit DICOM, or is no code.
        """
        segments = {
            name: SegmentForm(Code.of_text(category), Code.of_text(kind), label or None)
            for name, (label, category, kind) in self.segments.items()
        }
        return SegmentationForm(self.title, segments=segments, creator=self.creator or None)


def export_job(
    kind: str, item: Seeds | Heatmap, volume: Volume, path: Path, form: Form, overwrite: bool
) -> Writing:
    """Return the job that writes `item`.

    Raises
    ------
    MaskError
        Where the form does not fit, or a heatmap is to become labels.
    """
    if kind == "dicom":
        filled = form.dicom()
        return lambda: _dicom(path, item, volume, filled, overwrite)
    if isinstance(item, Heatmap):
        raise MaskError(
            "A heatmap is exported as a DICOM segmentation, or saved with File > Save; "
            "for labels commit it to seeds first."
        )
    unnamed = BACKGROUND in item.classes.codes and item.classes.background is None
    if unnamed and (kind == "nnunet" or form.nnunet_codes):
        raise MaskError(
            f"Label {BACKGROUND} would become the background of nnU-Net; call it 'background' in "
            "the list of classes, or take the layer as the proposal of a new one."
        )
    if kind == "nnunet":
        return lambda: _nnunet(path, item, volume, form, overwrite)
    remap: Any = "nnunet" if form.nnunet_codes else None
    return lambda: _labels(path, item, volume, remap, overwrite)


def _labels(
    path: Path, seeds: Seeds, volume: Volume, remap: Any, overwrite: bool
) -> Iterator[Path]:
    from napari_cam.labels.files.exports import export_labels

    yield export_labels(path, seeds, volume, overwrite=overwrite, remap=remap)


def _dicom(
    path: Path, item: Seeds | Heatmap, volume: Volume, form: SegmentationForm, overwrite: bool
) -> Iterator[Path]:
    from napari_cam.labels.files.dicom.writing import export_dicom_seg

    yield export_dicom_seg(path, item, volume, form=form, overwrite=overwrite)


def _nnunet(
    path: Path, seeds: Seeds, volume: Volume, form: Form, overwrite: bool
) -> Iterator[Path]:
    from napari_cam.labels.files.nnunet import export_nnunet
    from napari_cam.labels.files.nnunet_dataset import TrainingCase

    folder = path / f"Dataset{form.dataset_id:03d}_{form.dataset_name}"
    channels = [name.strip() for name in form.channel.split(",") if name.strip()]
    case = TrainingCase(volume, seeds, form.case or None)
    yield export_nnunet(folder, [case], channels or None, overwrite=overwrite)


def file_name(title: str) -> str:
    """Return a name to propose: what it is, never whose image it is."""
    return re.sub(r"[^\w.+-]+", "-", title).strip("-") or "seeds"
