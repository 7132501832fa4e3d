"""How well the sample U-Net segments fillets that it has never seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.learning.segmenter import predict_labels
from napari_cam.masks.counts import counts
from napari_cam.models.loaded import LoadedModel
from napari_cam.sample.cohort import voxel_labels
from napari_cam.sample.phantom import Phantom
from napari_cam.statistics.bootstrap import pooled_ratio


@dataclass(frozen=True, eq=False)
class Overlap:
    """Voxels of v volumes, counted by class.

    Attributes
    ----------
    class_names
        (c,) names.
    both
        (v, c) voxels that are of the class and predicted to be.
    either
        (v, c) voxels that are of the class, plus those predicted to be.
    """

    class_names: tuple[str, ...]
    both: NDArray[np.int64] = field(repr=False)
    either: NDArray[np.int64] = field(repr=False)

    def dice(self, name: str) -> tuple[float, float, float]:
        """Return a class's Dice over the voxels of all volumes together, with its 95 % interval.

        Volumes without the class add what is wrongly seen in them.
        """
        place = self.class_names.index(name)
        return pooled_ratio(2 * self.both[:, place], self.either[:, place])

    def to_json(self) -> dict[str, Any]:
        """Return the Dice of each class as plain JSON."""
        return {
            "volumes": len(self.both),
            "method": "all voxels together; 95 % interval from whole volumes drawn anew",
            "dice": {
                name: {"dice": round(dice, 4), "interval": [round(low, 4), round(high, 4)]}
                for name in self.class_names
                for dice, low, high in [self.dice(name)]
            },
        }

    def markdown(self) -> str:
        """Return the Dice of each class as a Markdown table."""
        lines = ["| class | Dice | 95 % interval |", "|---|---|---|"]
        for name in self.class_names:
            dice, low, high = self.dice(name)
            lines.append(f"| {name} | {dice:.3f} | {low:.3f} to {high:.3f} |")
        return "\n".join(lines)


def overlap(
    model: LoadedModel, phantoms: Iterable[Phantom], tick: Callable[[], None] | None = None
) -> Overlap:
    """Compare what the network predicts with the truth, class by class.

    Parameters
    ----------
    model
        A segmentation network of the classes of `VOXEL_CLASSES`.
    phantoms
        None of which it was trained on.
    tick
        Called after each phantom.
    """
    both, either = [], []
    for one in phantoms:
        predicted, truth = predict_labels(model, one.volume), voxel_labels(one)
        found = [counts(predicted == c, truth == c) for c in range(len(model.card.class_names))]
        both.append([int(each.tp) for each in found])
        either.append([int(2 * each.tp + each.fp + each.fn) for each in found])
        if tick is not None:
            tick()
    return Overlap(model.card.class_names, np.array(both), np.array(either))
