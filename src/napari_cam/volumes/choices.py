"""The words that settings about images may be, each with what it means."""

from __future__ import annotations

from typing import Literal

from napari_cam.choices import Choices
from napari_cam.errors import MaskError

TissueMethod = Literal["kmeans", "otsu", "nonzero"]
TISSUES: Choices[TissueMethod] = Choices(
    "The method of a foreground",
    TissueMethod,
    MaskError,
    {"kmeans": "k-means", "otsu": "Otsu", "nonzero": "not zero"},
)

TissuePer = Literal["volume", "slice"]
TISSUE_PER: Choices[TissuePer] = Choices(
    "The per of a foreground",
    TissuePer,
    MaskError,
    {"volume": "the whole volume", "slice": "each slice"},
)
