"""The brush of step 4: which class it paints, and how large it is in mm.

napari's brush is round in the layer's scale: a size of b covers floor(b/2) + 1/2 voxels of the
finest axis that is painted on, and proportionally fewer of the others (in napari 0.9.2 a size of 9
painted 9 x 7 voxels of 0.5 x 0.75 mm). A layer whose voxel size stands in an affine alone has a
scale of 1, and there the brush is round in voxels.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cam.widgets.layers.position import bare

if TYPE_CHECKING:
    from napari_cam.widgets.docks.seeds.control.seeds_layer import SeedsLayer
    from napari_cam.widgets.docks.seeds.state import SeedsState
    from napari_cam.widgets.docks.seeds.views.review_step import ReviewStep
    from napari_cam.widgets.layers.picture import Picture


class Painter:
    """Keeps the active class and the brush of the seeds layer in step with the controls."""

    def __init__(self, viewer: Any, state: SeedsState, step: ReviewStep) -> None:
        self._viewer, self._state, self._step = viewer, state, step
        self._followed: weakref.ReferenceType[Any] | None = None
        step.paint_wanted.connect(self.paint)
        step.class_wanted.connect(self.next_class)
        step.radius_wanted.connect(self.set_radius)
        state.seeds_changed.connect(self._on_seeds)
        state.classes_changed.connect(self._on_class)

    def drop(self) -> None:
        """Follow the layer no longer."""
        self._follow(None)

    # What is followed.

    def _on_seeds(self) -> None:
        self._follow(self._layer)
        self._on_class()

    def _follow(self, layer: Any) -> None:
        old = None if self._followed is None else self._followed()
        if old is layer:
            return
        if old is not None:
            for event in _brush_events(old):
                event.disconnect(self.show)
            old.events.selected_label.disconnect(self._on_label)
        self._followed = None if layer is None else weakref.ref(layer)
        if layer is not None:
            for event in _brush_events(layer):
                event.connect(self.show)
            layer.events.selected_label.connect(self._on_label)

    def _on_label(self, _event: Any = None) -> None:
        """Take the label that was chosen in napari's own controls as the active class."""
        layer = None if self._followed is None else self._followed()
        if layer is not None:
            self._state.choose_class(int(layer.selected_label))

    def _on_class(self) -> None:
        code, layer = self._state.class_code, self._layer
        each = next((each for each in self._state.classes if each.code == code), None)
        if each is not None:
            self._step.show_class(f"{each.name} (label {each.code})", each.colour)
        if layer is not None and int(layer.selected_label) != code:
            layer.selected_label = code
        self.show()

    @property
    def _layer(self) -> Any:
        seeds = self._state.seeds
        return None if seeds is None else seeds.layer

    # What is shown and done.

    def show(self, _event: Any = None) -> None:
        """Say how large the brush is in the image's own units."""
        seeds, layer, picture = self._state.seeds, self._layer, self._state.picture
        if seeds is None or layer is None or picture is None:
            return
        scale, spacing = self._painted_axes(layer, seeds, picture)
        radii = brush_radii(layer.brush_size, scale, spacing)
        unit = "mm" if picture.grid.units == "mm" else "px"
        across = " × ".join(
            f"{2 * radius / size:.0f}" for radius, size in zip(radii, spacing, strict=True)
        )
        shape = "a disc" if len(radii) == 2 else "a ball"
        if max(radii) > 1.01 * min(radii):
            shape = f"stretched to {max(radii):.3g} {unit}: the layer hides its voxel size from it"
        self._step.show_brush(
            min(radii), unit, f"{shape[0].upper()}{shape[1:]}, about {across} voxels across."
        )

    def set_radius(self, radius: float) -> None:
        """Make the brush as large as asked, to the nearest voxel."""
        seeds, layer, picture = self._state.seeds, self._layer, self._state.picture
        if seeds is not None and layer is not None and picture is not None:
            layer.brush_size = brush_size(radius, *self._painted_axes(layer, seeds, picture))
            self.show()

    def _painted_axes(
        self, layer: Any, seeds: SeedsLayer, picture: Picture
    ) -> tuple[list[float], list[float]]:
        """Return the layer's scale and the image's spacing along the axes that it paints."""
        spatial = seeds.axes.spatial
        sizes = dict(zip(spatial, picture.grid.spacing[3 - len(spatial) :], strict=True))
        axes = sorted(sizes)
        if layer.n_edit_dimensions < layer.ndim:
            first = self._viewer.dims.ndim - layer.ndim
            displayed = [axis - first for axis in self._viewer.dims.displayed]
            axes = [axis for axis in axes if axis in displayed]
        return [float(layer.scale[axis]) for axis in axes], [sizes[axis] for axis in axes]

    def paint(self) -> None:
        """Hand over the brush, with the active class."""
        layer = self._layer
        if layer is not None and any(bare(each) is layer for each in self._viewer.layers):
            self._viewer.layers.selection.active = layer
            layer.selected_label = self._state.class_code
            layer.mode = "paint"

    def next_class(self, step: int) -> None:
        """Make the next class the active one, or the previous; after the last comes the first."""
        codes = self._state.classes.codes
        if not codes:
            return
        here = codes.index(self._state.class_code) if self._state.class_code in codes else 0
        self._state.choose_class(codes[(here + step) % len(codes)])


def _brush_events(layer: Any) -> list[Any]:
    return [layer.events.brush_size, layer.events.n_edit_dimensions, layer.events.scale]


def brush_radii(size: float, scale: Sequence[float], spacing: Sequence[float]) -> tuple[float, ...]:
    """Return how far a brush reaches along each axis that it paints.

    Parameters
    ----------
    size
        napari's brush size.
    scale
        Of the layer along the axes that are painted.
    spacing
        Size of a voxel along the same axes, in the unit of the result.
    """
    radius = np.floor(size / 2) + 0.5
    steps = np.abs(np.asarray(scale, dtype=float))
    voxels = radius * steps.min() / steps
    return tuple((voxels * np.asarray(spacing, dtype=float)).tolist())


def brush_size(radius: float, scale: Sequence[float], spacing: Sequence[float]) -> int:
    """Return the brush size whose smallest reach comes closest to `radius`; 1 at least."""
    unit = min(brush_radii(1, scale, spacing)) * 2  # how much a voxel more adds
    return 2 * max(0, round(radius / unit - 0.5)) + 1
