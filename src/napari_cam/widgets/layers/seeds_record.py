"""What a labels layer's metadata says of it as seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from napari_cam.errors import MaskError
from napari_cam.labels.classes import BACKGROUND, LabelClass, LabelClasses
from napari_cam.widgets.layers.layer_axes import facts_of

if TYPE_CHECKING:
    from napari.layers import Labels

SEEDS = "seeds"
"""The kind of a layer of seeds, and the key of its record in ``metadata["napari_cam"]``."""


def seeds_record(layer: Labels) -> Mapping[str, Any]:
    """Return what a layer's metadata says of it as seeds; empty where it says nothing."""
    facts = facts_of(layer)
    if facts.get("kind") != SEEDS:
        return {}
    # An exported file tells it under what it was made from, and its classes by itself.
    made_from = facts.get("made_from")
    for place in (facts, made_from if isinstance(made_from, Mapping) else {}):
        record = place.get(SEEDS)
        if isinstance(record, Mapping):
            return record
    return {"classes": facts["classes"]} if "classes" in facts else {}


def is_seeds(layer: Any) -> bool:
    """Whether a layer holds seeds of ours."""
    return facts_of(layer).get("kind") == SEEDS


def background_code(classes: LabelClasses) -> int | None:
    """Return the code that means background, None where no class does."""
    return next((each.code for each in classes if _is_background(each)), None)


def background_in(layer: Labels) -> int | None:
    """Return the label that means background in a layer of seeds, None where none does."""
    try:
        return background_code(LabelClasses.from_json(seeds_record(layer)["classes"]))
    except (KeyError, MaskError):
        return BACKGROUND


def _is_background(each: LabelClass) -> bool:
    return each.name.casefold() == "background" or (
        each.code == BACKGROUND and not each.name.startswith("label ")
    )
