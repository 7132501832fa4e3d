"""Looks at what is chosen in table, matrix or curves: goes to the slice and shows the masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.utils import DirectLabelColormap
from psygnal import Signal

from napari_cam.reports.page.overlay import COLOURS, colour_table
from napari_cam.widgets.docks.reports.control.gathering import COMPARISON
from napari_cam.widgets.docks.reports.work.look import BOTH, ONLY_A, ONLY_B, Look, Seen, seen
from napari_cam.widgets.layers.position import bare, layer_axis, put_on_slider, show_index
from napari_cam.widgets.layers.result_layer import ResultLayer, as_heatmap
from napari_cam.widgets.threads.follower import Follower

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_cam.widgets.docks.reports.state import ReportsState
    from napari_cam.widgets.docks.reports.work.request import Compared
    from napari_cam.widgets.layers.picture import Picture

# Okabe and Ito (2008): told apart by everyone, and in brightness too.
PAIR = ((ONLY_A, "the first alone", "#0072B2"), (ONLY_B, "the second alone", "#E69F00"),
        (BOTH, "both", "#009E73"))  # fmt: skip
OVERLAP = tuple((each.code, each.name, each.colour) for each in COLOURS)
_OPACITY = 0.55
_GONE = "The image of this report was removed from the viewer; the report itself stays."


def overlap_look() -> dict[str, Any]:
    """Return what an overlap's labels layer looks like."""
    return {"colormap": DirectLabelColormap(color_dict=dict(colour_table())), "opacity": _OPACITY}


def pair_look() -> dict[str, Any]:
    """Return what a pair's labels layer looks like."""
    colours: dict[int | None, str] = {None: "transparent", 0: "transparent"}
    colours.update({code: colour for code, _, colour in PAIR})
    return {"colormap": DirectLabelColormap(color_dict=colours), "opacity": _OPACITY}


class Shower:
    """Shows one comparison at a time, in a layer for overlaps and one for pairs."""

    said = Signal(str, object)  # what is shown, and its colours: (code, name, colour), ...
    failed = Signal(str)

    def __init__(self, viewer: Any, state: ReportsState, parent: QWidget) -> None:
        self._viewer, self._state = viewer, state
        self.overlap = ResultLayer(viewer, "report: right and wrong", overlap_look)
        self.pair = ResultLayer(viewer, "report: two maps", pair_look)
        state.finished_changed.connect(self._hide)
        self._looking = Follower(parent, seen, self._show, self.failed.emit)

    @property
    def busy(self) -> bool:
        """Whether masks are being worked out."""
        return self._looking.busy

    def drop(self) -> None:
        """Let nothing arrive any more: the dock is closing."""
        self._looking.drop()

    def look(self, look: Look | None) -> None:
        """Go to a slice and show what was compared there."""
        finished, picture = self._state.finished, self._state.judged
        if finished is None or picture is None or look is None:
            return
        if not self._there(picture):
            self.failed.emit(_GONE)
            return
        compared = finished.compared
        self._go(picture, compared, look)
        if look.b is not None or look.among or (look.a and compared.reference is not None):
            self._looking.want((compared, look), now=True)
        else:
            self._show_map(look)

    def _hide(self) -> None:
        """Hide what was looked at before; of another report it would be misread."""
        for result in (self.pair, self.overlap):
            if result.layer is not None:
                result.layer.visible = False

    def _show_map(self, look: Look) -> None:
        """Show the heatmap itself, where there is nothing beside it."""
        self._hide()
        known = None if look.a is None else self._state.layers.get(look.a)
        layer = None if known is None else known()
        if layer is not None:
            layer.visible = True
        self.said.emit("", ())

    def _there(self, picture: Picture) -> bool:
        """Whether an image is still in the viewer."""
        layer = picture.reference()
        return layer is not None and any(bare(each) is layer for each in self._viewer.layers)

    def _go(self, picture: Picture, compared: Compared, look: Look) -> None:
        first = look.among[0] if look.among else look.a
        axis = compared.unit_axis_of(first)
        if look.unit is None or axis is None:
            return
        along = layer_axis(picture.axes, axis)
        put_on_slider(self._viewer, picture.layer, along)
        show_index(self._viewer, picture.layer, along, look.unit, picture.grid.shape[axis])

    def _show(self, asked: tuple[Compared, Look], found: Seen | None) -> None:
        picture, finished = self._state.judged, self._state.finished
        if picture is None or finished is None or not self._there(picture):
            return
        if found is None or asked[0] is not finished.compared:
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
            layer = ResultLayer(self._viewer, name, overlap_look)
            if values.dtype.kind == "f":
                facts = {**finished.report.provenance, "report": finished.report.kind}
                layer.show_heatmap(picture, as_heatmap(values, picture.grid, facts))
            else:
                facts = {"report": finished.report.kind}
                layer.show_mask(picture, values, facts, kind=COMPARISON)
        return len(arrays)
