"""What a DICOM segmentation says of each segment, as highdicom takes it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np

from napari_cam.labels.classes import BACKGROUND as BACKGROUND_CODE
from napari_cam.labels.classes import LabelClass
from napari_cam.labels.files.dicom.form import (
    BACKGROUND,
    CONCEPT,
    LONGEST_LABEL,
    SegmentationForm,
    SegmentForm,
    check_text,
)
from napari_cam.volumes.dicom.files import quiet

LABEL_OF = "napari-cam label"
"""Begins the description of segments: "napari-cam label 3" says the code in our labels."""


def described(number: int, each: LabelClass, automatic: bool, form: SegmentationForm) -> Any:
    """Return what is said of one segment."""
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentDescription
    from pydicom.sr.codedict import codes
    from pydicom.sr.coding import Code as Coded

    behind = not automatic and each.code == BACKGROUND_CODE and each.name == "background"
    default = SegmentForm(CONCEPT, BACKGROUND) if behind else form.default
    said = form.segments.get(each.name, default)
    label = said.label or each.name
    check_text(f"The name of class {each.code}", label, LONGEST_LABEL)
    made_by = said.algorithm or ("AUTOMATIC" if automatic else "SEMIAUTOMATIC")
    name = AlgorithmIdentificationSequence(
        name="napari-cam", family=codes.DCM.ArtificialIntelligence, version=version("napari-cam")
    )
    with calm():
        description = SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=Coded(
                said.category.value, said.category.scheme, said.category.meaning
            ),
            segmented_property_type=Coded(said.type.value, said.type.scheme, said.type.meaning),
            algorithm_type=made_by,
            algorithm_identification=None if made_by == "MANUAL" else name,
        )
        what = "class activation map, not a probability" if automatic else LABEL_OF
        description.SegmentDescription = what if automatic else f"{what} {each.code}"
        description.RecommendedDisplayCIELabValue = lab_of(each.colour)
    return description


def lab_of(colour: str) -> list[int]:
    """Return "#RRGGBB" as DICOM stores colours: CIELab in 16 bits each (PS3.3, C.10.7.1.1)."""
    from skimage.color import rgb2lab

    red, green, blue = (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))
    light, a, b = rgb2lab(np.array([[[red, green, blue]]]))[0, 0].tolist()
    stored = (light * 65535 / 100, (a + 128) * 65535 / 255, (b + 128) * 65535 / 255)
    return [round(min(max(each, 0), 65535)) for each in stored]


@contextmanager
def calm() -> Iterator[None]:
    """Keep the libraries' warnings and messages, which may cite a patient, to themselves."""
    logger = logging.getLogger("highdicom")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)
