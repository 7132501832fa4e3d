"""What ``napari-cam export`` does for each of the other programs, and what it prints."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from napari_cam.cli.opening import open_volume
from napari_cam.cli.parsing import parse_series
from napari_cam.cli.terminal import show_notes
from napari_cam.errors import MaskError, WriteError
from napari_cam.text_tables import text_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from napari_cam.labels.classes import LabelClasses
    from napari_cam.labels.files.label_image import LabelImage
    from napari_cam.volumes.volume import Volume


class SegmentationKind(StrEnum):
    """What a DICOM segmentation holds."""

    BINARY = "binary"
    FRACTIONAL = "fractional"


class ZeroMeaning(StrEnum):
    """What 0 is in labels."""

    IGNORE = "ignore"
    BACKGROUND = "background"


class NewCodes(StrEnum):
    """Codes of other programs."""

    NNUNET = "nnunet"


@dataclass(frozen=True)
class Export:
    """One call: what is read and how, and what is written.

    Attributes
    ----------
    path, out
        The labels or heatmap, and the file or folder to write.
    images
        What they are of.
    classes
        What the codes mean, where the call says so.
    series, axis4, time, spacing, zero, overwrite
        As the command's options say.
    """

    path: Path
    out: Path
    images: Sequence[Path]
    classes: LabelClasses | None
    series: str | None
    axis4: str | None
    time: int
    spacing: str | None
    zero: ZeroMeaning | None
    overwrite: bool

    def write_labels(self, remap: NewCodes | None, class_table: bool) -> None:
        """Write labels as an image or for Slicer, and print their codes."""
        from napari_cam.labels.files.exports import export_labels

        like = self._volume(self._image()) if self.images else self._itself()
        export_labels(
            self.out,
            self._labels(),
            like,
            self.classes,
            self.overwrite,
            remap=remap.value if remap else None,
            class_table=class_table,
        )
        show_notes(like.notes)
        _show_codes(self.out)

    def write_dicom(self, kind: SegmentationKind | None, form: Any) -> None:
        """Write a DICOM segmentation and print its segments."""
        from napari_cam.labels.files.dicom.reading import read_dicom_seg
        from napari_cam.labels.files.dicom.writing import export_dicom_seg
        from napari_cam.volumes.heatmap_files import is_heatmap, read_heatmap

        export_dicom_seg(
            self.out,
            read_heatmap(self.path)[0] if is_heatmap(self.path) else self._labels(),
            self._image(),
            self.classes,
            kind.value if kind else None,
            form,
            self.overwrite,
            series=parse_series(self.series),
            time=self.time,
        )
        read = read_dicom_seg(self.out)
        rows = [(str(each.number), each.label, str(each.type or "-")) for each in read.segments]
        typer.echo(f"{self.out}: {read.kind}")
        typer.echo(text_table(("segment", "label", "type"), rows, right=range(1)))

    def write_nnunet(self, name: str | None, channel_names: str | None) -> None:
        """Add a case to a dataset of nnU-Net and print the dataset's codes."""
        from napari_cam.labels.files.nnunet import export_nnunet
        from napari_cam.labels.files.nnunet_dataset import TrainingCase

        if not self.images:
            raise WriteError(
                f"{self.out.name} needs the images of the case; give one or more --image."
            )
        volumes = [self._volume(path) for path in self.images]
        case = TrainingCase(volumes, self._labels(), name)
        channels = channel_names.split(",") if channel_names else None
        export_nnunet(self.out, [case], channels, self.classes, overwrite=self.overwrite)
        show_notes(note for volume in volumes for note in volume.notes)
        facts = json.loads((self.out / "dataset.json").read_text(encoding="utf-8"))
        typer.echo(f"{self.out}: {facts['numTraining']} cases")
        rows = [(str(code), text) for text, code in facts["labels"].items()]
        typer.echo(text_table(("code", "label"), rows, right=range(1)))

    def write_datalist(self, folds: int, validation_fold: int | None, append: bool) -> None:
        """List the cases of a dataset of nnU-Net, and print how many there are."""
        from napari_cam.labels.files.datalist import export_datalist, nnunet_entries

        if not self.path.is_dir():
            raise MaskError(
                f"A datalist is made of a folder of cases, which {self.path} is not; "
                "give a dataset of nnU-Net."
            )
        known = _listed(self.out) if append and self.out.is_file() else set()
        entries = [each for each in nnunet_entries(self.path) if Path(each.label).name not in known]
        facts = json.loads((self.path / "dataset.json").read_text(encoding="utf-8"))
        export_datalist(
            self.out,
            entries,
            {code: text for text, code in facts["labels"].items() if isinstance(code, int)},
            folds=folds,
            validation_fold=validation_fold,
            append=append,
            overwrite=self.overwrite,
        )
        typer.echo(f"{self.out}: {len(known) + len(entries)} cases in {folds} folds")

    def _image(self) -> Path:
        if len(self.images) != 1:
            raise WriteError(
                f"{self.out.name} needs the image that the labels are of; give one --image."
            )
        return self.images[0]

    def _labels(self) -> LabelImage:
        from napari_cam.labels.files.reading import read_labels

        image = read_labels(self.path)
        if self.zero is None:
            return image
        return replace(image, kind="seeds" if self.zero == ZeroMeaning.IGNORE else "labels")

    def _volume(self, path: Path) -> Volume:
        return open_volume(path, self.axis4, self.time, self.spacing, self.series)

    def _itself(self) -> Volume:
        """Return the labels' own file as the image that they are of."""
        from napari_cam.labels.files.reading import is_segmentation_file
        from napari_cam.volumes.volume import Volume

        if self.path.is_file() and is_segmentation_file(self.path):
            image = self._labels()
            return Volume(image.labels, image.grid)
        return open_volume(self.path, spacing=self.spacing)


def dicom_form(
    category: str | None, type_: str | None, description: str | None, number: int | None
) -> Any:
    """Return what a DICOM segmentation is to say of itself."""
    from napari_cam.labels.files.dicom.form import Code, SegmentationForm, SegmentForm

    said = {"series_description": description, "series_number": number}
    coded = {"category": category, "type": type_}
    given: Any = {name: value for name, value in said.items() if value is not None}
    codes: Any = {name: Code.of_text(text) for name, text in coded.items() if text is not None}
    return SegmentationForm(**given, default=SegmentForm(**codes))


def _listed(path: Path) -> set[str]:
    """Return the names of the label files that a list holds."""
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        items = [*facts["training"], *facts.get("validation", ())]
        return {Path(item["label"]).name for item in items}
    except (OSError, ValueError, KeyError, TypeError):
        return set()  # writing says what is wrong


def _show_codes(out: Path) -> None:
    """Print the codes that were written."""
    import numpy as np

    from napari_cam.labels.files.reading import read_labels

    image = read_labels(out)
    names = {each.code: each.name for each in image.classes}
    unnamed = "unlabelled" if image.kind == "seeds" else "background"
    counted = zip(*map(np.ndarray.tolist, np.unique(image.labels, return_counts=True)), strict=True)
    rows = [(str(code), names.get(code, unnamed), str(n)) for code, n in counted]
    typer.echo(f"{out}:")
    typer.echo(text_table(("code", "class", "voxels"), rows, right=(0, 2)))
