"""What step 3 says about the slice on screen, and the way to the next one with evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.widgets.layers.position import layer_axis, neighbour, show_index, shown_index

if TYPE_CHECKING:
    from napari_cam.widgets.docks.cam.state import ShownHeatmap
    from napari_cam.widgets.docks.cam.views.heatmap_step import HeatmapStep

_MOST_CLASSES = 5


class Walker:
    """Follows the viewer's slider for one heatmap at a time."""

    def __init__(self, viewer: Any, step: HeatmapStep) -> None:
        self._viewer = viewer
        self._step = step

    def show(self, shown: ShownHeatmap | None) -> None:
        """Show what the network says about the slice on screen; nothing without a heatmap."""
        if shown is None or shown.layer() is None:
            self._step.show_scores("")
            return
        index = self._index(shown)
        logits = shown.result.logits[index]
        where = "The whole volume" if shown.result.heatmap.unit_axis is None else f"Slice {index}"
        if not len(logits):
            self._step.show_scores(f"{where}: {_recorded(shown, index)}")
        elif not (logits == logits).all():  # NaN where it has not been computed
            self._step.show_scores(f"{where} has not been computed yet.")
        else:
            valid = shown.result.heatmap.valid[index]
            self._step.show_scores(
                where if valid else f"{where}: no evidence for this class",
                *_score_table(logits, shown.class_names, shown.result.segmentation),
            )

    def go_to_evidence(self, shown: ShownHeatmap | None, step: int) -> None:
        """Go to the next slice with evidence, or back to the previous one."""
        source = None if shown is None else shown.picture.reference()
        if shown is None or source is None:
            return
        heatmap = shown.result.heatmap
        axis = layer_axis(shown.picture.axes, heatmap.unit_axis)
        index = shown_index(self._viewer, source, axis, shown.n_units)
        found = neighbour(heatmap.valid, index, step)
        if found is None:
            side = "after" if step > 0 else "before"
            self._step.slice_title.setText(f"No slice with evidence {side} this one.")
            return
        show_index(self._viewer, source, axis, found, shown.n_units)

    def _index(self, shown: ShownHeatmap) -> int:
        axis = layer_axis(shown.picture.axes, shown.result.heatmap.unit_axis)
        source = shown.picture.reference()
        source = shown.layer() if source is None else source
        assert source is not None  # noqa: S101
        return shown_index(self._viewer, source, axis, shown.n_units)


def _recorded(shown: ShownHeatmap, index: int) -> str:
    """Return what the file of a heatmap says about a unit, whose class scores it does not keep."""
    heatmap = shown.result.heatmap
    if not heatmap.valid[index]:
        return "no evidence for this class, as its file says"
    score = float(heatmap.score[index])
    said = f", score {score:.2f}" if np.isfinite(score) else ""
    return f"class {heatmap.predicted_index[index]} was predicted{said}, as its file says"


def _score_table(
    logits: NDArray[np.float32], names: tuple[str, ...], segmentation: bool
) -> tuple[list[str], list[list[str]]]:
    """Return the highest class scores (classes,) as columns and rows of text.

    Those of a segmentation network are the share in which each class is predicted.
    """
    order = np.argsort(-logits, kind="stable")[:_MOST_CLASSES]
    named = [names[index] if index < len(names) else f"class {index}" for index in order]
    if segmentation:
        rows = [[name, f"{logits[n]:.1%}"] for name, n in zip(named, order, strict=True)]
        return ["class", "predicted area"], rows
    shares = probabilities(logits)
    named[0] += "  ◀ predicted"
    return ["class", "score", "probability"], [
        [name, f"{logits[n]:.2f}", f"{shares[n]:.1%}"] for name, n in zip(named, order, strict=True)
    ]


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the probability of each class from its scores (classes,).

    A network with one output z comes as the two scores (-z, z), whose probability is the sigmoid
    of z and not the softmax of both.
    """
    scores = logits.astype(np.float64)
    if len(scores) == 2 and logits[0] == -logits[1]:
        scores = scores / 2
    shifted = np.exp(scores - scores.max())
    result: NDArray[np.float64] = shifted / shifted.sum()
    return result
