"""What a DICOM segmentation says of itself: the form that whoever exports one fills in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.labels.choices import ALGORITHMS, Algorithm

# Lengths by DICOM's value representations (PS3.5, 6.2): LO, CS, SH and UC-like code meanings.
LONGEST_LABEL = 64
"""So many letters a segment's label may have."""

_SHORT, _CODE_STRING = 16, 16


def check_text(what: str, text: str, most: int) -> None:
    """Raise where a text is empty, too long for DICOM, or holds what DICOM reserves."""
    if not text.strip():
        raise MaskError(f"{what} is empty; give some text.")
    if len(text) > most:
        raise MaskError(f"{what} has {len(text)} letters, but DICOM takes {most}; shorten it.")
    if "\\" in text or not text.isprintable():
        raise MaskError(f"{what} holds a backslash or a control character; leave it out.")


@dataclass(frozen=True)
class Code:
    """A coded term.

    Attributes
    ----------
    value
        The code, such as "52988006".
    scheme
        The coding scheme: "SCT" (SNOMED CT), "DCM" (DICOM), ...
    meaning
        The meaning in words.

    Raises
    ------
    MaskError
        If a part is empty or too long.
    """

    value: str
    scheme: str
    meaning: str

    def __post_init__(self) -> None:
        for what, most in (("value", _SHORT), ("scheme", _SHORT), ("meaning", LONGEST_LABEL)):
            check_text(f"The {what} of a code", getattr(self, what), most)

    @classmethod
    def of_text(cls, text: str) -> Code:
        """Return the code written as "VALUE,SCHEME,MEANING", such as "52988006,SCT,Lesion".

        Raises
        ------
        MaskError
            If the text does not have these three parts.
        """
        parts = [part.strip() for part in text.split(",", maxsplit=2)]
        if len(parts) != 3:
            raise MaskError(f"'{text}' is no code; write VALUE,SCHEME,MEANING as {LESION}.")
        return cls(*parts)

    def __str__(self) -> str:
        return f"{self.value},{self.scheme},{self.meaning}"


ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")
"""Category of lesions (DICOM PS3.16, CID 7150)."""

TISSUE = Code("85756007", "SCT", "Tissue")
"""Category, and type, of tissue."""

LESION = Code("52988006", "SCT", "Lesion")
"""Type of anything abnormal."""

CONCEPT = Code("309825002", "SCT", "Spatial and Relational Concept")
"""Category of the background."""

BACKGROUND = Code("125040", "DCM", "Background")
"""Type of the background."""


@dataclass(frozen=True)
class SegmentForm:
    """The description of one segment.

    Attributes
    ----------
    category, type
        What the segment shows: a general term and a specific one.
    label
        Name of the segment; None for the name of its class.
    algorithm
        "AUTOMATIC", "SEMIAUTOMATIC" (corrected by a person) or "MANUAL". None means AUTOMATIC for
        heatmaps and SEMIAUTOMATIC for labels.

    Raises
    ------
    MaskError
        If the label does not fit into DICOM or the algorithm is not one of the three.
    """

    category: Code = ABNORMAL
    type: Code = LESION
    label: str | None = None
    algorithm: Algorithm | None = None

    def __post_init__(self) -> None:
        if self.label is not None:
            check_text("The label of a segment", self.label, LONGEST_LABEL)
        if self.algorithm is not None:
            ALGORITHMS.checked(self.algorithm)

    def to_json(self) -> dict[str, Any]:
        """Return the form as plain JSON."""
        return {
            "category": str(self.category),
            "type": str(self.type),
            "label": self.label,
            "algorithm": self.algorithm,
        }


@dataclass(frozen=True)
class SegmentationForm:
    """The description of a DICOM segmentation.

    Attributes
    ----------
    series_description
        Title of the series, as viewers show it.
    series_number
        Number of the series. Choose one that the study does not use yet.
    segments
        Descriptions of segments, by class name.
    default
        Description of all other segments, except the background of seeds.
    content_label
        Short title: capital letters, digits, spaces and underscores.
    content_description
        Description of the content in words.
    creator
        The person who made it, in DICOM's notation ("Doe^Jane"); None for nobody. The name is
        written to the file.

    Raises
    ------
    MaskError
        If a text does not fit into DICOM.
    """

    series_description: str = "napari-cam segmentation"
    series_number: int = 900
    segments: Mapping[str, SegmentForm] = field(default_factory=dict)
    default: SegmentForm = field(default_factory=SegmentForm)
    content_label: str = "CAM"
    content_description: str = ""
    creator: str | None = None

    def __post_init__(self) -> None:
        check_text("The series description", self.series_description, LONGEST_LABEL)
        if self.content_description:
            check_text("The content description", self.content_description, LONGEST_LABEL)
        if not re.fullmatch(rf"[A-Z0-9_ ]{{1,{_CODE_STRING}}}", self.content_label):
            raise MaskError(
                f"content_label is up to {_CODE_STRING} capital letters, digits, blanks and "
                f"underscores, not {self.content_label!r}."
            )
        checks.whole(self.series_number, "series_number", MaskError, least=1, most=2**31 - 1)

    def to_json(self) -> dict[str, Any]:
        """Return the form as plain JSON, without the creator's name."""
        segments = {name: each.to_json() for name, each in self.segments.items()}
        return {
            "segments": segments,
            "default": self.default.to_json(),
            "series_description": self.series_description,
            "series_number": self.series_number,
            "content_label": self.content_label,
            "content_description": self.content_description,
        }
