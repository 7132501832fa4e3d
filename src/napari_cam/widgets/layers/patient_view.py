"""Anatomical letters at the canvas edges, and the camera that shows a patient the right way round.

napari draws neither. Letters follow the displayed plane and every flip and turn of the camera. The
camera itself is set where the plane changes: head up in coronal and sagittal slices, and in 3D
without the mirroring that napari's default would give to a world (S, P, L).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, ref

from napari_cam.widgets.layers.orientation_letters import (
    Edge,
    Orientation,
    letters_2d,
    letters_3d,
    upright,
)
from napari_cam.widgets.layers.placement import WORLD_AXES

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

PLANES: dict[str, tuple[int, int, int]] = {
    "axial": (0, 1, 2),
    "coronal": (1, 0, 2),
    "sagittal": (2, 0, 1),
}
"""The order of the world's axes (S, P, L) that shows each plane: the axis across it, rows, columns.
"""

_POSITIONS: dict[Edge, str] = {
    "left": "middle_left",
    "right": "middle_right",
    "top": "top_center",
    "bottom": "bottom_center",
}


class PatientView:
    """The letters of one viewer, and its camera while it shows a patient.

    Parameters
    ----------
    viewer
        The viewer; it is not kept alive.
    """

    def __init__(self, viewer: Viewer) -> None:
        from napari.components.overlays import TextOverlay

        self._viewer = ref(viewer)
        self._before: Orientation | None = None
        self._letters = {
            edge: TextOverlay(position=position, font_size=16, box=True, visible=False)
            for edge, position in _POSITIONS.items()
        }
        self._shown = True
        for edge, overlay in self._letters.items():
            viewer.canvas.overlays[f"patient_{edge}"] = overlay
        self._connected: list[tuple[Any, Callable[[Any], None]]] = []
        self._connect(viewer)
        self._turn()
        self._update()

    @property
    def letters(self) -> dict[Edge, str]:
        """What stands at each edge now; empty strings where nothing does."""
        shown = {edge: overlay for edge, overlay in self._letters.items() if overlay.visible}
        return {edge: shown[edge].text if edge in shown else "" for edge in self._letters}

    @property
    def visible(self) -> bool:
        """Whether letters are drawn where there is a patient."""
        return self._shown

    @visible.setter
    def visible(self, visible: bool) -> None:
        self._shown = visible
        self._update()

    def close(self) -> None:
        """Remove the letters and give the camera back as it was."""
        for emitter, callback in self._connected:
            emitter.disconnect(callback)
        self._connected.clear()
        viewer = self._viewer()
        if viewer is None:
            return
        for edge in self._letters:
            viewer.canvas.overlays.pop(f"patient_{edge}", None)
        if self._before is not None:
            viewer.scene.camera.orientation = self._before
        _OPEN.pop(viewer, None)

    def _connect(self, viewer: Viewer) -> None:
        # napari holds methods weakly and functions strongly: these live as long as the viewer.
        def turned(_event: Any) -> None:
            self._turn()
            self._update()

        def moved(_event: Any) -> None:
            self._update()

        def inserted(event: Any) -> None:
            self._show_acquired(event.value)
            turned(event)

        dims, camera, layers = viewer.dims.events, viewer.scene.camera.events, viewer.layers.events
        self._connected.append((layers.inserted, inserted))
        for emitter in (dims.order, dims.ndisplay, dims.ndim, layers.removed):
            self._connected.append((emitter, turned))
        for emitter in (camera.orientation, camera.angles):
            self._connected.append((emitter, moved))
        for emitter, callback in self._connected:
            emitter.connect(callback, position="last")  # after napari's own

    def _show_acquired(self, layer: Layer) -> None:
        """Show the first image's own slices: across them it may be a single line of pixels."""
        viewer = self._viewer()
        facts = layer.metadata.get("napari_cam")
        stack_axis = facts.get("stack_axis") if isinstance(facts, Mapping) else None
        if viewer is None or len(viewer.layers) > 1 or stack_axis not in (1, 2):
            return
        if self._axes():
            show_plane(viewer, ("axial", "coronal", "sagittal")[stack_axis])
            viewer.reset_view()

    def _axes(self) -> dict[int, str]:
        """Return the anatomical direction of each of the viewer's axes, of a patient alone."""
        viewer = self._viewer()
        if viewer is None:
            return {}
        if not any(tuple(layer.axis_labels)[-3:] == WORLD_AXES for layer in viewer.layers):
            return {}
        return dict(zip(range(viewer.dims.ndim - 3, viewer.dims.ndim), WORLD_AXES, strict=True))

    def _turn(self) -> None:
        """Turn the camera so that the plane in view shows the patient upright."""
        viewer, axes = self._viewer(), self._axes()
        if viewer is None:
            return
        camera = viewer.scene.camera
        order = [int(axis) for axis in viewer.dims.order[-3:]]
        if {*order} <= {*axes}:
            if self._before is None:
                depth, vertical, horizontal = (str(each) for each in camera.orientation)
                self._before = (depth, vertical, horizontal)
            camera.orientation = upright([axes[axis] for axis in order])
        elif not axes and self._before is not None:
            camera.orientation = self._before
            self._before = None

    def _update(self) -> None:
        viewer, axes = self._viewer(), self._axes()
        if viewer is None:
            return
        letters: dict[Edge, str] = {}
        if axes and self._shown:
            camera = viewer.scene.camera
            depth, vertical, horizontal = (str(each) for each in camera.orientation)
            orientation = (depth, vertical, horizontal)
            displayed = [axes.get(int(axis), "") for axis in viewer.dims.displayed]
            if len(displayed) == 2:
                letters = letters_2d(displayed, orientation)
            else:
                view, up = camera.view_direction, camera.up_direction
                letters = letters_3d(displayed, orientation, view, up)
        for edge, overlay in self._letters.items():
            overlay.text = letters.get(edge, "")
            overlay.visible = bool(overlay.text)


_OPEN: WeakKeyDictionary[Any, PatientView] = WeakKeyDictionary()


def patient_view(viewer: Viewer) -> PatientView:
    """Return the letters of a viewer, made on the first call."""
    viewer = getattr(viewer, "__wrapped__", viewer)  # napari hands plugins a proxy
    if viewer not in _OPEN:
        _OPEN[viewer] = PatientView(viewer)
    return _OPEN[viewer]


def letter_current_viewer() -> None:
    """Put letters into the viewer that a file is being opened in; nothing where there is none."""
    if "napari.viewer" not in sys.modules:
        return
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is not None:
        patient_view(viewer)


def toggle_letters(viewer: Viewer) -> None:
    """Show or hide the letters of a viewer."""
    known = getattr(viewer, "__wrapped__", viewer) in _OPEN
    view = patient_view(viewer)
    view.visible = not view.visible if known else True


def show_plane(viewer: Viewer, plane: str) -> None:
    """Show axial, coronal or sagittal slices of a patient.

    Parameters
    ----------
    viewer
        A viewer with at least three axes, the last three those of the patient.
    plane
        One of `PLANES`.
    """
    n = viewer.dims.ndim
    viewer.dims.ndisplay = 2
    viewer.dims.order = (*range(n - 3), *(n - 3 + axis for axis in PLANES[plane]))
