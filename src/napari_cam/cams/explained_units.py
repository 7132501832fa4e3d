"""What one batch of units gave: raw maps, scores and classes, on the host."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.keys import MapKey
from napari_cam.cams.targets.scores import Target
from napari_cam.heatmap import Maps


@dataclass(frozen=True, eq=False)
class ExplainedUnits:
    """What one batch of units gave.

    Attributes
    ----------
    units
        (n,) which units: slice numbers along the unit axis, or (0,) for a 3D network.
    maps
        Key -> raw map (n, *f), signed.
    class_index, score
        Target -> (n,) explained class and score.
    logits
        (n, classes) the network's class scores. Of a segmentation network the share of pixels in
        which it predicts each class.
    batch_size
        Units per forward pass from here on; smaller than asked for once memory has run out.
    pixels
        Target -> (n,) how many pixels its region holds; without entry for targets that have none.
    segmentation
        Whether the network gives maps of scores.
    notes
        Sentences on what is to be known about these maps.
    path
        How the network ran: "plain", or what was done to its copy.
    """

    units: tuple[int, ...]
    maps: Maps[MapKey, NDArray[np.float32]]
    class_index: dict[Target, NDArray[np.int64]]
    score: dict[Target, NDArray[np.float32]]
    logits: NDArray[np.float32]
    batch_size: int
    pixels: dict[Target, NDArray[np.int64]] = field(default_factory=dict)
    segmentation: bool = False
    notes: tuple[str, ...] = ()
    path: str = "plain"

    @property
    def predicted_index(self) -> NDArray[np.int64]:
        """(n,) the network's own choice; in a segmentation the largest label other than 0, if any.

        Label 0 is taken to be background.
        """
        if not self.segmentation:
            return np.asarray(self.logits.argmax(axis=1), dtype=np.int64)
        others = self.logits[:, 1:]
        found = others.max(axis=1) > 0
        return np.where(found, others.argmax(axis=1) + 1, 0).astype(np.int64)

    def predicted_for(self, target: Target) -> NDArray[np.int64]:
        """(n,) as `predicted_index`, but the explained class wherever it is predicted at all.

        In a segmentation a unit may hold several classes; masks that are kept where the explained
        class is predicted ask this.
        """
        explained = self.class_index[target]
        if not self.segmentation:
            return self.predicted_index
        area = self.logits[np.arange(len(explained)), explained]
        return np.where(area > 0, explained, self.predicted_index)
