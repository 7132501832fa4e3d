"""A drop-down list of fixed entries and of the viewer's layers."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import Any

from napari_cam.widgets.controls.parts import combo, refill


class LayerCombo:
    """Keeps the entries of a list up to date; what was chosen stays chosen.

    Parameters
    ----------
    name
        Of the control, for its tooltip.
    fixed
        Entries that are always there; the first is chosen where a chosen layer goes.
    title
        How a layer is listed, with its name in place of {}.
    """

    def __init__(self, name: str, fixed: Sequence[tuple[str, Any]] = (), title: str = "{}") -> None:
        self.box = combo(name, fixed)
        self._fixed = tuple(fixed)
        self._title = title
        self._layers: list[weakref.ReferenceType[Any]] = []

    @property
    def word(self) -> Any:
        """The value of the fixed entry that is chosen; None where a layer is."""
        index = self.box.currentIndex()
        return self._fixed[index][1] if index < len(self._fixed) else None

    @property
    def layer(self) -> Any:
        """The layer that is chosen; None where a fixed entry is, or the layer is gone."""
        place = self.box.currentIndex() - len(self._fixed)
        return self._layers[place]() if 0 <= place < len(self._layers) else None

    def choose(self, layer: Any) -> None:
        """Choose a listed layer; the first entry where it is none of them."""
        self.box.setCurrentIndex(self._place_of(layer) or 0)

    def follow(self, layers: Iterable[Any]) -> bool:
        """List these layers; whether another entry is chosen now, as the layer has gone."""
        index, chosen, found = self.box.currentIndex(), self.layer, list(layers)
        self._layers = [weakref.ref(layer) for layer in found]
        place, of_layer = self._place_of(chosen), index >= len(self._fixed)
        if of_layer:
            index = place or 0
        titles = [(self._title.format(layer.name), None) for layer in found]
        refill(self.box, [*self._fixed, *titles], max(index, 0))
        return of_layer and place is None

    def _place_of(self, layer: Any) -> int | None:
        places = (n for n, each in enumerate(self._layers) if layer is not None and each() is layer)
        return next((len(self._fixed) + place for place in places), None)
