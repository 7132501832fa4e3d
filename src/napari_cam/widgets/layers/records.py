"""What the metadata of our layers say: what a layer is, what made it, what is kept of that.

Records name what a layer is, never what a person called it, which may name a patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from napari_cam.errors import MaskError
from napari_cam.heatmap import Heatmap
from napari_cam.labels.classes import BACKGROUND, LabelClasses
from napari_cam.provenance import map_words, plain, stamp
from napari_cam.volumes.heatmap_files import map_facts
from napari_cam.volumes.stated_grid import grid_facts, stated_grid
from napari_cam.widgets.layers.layer_axes import facts_of

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

SEEDS = "seeds"
"""The kind of a layer of seeds, and the key of its record in ``metadata["napari_cam"]``."""

# What a layer's metadata says of the session, not of how the result was made. Names of layers
# often are names of files, and those may be names of patients.
_SESSION = ("source_layer", "image_grid", "layer_axes", "map", "shape", "grid")


def layer_provenance(
    heatmap: Heatmap | None,
    like: Layer,
    /,
    kind: str = "heatmap",
    threshold: Mapping[str, Any] | None = None,
    **facts: Any,
) -> dict[str, Any]:
    """Return what made a derived layer, as plain JSON for ``metadata["napari_cam"]``.

    Parameters
    ----------
    heatmap
        The heatmap shown, or the one that a mask was cut from; None where there is none.
    like
        The layer that was explained.
    kind
        "heatmap", "mask" or "seeds".
    threshold
        Rule, cut and inequality that made a mask.
    **facts
        Whatever else is worth keeping.
    """
    made = {**(heatmap.provenance if heatmap is not None else stamp()), **facts}
    made.setdefault("time", stamp()["time"])
    model = made.get("model")
    stated: dict[str, Any] = {
        **made,
        "kind": kind,
        "version": made.get("version") or version("napari-cam"),
        "model_sha256": model.get("sha256") if isinstance(model, Mapping) else None,
        "target_layers": [made["layer"]] if "layer" in made else [],
        "normalisation": {"normalize": made.get("normalize"), "scale": made.get("scale")},
        "threshold": dict(threshold) if threshold is not None else None,
        "source_layer": like.name,
        "shape": heatmap.values.shape if heatmap is not None else None,
        "image_grid": grid_facts(heatmap.grid) if heatmap is not None else _image_of(like),
    }
    for key in ("method", "target", "device", "precision", "seed"):
        stated.setdefault(key, None)
    if heatmap is not None and kind == "heatmap":
        stated["map"] = map_facts(heatmap)
    result: dict[str, Any] = plain(stated)
    return result


def _image_of(like: Layer) -> dict[str, Any] | None:
    """Return the grid that a layer's metadata states, for a layer derived from it."""
    grid = stated_grid(facts_of(like))
    return None if grid is None else grid_facts(grid)


def recorded(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a layer's metadata says that belongs into the record beside a saved file.

    Everything but what holds for this session alone, such as the names of layers.
    """
    return {key: value for key, value in facts.items() if key not in _SESSION}


def is_heatmap(layer: Layer) -> bool:
    """Whether a layer shows a heatmap of ours."""
    return facts_of(layer).get("kind") == "heatmap"


def is_derived(layer: Layer) -> bool:
    """Whether a layer is a heatmap, mask, seeds or a copy of ours, not an image to explain."""
    return facts_of(layer).get("kind") in ("heatmap", "mask", "seeds", "copy")


def told_apart(names: Iterable[str]) -> list[str]:
    """Return names, those that occur again with a number."""
    found: list[str] = []
    for name in names:
        number, free = 1, name
        while free in found:
            number += 1
            free = f"{name} ({number})"
        found.append(free)
    return found


def made_by(layer: Any) -> str:
    """Return what made a layer, such as "gradcam / layer4 / damaged"."""
    facts = facts_of(layer)
    said = " / ".join(filter(None, map_words(facts)))
    return said or str(facts.get("kind") or "labels")


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


def background_in(layer: Labels) -> int | None:
    """Return the label that means background in a layer of seeds, None where none does."""
    try:
        return LabelClasses.from_json(seeds_record(layer)["classes"]).background
    except (KeyError, MaskError):
        return BACKGROUND
