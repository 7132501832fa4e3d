"""What step 3 says about the slice on screen, and the way to the next one with evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cam.widgets.layers.position import layer_axis, neighbour, show_index, shown_index

if TYPE_CHECKING:
    from napari_cam.widgets.docks.cam.state import Made
    from napari_cam.widgets.docks.cam.views.heatmap_step import HeatmapStep


class SliceView:
    """Follows the viewer's slider for one heatmap at a time."""

    def __init__(self, viewer: Any, step: HeatmapStep) -> None:
        self._viewer = viewer
        self._step = step

    def show(self, made: Made | None) -> None:
        """Show what the network says about the slice on screen; nothing without a heatmap."""
        if made is None or made.layer() is None:
            self._step.show_scores(None, (), "")
            return
        index = self._index(made)
        logits = made.result.logits[index]
        where = "The whole volume" if made.result.heatmap.unit_axis is None else f"Slice {index}"
        if not len(logits):
            self._step.show_scores(None, (), f"{where}: {_recorded(made, index)}")
            return
        known = bool((logits == logits).all())  # NaN where it has not been computed
        title = where if known else f"{where} has not been computed yet."
        if known and not made.result.heatmap.valid[index]:
            title += ": no evidence for this class"
        self._step.show_scores(
            logits if known else None, made.class_names, title, made.result.segmentation
        )

    def go_to_evidence(self, made: Made | None, step: int) -> None:
        """Go to the next slice with evidence, or back to the previous one."""
        source = None if made is None else made.picked.layers[0]()
        if made is None or source is None:
            return
        heatmap = made.result.heatmap
        axis = layer_axis(made.picked.axes, heatmap.unit_axis)
        index = shown_index(self._viewer, source, axis, made.n_units)
        found = neighbour(heatmap.valid, index, step)
        if found is None:
            side = "after" if step > 0 else "before"
            self._step.slice_title.setText(f"No slice with evidence {side} this one.")
            return
        show_index(self._viewer, source, axis, found, made.n_units)

    def _index(self, made: Made) -> int:
        axis = layer_axis(made.picked.axes, made.result.heatmap.unit_axis)
        source = made.picked.layers[0]()
        source = made.layer() if source is None else source
        assert source is not None  # noqa: S101
        return shown_index(self._viewer, source, axis, made.n_units)


def _recorded(made: Made, index: int) -> str:
    """Return what the file of a heatmap says about a unit, whose class scores it does not keep."""
    heatmap = made.result.heatmap
    if not heatmap.valid[index]:
        return "no evidence for this class, as its file says"
    score = float(heatmap.score[index])
    said = f", score {score:.2f}" if np.isfinite(score) else ""
    return f"class {heatmap.predicted_index[index]} was predicted{said}, as its file says"
