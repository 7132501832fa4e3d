"""What step 4 does: which heatmap is cut, and what its mask then is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psygnal import Signal

from napari_cam.widgets.dock.mask_step import MaskStep

if TYPE_CHECKING:
    from napari_cam.widgets.dock.masking import Masker
    from napari_cam.widgets.dock.state import DockState, Made

NO_HEATMAP = "Make a heatmap first, in step 3."


class MaskControl:
    """Chooses among the heatmaps there are, and has the chosen one cut."""

    chosen_changed = Signal()
    failed = Signal(str)

    def __init__(self, state: DockState, step: MaskStep, masker: Masker) -> None:
        self._state = state
        self._step = step
        self._masker = masker
        self._known: list[Made] = []
        self._chosen: Made | None = None
        step.changed.connect(self._on_changed)
        step.make_wanted.connect(self.make)
        step.keep_wanted.connect(self.keep)
        masker.sized.connect(step.show_covers)
        masker.failed.connect(self.failed.emit)

    @property
    def chosen(self) -> Made | None:
        """The heatmap chosen in step 4."""
        return self._chosen

    def list_made(self) -> None:
        """List the heatmaps there are now; a new one is chosen at once."""
        made, chosen = self._state.made, self._chosen
        new = [each for each in made if not any(each is old for old in self._known)]
        if new:
            chosen = new[0]
        elif not any(each is chosen for each in made):
            chosen = made[-1] if made else None
        self._known, self._chosen = list(made), chosen
        place = next((n for n, each in enumerate(made) if each is chosen), -1)
        self._step.show_heatmaps([each.title for each in made], place)
        self._allow()
        self.chosen_changed.emit()

    def _allow(self) -> None:
        made = self._chosen
        live = made is not None and self._state.live_mask(made) is not None
        self._step.show_state("" if made is not None else NO_HEATMAP, live)
        if not live and not self._state.masks:
            self._step.show_covers("")

    def _on_changed(self) -> None:
        index = self._step.heatmap.currentIndex()
        if 0 <= index < len(self._state.made):
            self._chosen = self._state.made[index]
        self._allow()
        self.chosen_changed.emit()
        made = self._chosen
        if made is not None:
            self.failed.emit("")
            self._masker.follow(made, self._step.request)

    def make(self) -> None:
        """Add a mask of the chosen heatmap."""
        made = self._chosen
        if made is not None:
            self.failed.emit("")
            self._masker.make(made, self._step.request)

    def keep(self) -> None:
        """Leave the mask as it is, for editing."""
        if self._chosen is not None:
            self._masker.keep(self._chosen)
