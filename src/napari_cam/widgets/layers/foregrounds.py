"""Where masks may lie: labels of a layer, or the tissue of an image. No Qt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from napari_cam.volumes.choices import TissueMethod
from napari_cam.volumes.foreground import foreground
from napari_cam.volumes.volume import Volume

_FOUND: WeakKeyDictionary[Volume, dict[str, NDArray[np.bool_]]] = WeakKeyDictionary()
_FINDING = Lock()


@dataclass(frozen=True, eq=False)
class LabelSet:
    """Labels of a layer that lies on the heatmap's grid.

    Attributes
    ----------
    values
        (z, y, x), a view of the layer's own voxels: what is painted later counts, too.
    numbers
        Which labels are meant; empty for all but 0.
    path
        File they were read from, None where they were not.
    """

    values: Any
    numbers: tuple[int, ...] = ()
    path: str | None = None

    def mask(self, place: Any = ...) -> NDArray[np.bool_]:
        """Return True where one of the labels is, in all of the grid or at `place` in it."""
        values = np.asarray(self.values[place])
        chosen: NDArray[np.bool_] = values != 0
        if self.numbers:
            chosen = values == self.numbers[0]
            for number in self.numbers[1:]:
                chosen |= values == number
        return chosen

    def facts(self, mask: NDArray[np.bool_]) -> dict[str, Any]:
        """Return what a record says of them: the pixels by a digest, no name of a layer."""
        digest = hashlib.sha256(f"{mask.shape}".encode() + np.packbits(mask).tobytes())
        labels: Any = list(self.numbers) or "all but 0"
        return {"labels": labels, "sha256": digest.hexdigest()}


@dataclass(frozen=True, eq=False)
class Tissue:
    """What an image shows other than background.

    Attributes
    ----------
    method
        Of `napari_cam.foreground`.
    image
        On the heatmap's grid.
    """

    method: TissueMethod
    image: Volume

    @property
    def found(self) -> bool:
        """Whether it has been found already, so that `mask` takes no time."""
        return self.method in _FOUND.get(self.image, {})

    def mask(self, place: Any = ...) -> NDArray[np.bool_]:
        """Return True in the tissue, in all of the image or at `place` in it; found once."""
        with _FINDING:
            found = _FOUND.setdefault(self.image, {})
            if self.method not in found:
                found[self.method] = foreground(self.image, self.method)
            chosen: NDArray[np.bool_] = found[self.method][place]
        return chosen

    def facts(self, mask: NDArray[np.bool_]) -> dict[str, Any]:  # noqa: ARG002
        """Return what a record says of it."""
        return {"method": self.method, "per": "volume"}


Foreground = LabelSet | Tissue
