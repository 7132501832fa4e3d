"""DICOM segmentations as labels, masks or fractions, ours and those of other programs."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError, VolumeError
from napari_cam.grid import Grid
from napari_cam.labels.classes import HIGHEST, LabelClass, LabelClasses
from napari_cam.labels.files.dicom.form import Code
from napari_cam.labels.files.dicom.frames import Frame, Stack, segment_numbers, stacked
from napari_cam.labels.files.dicom.segments import LABEL_OF
from napari_cam.labels.files.label_image import LabelImage, colours
from napari_cam.volumes.decoding import decoding
from napari_cam.volumes.dicom.attributes import first_item, plain_text, value_of
from napari_cam.volumes.dicom.files import SEGMENTATIONS, quiet, read_header
from napari_cam.volumes.dicom.pixels import check_promises, stored_frames
from napari_cam.volumes.dicom.planes import planes_of
from napari_cam.volumes.placing import on_grid
from napari_cam.volumes.volume import Volume


@dataclass(frozen=True)
class Segment:
    """One segment.

    Attributes
    ----------
    number
        Its number in the file.
    label
        What it is called.
    category, type
        What it is; None where the file does not say.
    algorithm
        "AUTOMATIC", "SEMIAUTOMATIC", "MANUAL", or what the file says.
    colour
        "#RRGGBB"; None where the file recommends none.
    code
        Its code in the labels it was made from, where this project wrote it; None otherwise.
    """

    number: int
    label: str
    category: Code | None = None
    type: Code | None = None
    algorithm: str = ""
    colour: str | None = None
    code: int | None = None


@dataclass(frozen=True, eq=False)
class DicomSegmentation:
    """A segmentation whose frames are read when asked for.

    Attributes
    ----------
    kind
        "binary", "fractional" or "labelmap".
    segments
        What it holds.
    grid
        Where its voxels lie: that of the images, where one was given, else from the first to the
        last frame.
    """

    kind: str
    segments: tuple[Segment, ...]
    grid: Grid
    _path: Path = field(repr=False)
    _frames: tuple[Frame, ...] = field(repr=False)
    _stack: Stack = field(repr=False)
    _highest: int = field(default=1, repr=False)

    def labels(self) -> LabelImage:
        """Return its segments as labels with names and colours.

        The codes are those that the labels had where this project wrote them, else the segments'
        numbers.

        Raises
        ------
        MaskError
            Where segments overlap, or it holds fractions.
        """
        if self.kind == "fractional":
            raise MaskError(
                f"{self._path} holds fractions, no labels; cut them, as fractions(...) > 0.5."
            )
        codes = self._codes()
        labels = self._empty(np.uint8)
        for frame, pixels in self._read():
            plane = labels[frame.slice]
            if frame.segment is None:  # a map of segment numbers
                for number, code in codes.items():
                    plane[pixels == number] = code
                continue
            here = pixels != 0
            if plane[here].any():
                name = next(each.label for each in self.segments if each.number == frame.segment)
                raise MaskError(
                    f"The segment '{name}' of {self._path} overlaps another, which labels cannot "
                    "say; take the segments one by one."
                )
            plane[here] = codes[frame.segment]
        ours = all(each.code is not None for each in self.segments)
        seeds = ours and any(
            each.code == 1 and each.label == "background" for each in self.segments
        )
        kind = "seeds" if seeds else "labels"
        return LabelImage(self._placed(labels), self._classes(), self.grid, kind)

    def mask(self, segment: int | str | None = None) -> NDArray[np.bool_]:
        """Return where a segment is, or any of them: (z, y, x), True above 0."""
        wanted = None if segment is None else self._numbered(segment)
        result = self._empty(np.bool_)
        for frame, pixels in self._read(wanted):
            if frame.segment is None and wanted is not None:
                result[frame.slice] |= pixels == wanted
            elif frame.segment is None:
                numbers = [each.number for each in self.segments]
                result[frame.slice] |= np.isin(pixels, numbers)
            else:
                result[frame.slice] |= pixels != 0
        return self._placed(result)

    def fractions(self, segment: int | str) -> NDArray[np.float32]:
        """Return a segment's values from 0 to 1: (z, y, x); of a binary one 0 and 1.

        Raises
        ------
        MaskError
            Where there is no such segment.
        """
        if self.kind != "fractional":
            return self.mask(segment).astype(np.float32)
        result = self._empty(np.float32)
        for frame, pixels in self._read(self._numbered(segment)):
            result[frame.slice] = pixels.astype(np.float32) / np.float32(self._highest)
        return self._placed(result)

    def _numbered(self, segment: int | str) -> int:
        found = [each.number for each in self.segments if segment in (each.number, each.label)]
        if len(found) != 1:
            known = ", ".join(f"{each.number} ({each.label})" for each in self.segments)
            raise MaskError(f"{self._path} has no segment {segment!r}; there are {known}.")
        return found[0]

    def _codes(self) -> dict[int, int]:
        """Return the code of each segment."""
        stated = [each.code for each in self.segments]
        if None in stated or len(set(stated)) != len(stated):
            stated = [each.number for each in self.segments]
        if any(code is None or not 0 < code <= HIGHEST for code in stated):
            stated = list(range(1, len(self.segments) + 1))
        numbers = [each.number for each in self.segments]
        return {n: int(code or 0) for n, code in zip(numbers, stated, strict=True)}

    def _classes(self) -> LabelClasses:
        codes, palette = self._codes(), colours(len(self.segments))
        names = [each.label for each in self.segments]
        classes = []
        for place, each in enumerate(self.segments):
            unique = each.label if names.count(each.label) == 1 else f"{each.label} {each.number}"
            classes.append(LabelClass(codes[each.number], unique, each.colour or palette[place]))
        return LabelClasses(tuple(classes))

    def _empty(self, dtype: Any) -> NDArray[Any]:
        return np.zeros(self._stack.shape, dtype)

    def _placed(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return (z, y, x) on the grid of values (slices, rows, columns)."""
        turned = np.ascontiguousarray(values.transpose(self._stack.order))
        return on_grid(turned, self._stack.grid, self.grid, "segments")

    def _read(self, segment: int | None = None) -> Iterator[tuple[Frame, NDArray[Any]]]:
        """Yield the stored frames of a segment; those of maps and, without one, all."""
        chosen = [each for each in self._frames if segment in (None, each.segment)]
        if segment is not None and not chosen:
            chosen = [each for each in self._frames if each.segment is None]
        if not chosen:
            return
        file = chosen[0].plane.file
        with decoding(self._path, "DICOM"), quiet():
            read = stored_frames(file, [each.plane.frame for each in chosen])
            for frame, (pixels, _) in zip(chosen, read, strict=True):
                yield frame, pixels


def read_dicom_seg(
    path: str | os.PathLike[str], like: Volume | Grid | None = None
) -> DicomSegmentation:
    """Open a DICOM segmentation.

    Parameters
    ----------
    path
        The file.
    like
        The segmented image, or its grid. Results then have its axes, directions and extent. Without
        it, they reach from the first to the last frame in the file.

    Raises
    ------
    VolumeError
        If the file is damaged, is not a segmentation, or does not give the positions of its frames.
    MaskError
        If it lies on another grid than `like`.
    """
    path = Path(path)
    dataset = read_header(path)
    with decoding(path, "DICOM"), quiet():
        if str(dataset.get("SOPClassUID", "")) not in SEGMENTATIONS:
            raise VolumeError(f"{path} is no DICOM segmentation; read images with read_volume.")
        planes = planes_of(path, path, dataset)
        check_promises(planes)
        if not planes or not all(plane.placed and plane.pixel_spacing for plane in planes):
            raise VolumeError(
                f"{path} does not say where its frames lie in a patient, so it is no mask of a "
                "volume."
            )
        kind = plain_text(value_of(dataset, "SegmentationType")).lower() or "binary"
        segments = tuple(_segment(item) for item in dataset.get("SegmentSequence") or ())
        if kind == "labelmap":
            segments = tuple(each for each in segments if each.number != 0)
        stack, slices = stacked(path, planes)
        frames = tuple(
            Frame(plane, slices[plane.frame], None if kind == "labelmap" else number)
            for plane, number in zip(planes, segment_numbers(dataset, len(planes)), strict=True)
        )
        known = {each.number for each in segments}
        if any(each.segment not in known for each in frames if each.segment is not None):
            raise VolumeError(f"{path} holds frames of a segment that it does not describe.")
        highest = int(value_of(dataset, "MaximumFractionalValue") or 255)
    grid = like.grid if isinstance(like, Volume) else like
    return DicomSegmentation(
        kind, segments, grid or stack.grid, path, frames, stack, max(highest, 1)
    )


def _segment(item: Any) -> Segment:
    described = plain_text(value_of(item, "SegmentDescription"))
    ours = re.fullmatch(rf"{LABEL_OF} (\d+)", described)
    number = int(value_of(item, "SegmentNumber") or 0)
    return Segment(
        number=number,
        label=plain_text(value_of(item, "SegmentLabel")) or f"segment {number}",
        category=_code(first_item(item, "SegmentedPropertyCategoryCodeSequence")),
        type=_code(first_item(item, "SegmentedPropertyTypeCodeSequence")),
        algorithm=plain_text(value_of(item, "SegmentAlgorithmType")),
        colour=_colour(value_of(item, "RecommendedDisplayCIELabValue")),
        code=int(ours[1]) if ours else None,
    )


def _code(item: Any) -> Code | None:
    parts = [plain_text(value_of(item, f"Code{word}")) for word in ("Value", "Meaning")]
    scheme = plain_text(value_of(item, "CodingSchemeDesignator"))
    try:
        return Code(parts[0], scheme, parts[1])
    except MaskError:
        return None


def _colour(stored: Any) -> str | None:
    """Return CIELab in 16 bits each as "#RRGGBB"."""
    if stored is None or len(stored) != 3:
        return None
    import warnings

    from skimage.color import lab2rgb

    light, a, b = (float(each) / 65535 for each in stored)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # colours that no screen shows are taken to the nearest
        lab = np.array([[[100 * light, 255 * a - 128, 255 * b - 128]]])
        parts = np.rint(255 * lab2rgb(lab)[0, 0]).astype(int)
    return "#" + "".join(f"{min(max(part, 0), 255):02X}" for part in parts.tolist())
