"""Attributes of DICOM headers, wherever an object keeps them, checked and made plain."""

from __future__ import annotations

import math
from typing import Any

from napari_cam.errors import VolumeError

Numbers = tuple[float, ...]

# In which functional group each attribute of an enhanced object stands.
_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "SpacingBetweenSlices": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "WindowCenter": "FrameVOILUTSequence",
    "WindowWidth": "FrameVOILUTSequence",
    "WindowCenterWidthExplanation": "FrameVOILUTSequence",
    "StackID": "FrameContentSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "FrameAcquisitionNumber": "FrameContentSequence",
    "FrameReferenceDateTime": "FrameContentSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "DiffusionGradientDirectionSequence": "MRDiffusionSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "ComplexImageComponent": "MRImageFrameTypeSequence",
    "NominalPercentageOfCardiacPhase": "CardiacSynchronizationSequence",
    "NominalCardiacTriggerDelayTime": "CardiacSynchronizationSequence",
    "FlipAngle": "MRTimingAndRelatedParametersSequence",
}
_FRAME_TYPES = ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence")


class Lookup:
    """Finds an attribute in a frame's own functional group, the shared ones or the header."""

    def __init__(self, own: Any, shared: Any, dataset: Any) -> None:
        self._groups = [group for group in (own, shared) if group is not None]
        self._dataset = dataset

    def get(self, keyword: str) -> Any:
        """Return the attribute's value, None where it is absent or empty."""
        group = _GROUPS.get(keyword)
        for item in self._groups if group else ():
            value = value_of(first_item(item, group or ""), keyword)
            if value is not None:
                return value
        return value_of(self._dataset, keyword)

    def numbers(self, keyword: str, n: int) -> Numbers | None:
        """Return `n` finite numbers, None where the attribute is absent."""
        return numbers_of(self.get(keyword), keyword, n)

    def number(self, keyword: str) -> float | None:
        """Return one finite number, None where the attribute is absent."""
        return number_of(self.get(keyword), keyword)

    def kind(self) -> str:
        """Return the image type, in one text."""
        for item in self._groups:
            for name in _FRAME_TYPES:
                value = value_of(first_item(item, name), "FrameType")
                if value is not None:
                    return joined(value)
        return joined(self.get("ImageType"))

    def gradient(self) -> Numbers | None:
        """Return the diffusion gradient's direction."""
        nested = self.get("DiffusionGradientDirectionSequence")
        item = nested[0] if nested else self._dataset
        return numbers_of(value_of(item, "DiffusionGradientOrientation"), "gradient direction", 3)


def first_item(dataset: Any, keyword: str) -> Any:
    """Return the first item of a sequence, None where there is none."""
    items = dataset.get(keyword) if dataset is not None else None
    return items[0] if items else None


def value_of(dataset: Any, keyword: str) -> Any:
    """Return an attribute's value, None where it is absent or empty."""
    if dataset is None:
        return None
    value = dataset.get(keyword)
    return None if value is None or value == "" or listed(value) == [] else value


def listed(value: Any) -> list[Any]:
    """Return one or many values as a list; None is none."""
    if value is None:
        return []
    if isinstance(value, (str, bytes)) or not hasattr(value, "__iter__"):
        return [value]
    return list(value)


def numbers_of(value: Any, keyword: str, n: int) -> Numbers | None:
    """Return `n` finite numbers, None where there is no value."""
    values = listed(value)
    if not values:
        return None
    try:
        numbers = tuple(float(each) for each in values)
    except (TypeError, ValueError) as error:
        raise VolumeError(f"Its {keyword} is no number; export it again.") from error
    if len(numbers) != n or not all(map(math.isfinite, numbers)):
        raise VolumeError(f"Its {keyword} does not hold {n} finite numbers; export it again.")
    return numbers


def number_of(value: Any, keyword: str) -> float | None:
    """Return one finite number, None where there is no value."""
    numbers = numbers_of(value, keyword, 1)
    return None if numbers is None else numbers[0]


def plain_text(value: Any) -> str:
    """Return a short text without anything that could steer a terminal."""
    text = "" if value is None else str(value)
    return "".join(letter for letter in text if letter.isprintable())[:64].strip()


def joined(value: Any) -> str:
    """Return one or many values as one text."""
    return "\\".join(plain_text(each) for each in listed(value))
