"""Names for records: what a layer is, never what a person called it, which may name a patient."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from napari_cam.widgets.layers.layer_axes import facts_of


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
    method = facts.get("method")
    words = [method.get("name") if isinstance(method, Mapping) else method]
    words += [facts.get("layer"), facts.get("target")]
    said = " / ".join(str(word) for word in words if word)
    return said or str(facts.get("kind") or "labels")
