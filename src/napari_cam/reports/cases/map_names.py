"""What the maps of a cohort are called: by method, network and layer, each name once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.heatmap import Heatmap, parts_of

Map = Heatmap | NDArray[np.bool_]


@dataclass(frozen=True)
class MapName:
    """The name of one map of a cohort: CAM method, network and layer."""

    method: str
    backbone: str = ""
    layer: str = ""

    @property
    def label(self) -> str:
        """The name as shown in figures."""
        return " / ".join(part for part in (self.backbone, self.method, self.layer) if part)


def name_of(key: Any, item: Map) -> MapName:
    """Return what a map is called: what it says of itself, else what its key says."""
    if isinstance(key, MapName):
        return key
    if isinstance(key, tuple) and 1 <= len(key) <= 3 and all(isinstance(k, str) for k in key):
        return MapName(*key)
    facts: Mapping[str, Any] = item.provenance if isinstance(item, Heatmap) else {}
    model, method = facts.get("model"), facts.get("method")
    backbone = str(model.get("architecture", "")) if isinstance(model, Mapping) else ""
    stated = method.get("name") if isinstance(method, Mapping) else method
    parts = parts_of(key)
    if len(parts) == 3 and not isinstance(key, str):  # a MapKey: method, layer, target
        return MapName(parts[0], backbone, parts[1])
    if isinstance(stated, str):
        return MapName(stated, backbone, str(facts.get("layer", "")))
    return MapName(" / ".join(parts), backbone)


def apart(name: MapName, key: Any, item: Map, taken: Collection[MapName]) -> MapName:
    """Return another name for a map that is called as one before it.

    Two targets, or two networks of one architecture: its key tells it apart. A file's path does
    not, as it differs between subjects and may name them; there it is the target.
    """
    facts: Mapping[str, Any] = item.provenance if isinstance(item, Heatmap) else {}
    if isinstance(key, PurePath):
        words = " / ".join(filter(None, (name.method, str(facts.get("target", "")))))
    else:
        words = " / ".join(parts_of(key))
    numbered = (f"{words} ({number})" for number in count(2))
    return next(
        found
        for found in (replace(name, method=method) for method in chain([words], numbered))
        if found not in taken
    )


def plainest(names: Iterable[MapName]) -> dict[MapName, MapName]:
    """Return what maps are called where the layer need not be told.

    Networks name their layers each in its own way: where a method was applied to one layer of each
    network, the layer says nothing, and methods are compared across networks without it.
    """
    known = tuple(dict.fromkeys(names))
    unique = len({(name.method, name.backbone) for name in known}) == len(known)
    return {name: replace(name, layer="") if unique else name for name in known}
