"""A drop-down list of fixed entries and of the viewer's labels layers."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from napari_cam.widgets.controls.parts import combo, refill

if TYPE_CHECKING:
    from napari.layers import Labels


class LabelsCombo:
    """Keeps the entries of a list up to date; what was chosen stays chosen.

    Parameters
    ----------
    name
        Of the control, for its tooltip.
    fixed
        Entries that are always there; the first is chosen where a chosen layer goes.
    """

    def __init__(self, name: str, fixed: Sequence[tuple[str, Any]]) -> None:
        self.box = combo(name, fixed)
        self._fixed = tuple(fixed)
        self._layers: list[weakref.ReferenceType[Labels]] = []

    @property
    def word(self) -> Any:
        """The value of the fixed entry that is chosen; None where a layer is."""
        index = self.box.currentIndex()
        return self._fixed[index][1] if index < len(self._fixed) else None

    @property
    def layer(self) -> Labels | None:
        """The layer that is chosen; None where a fixed entry is, or the layer is gone."""
        place = self.box.currentIndex() - len(self._fixed)
        return self._layers[place]() if 0 <= place < len(self._layers) else None

    def follow(self, layers: Iterable[Labels]) -> bool:
        """List these layers; whether another entry is chosen now, as the layer has gone."""
        index, chosen, found = self.box.currentIndex(), self.layer, list(layers)
        self._layers = [weakref.ref(layer) for layer in found]
        place = next((n for n, layer in enumerate(found) if layer is chosen), None)
        lost = index >= len(self._fixed) and place is None
        if index >= len(self._fixed):
            index = 0 if place is None else len(self._fixed) + place
        refill(self.box, [*self._fixed, *((layer.name, None) for layer in found)], max(index, 0))
        return lost
