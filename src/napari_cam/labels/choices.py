"""The words that settings about labels may be, each with what it means."""

from __future__ import annotations

from typing import Literal

from napari_cam.choices import Choices
from napari_cam.errors import MaskError

Negatives = Literal["unlabelled", "background"]
NEGATIVES: Choices[Negatives] = Choices(
    "What slices become for which another class is predicted",
    Negatives,
    MaskError,
    {"unlabelled": "unlabelled", "background": "background"},
)

Conflict = Literal["ignore", "highest"]
CONFLICTS: Choices[Conflict] = Choices(
    "conflict of classes",
    Conflict,
    MaskError,
    {"ignore": "leave unlabelled", "highest": "the higher heatmap wins"},
)

Mode = Literal["replace", "unlabelled", "from-cam"]
MODES: Choices[Mode] = Choices(
    "A commit's mode",
    Mode,
    MaskError,
    {
        "replace": "all but hand-painted voxels",
        "unlabelled": "unlabelled voxels only",
        "from-cam": "earlier CAM voxels only",
    },
)

SegmentationKind = Literal["binary", "fractional"]
SEGMENTATION_KINDS: Choices[SegmentationKind] = Choices(
    "kind",
    SegmentationKind,
    MaskError,
    {"binary": "of labels", "fractional": "of heatmaps"},
)

Algorithm = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]
ALGORITHMS: Choices[Algorithm] = Choices(
    "The algorithm of a segment",
    Algorithm,
    MaskError,
    {
        "AUTOMATIC": "no person took part",
        "SEMIAUTOMATIC": "a person corrected it",
        "MANUAL": "a person drew it",
    },
)

Refinement = Literal["random-walker", "guided"]
REFINEMENTS: Choices[Refinement] = Choices(
    "The method of a refinement",
    Refinement,
    MaskError,
    {"random-walker": "grows seeds", "guided": "smooths heatmaps"},
)

RefinedPer = Literal["slice", "volume"]
REFINED_PER: Choices[RefinedPer] = Choices(
    "per of a refinement",
    RefinedPer,
    MaskError,
    {"slice": "each slice", "volume": "the whole volume"},
)
