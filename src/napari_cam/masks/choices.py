"""The words that settings about masks may be, each with what it means."""

from __future__ import annotations

from typing import Literal

from napari_cam.choices import Choices
from napari_cam.errors import MaskError

Scope = Literal["unit", "volume", "cohort"]
SCOPES: Choices[Scope] = Choices(
    "The scope of a threshold rule",
    Scope,
    MaskError,
    {"unit": "each slice", "volume": "the whole volume", "cohort": "all heatmaps of a call"},
)

Per = Literal["volume", "unit"]
PER: Choices[Per] = Choices(
    "per of a clean-up",
    Per,
    MaskError,
    {"volume": "the whole volume", "unit": "each slice"},
)

Connectivity = Literal["faces", "corners"]
CONNECTIVITY: Choices[Connectivity] = Choices(
    "connectivity of a clean-up",
    Connectivity,
    MaskError,
    {"faces": "pixels that share faces", "corners": "also those that share corners"},
)

Operator = Literal["or", "and", "smallest", "largest", "majority", "staple"]
OPERATORS: Choices[Operator] = Choices(
    "The operator of an ensemble",
    Operator,
    MaskError,
    {
        "or": "or: in any member",
        "and": "and: in every member",
        "smallest": "smallest member of each slice",
        "largest": "largest member of each slice",
        "majority": "majority of the members",
        "staple": "STAPLE",
    },
)

MEAN = "mean"
"""What stands beside the operators where members are heatmaps: their mean."""

Ties = Literal["first", "last"]
TIES: Choices[Ties] = Choices(
    "ties of an ensemble",
    Ties,
    MaskError,
    {"first": "the first of equal size", "last": "the last of equal size"},
)

Empty = Literal["keep", "skip"]
EMPTY: Choices[Empty] = Choices(
    "empty of an ensemble",
    Empty,
    MaskError,
    {"keep": "empty members take part", "skip": "empty members are left out of a slice"},
)

TiedVotes = Literal["out", "in", "first"]
TIED_VOTES: Choices[TiedVotes] = Choices(
    "tied votes of an ensemble",
    TiedVotes,
    MaskError,
    {"out": "outside", "in": "inside", "first": "as the first member says"},
)

RadiusUnit = Literal["mm", "px"]
RADIUS_UNITS: Choices[RadiusUnit] = Choices(
    "The unit of LocalOtsu's radius", RadiusUnit, MaskError, {"mm": "mm", "px": "pixels"}
)

LengthUnit = Literal["mm", "pixel", "share"]
LENGTH_UNITS: Choices[LengthUnit] = Choices(
    "The unit of a box",
    LengthUnit,
    MaskError,
    {"mm": "mm", "pixel": "pixels", "share": "shares of the image's extent"},
)
