"""What is chosen in table, matrix or curves: the viewer goes to its slice and shows its masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils import DirectLabelColormap
from psygnal import Signal

from napari_cam.reports.page.overlay import COLOURS, colour_table
from napari_cam.widgets.docks.reports.control.gatherer import COMPARISON
from napari_cam.widgets.docks.reports.work.comparing import (
    BOTH,
    ONLY_A,
    ONLY_B,
    Comparison,
    Overlay,
    overlay,
)
from napari_cam.widgets.layers.position import bare, layer_axis, put_on_slider, show_index
from napari_cam.widgets.layers.result_layer import ResultLayer, as_heatmap
from napari_cam.widgets.threads.follower import Follower

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_cam.reports.cases.map_names import MapName
    from napari_cam.widgets.docks.reports.state import ReportsState
    from napari_cam.widgets.docks.reports.work.request import ReportInput
    from napari_cam.widgets.layers.picture import Picture

# Okabe and Ito (2008): told apart by everyone, and in brightness too.
PAIR = ((ONLY_A, "the first alone", "#0072B2"), (ONLY_B, "the second alone", "#E69F00"),
        (BOTH, "both", "#009E73"))  # fmt: skip
OVERLAP = tuple((each.code, each.name, each.colour) for each in COLOURS)
_OPACITY = 0.55
_GONE = "The image of this report was removed from the viewer; the report itself stays."


def _overlap_colours() -> dict[str, Any]:
    """Return what an overlap's labels layer looks like."""
    return {"colormap": DirectLabelColormap(color_dict=dict(colour_table())), "opacity": _OPACITY}


def _pair_colours() -> dict[str, Any]:
    """Return what a pair's labels layer looks like."""
    colours: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    colours.update({code: colour for code, _, colour in PAIR})
    return {"colormap": DirectLabelColormap(color_dict=colours), "opacity": _OPACITY}


class Overlayer:
    """Shows one comparison at a time, in a layer for overlaps and one for pairs."""

    said = Signal(str, object)  # what is shown, and its colours: (code, name, colour), ...
    failed = Signal(str)

    def __init__(self, viewer: Any, state: ReportsState, parent: QWidget) -> None:
        self._viewer, self._state = viewer, state
        self.overlap = ResultLayer(viewer, "report: right and wrong", _overlap_colours)
        self.pair = ResultLayer(viewer, "report: two maps", _pair_colours)
        state.finished_changed.connect(self._hide)
        self._follower = Follower(parent, overlay, self._show, self.failed.emit)

    @property
    def busy(self) -> bool:
        """Whether masks are being worked out."""
        return self._follower.busy

    def drop(self) -> None:
        """Let nothing arrive any more: the dock is closing."""
        self._follower.drop()

    def show(self, comparison: Comparison | None) -> None:
        """Go to a slice and show what was compared there."""
        finished, picture = self._state.finished, self._state.judged
        if finished is None or picture is None or comparison is None:
            return
        if not self._there(picture):
            self.failed.emit(_GONE)
            return
        given, a = finished.given, comparison.a
        self._go(picture, given, comparison)
        of_two = comparison.b is not None or (a is not None and given.reference is not None)
        if of_two or comparison.among:
            self._follower.want((given, comparison), now=True)
        else:
            self._show_map(a)

    def _hide(self) -> None:
        """Hide what was looked at before; of another report it would be misread."""
        for result in (self.pair, self.overlap):
            if result.layer is not None:
                result.layer.visible = False

    def _show_map(self, name: MapName | None) -> None:
        """Show the heatmap itself, where there is nothing beside it."""
        self._hide()
        known = None if name is None else self._state.layers.get(name)
        layer = None if known is None else known()
        if layer is not None:
            layer.visible = True
        self.said.emit("", ())

    def _there(self, picture: Picture) -> bool:
        """Whether an image is still in the viewer."""
        layer = picture.reference()
        return layer is not None and any(bare(each) is layer for each in self._viewer.layers)

    def _go(self, picture: Picture, given: ReportInput, comparison: Comparison) -> None:
        first = comparison.among[0] if comparison.among else comparison.a
        axis = given.unit_axis_of(first)
        if comparison.unit is None or axis is None:
            return
        along = layer_axis(picture.axes, axis)
        put_on_slider(self._viewer, picture.layer, along)
        show_index(self._viewer, picture.layer, along, comparison.unit, picture.grid.shape[axis])

    def _show(self, asked: tuple[ReportInput, Comparison], found: Overlay | None) -> None:
        picture, finished = self._state.judged, self._state.finished
        if picture is None or finished is None or not self._there(picture):
            return
        if found is None or asked[0] is not finished.given:
            self.said.emit("", ())
            return
        mine, other = (self.pair, self.overlap) if found.pair else (self.overlap, self.pair)
        facts = {"report": finished.report.kind, "compared": found.text}
        layer = mine.show_mask(picture, found.labels, facts, kind=COMPARISON)
        layer.visible = True
        if other.layer is not None:
            other.layer.visible = False
        self.said.emit(found.text, PAIR if found.pair else OVERLAP)

    def add_arrays(self) -> int:
        """Add the report's maps as layers and return how many there are."""
        finished, picture = self._state.finished, self._state.judged
        if finished is None or picture is None:
            return 0
        if not self._there(picture):
            self.failed.emit(_GONE)
            return 0
        arrays = finished.report.arrays
        for name, values in arrays.items():
            layer = ResultLayer(self._viewer, name, _overlap_colours)
            if values.dtype.kind == "f":
                facts = {**finished.report.provenance, "report": finished.report.kind}
                layer.show_heatmap(picture, as_heatmap(values, picture.grid, facts))
            else:
                facts = {"report": finished.report.kind}
                layer.show_mask(picture, values, facts, kind=COMPARISON)
        return len(arrays)
