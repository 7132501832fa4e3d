"""What the list of classes in step 3 does: names, colours, files, the heatmaps of each class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from psygnal import Signal

from napari_cam.errors import NapariCamError
from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.widgets.docks.seeds.control.layer_classes import free_class
from napari_cam.widgets.docks.seeds.views.class_table import ClassRow
from napari_cam.widgets.layers.layer_axes import facts_of

if TYPE_CHECKING:
    from napari_cam.widgets.docks.seeds.state import SeedsState
    from napari_cam.widgets.docks.seeds.views.seeds_step import SeedsStep

_BACKGROUND = "Background is what lies below the low cut, so that it needs no heatmaps."
_LAST = "One class has to stay."


class ClassEditor:
    """Keeps the table, the state and the seeds layer in step."""

    failed = Signal(str)
    changed = Signal()

    def __init__(self, state: SeedsState, step: SeedsStep) -> None:
        self._state, self._step = state, step
        self._listed: list[Any] = []
        table = step.classes
        table.picked.connect(state.choose_class)
        table.renamed.connect(lambda code, name: self._edit(code, name=name))
        table.recoloured.connect(lambda code, colour: self._edit(code, colour=colour))
        step.add_wanted.connect(self.add)
        step.remove_wanted.connect(self.remove)
        step.import_wanted.connect(self.read)
        step.export_wanted.connect(self.write)
        step.heatmaps_ticked.connect(self._on_ticked)
        state.classes_changed.connect(self.show)

    def follow_heatmaps(self, layers: Sequence[Any]) -> None:
        """List the heatmaps there are; new ones go to the class that their target names."""
        new = [layer for layer in layers if not any(layer is each for each in self._listed)]
        self._listed = list(layers)
        self._state.keep_heatmaps(self._listed)
        if new and self._state.seeds is None:
            self._plan(layers)
        for layer in new:
            self._give(layer)
        self.show()

    def _plan(self, layers: Sequence[Any]) -> None:
        """Let a new seeds layer have the classes that the heatmaps explain."""
        names = list(dict.fromkeys(filter(None, map(target_of, layers))))
        planned = self._state.classes
        untouched = planned == LabelClasses.of_seeds(("foreground",))
        if names and untouched and "background" not in names:
            self._state.plan(LabelClasses.of_seeds(tuple(names)))

    def _give(self, layer: Any) -> None:
        """Tick a new heatmap for the class that it explains, or for the only one there is."""
        classes, target = self._state.classes, target_of(layer)
        background = classes.background
        codes = [each.code for each in classes if each.name == target]
        others = [each.code for each in classes if each.code != background]
        if not codes and len(others) == 1 and not self._state.heatmaps_of(others[0]):
            codes = others
        for code in codes:
            self._state.set_heatmaps(code, [*self._state.heatmaps_of(code), layer])

    def show(self) -> None:
        """Bring table and list up to date."""
        state = self._state
        classes, code = state.classes, state.class_code
        background = classes.background
        rows = []
        for each in classes:
            heatmaps = str(len(state.heatmaps_of(each.code)))
            count = "low cut" if each.code == background else heatmaps
            rows.append(ClassRow(each.code, each.name, each.colour, count))
        self._step.classes.show_classes(rows, code)
        name = next((each.name for each in classes if each.code == code), "")
        if code == background:
            self._step.heatmaps_title.setText(_BACKGROUND)
            self._step.heatmaps.show_layers([], [])
        else:
            self._step.heatmaps_title.setText(f"Heatmaps of '{name}':")
            self._step.heatmaps.show_layers(self._listed, state.heatmaps_of(code))
        self.changed.emit()

    @property
    def removable(self) -> str:
        """Why the chosen class cannot go, "" where it can."""
        return _LAST if len(self._state.classes) < 2 else ""

    def add(self) -> None:
        """Add a class with the next free label and colour."""
        classes = self._state.classes
        if len(classes) >= 254:
            self.failed.emit("A labels layer holds at most 254 classes; remove one first.")
            return
        new = free_class(classes)
        self._set((*classes.classes, new))
        self._state.choose_class(new.code)

    def remove(self) -> None:
        """Take the chosen class off the list, where none of its voxels is left."""
        code = self._state.class_code
        self._set(tuple(each for each in self._state.classes if each.code != code))

    def read(self) -> None:
        """Take the classes of a table."""
        path = self._step.ask_table()
        if path is None:
            return
        try:
            table = LabelClasses.read_csv(path)
        except NapariCamError as error:
            self.failed.emit(str(error))
            return
        self._set(table.classes)

    def write(self) -> None:
        """Write the classes as a table."""
        asked = self._step.ask_new_table()
        if asked is None:
            return
        try:
            self._state.classes.write_csv(asked[0], overwrite=asked[1])
        except NapariCamError as error:
            self.failed.emit(str(error))
            return
        self._step.say(f"Written: {asked[0].name}")

    def _edit(self, code: int, **changed: str) -> None:
        try:
            edited = tuple(
                replace(each, **changed) if each.code == code else each  # type: ignore[arg-type]
                for each in self._state.classes
            )
        except NapariCamError as error:
            self.failed.emit(str(error))
            self.show()
            return
        self._set(edited)

    def _set(self, classes: tuple[LabelClass, ...]) -> None:
        try:
            self._state.set_classes(LabelClasses(classes))
        except NapariCamError as error:
            self.failed.emit(str(error))
            self.show()

    def _on_ticked(self) -> None:
        self._state.set_heatmaps(self._state.class_code, self._step.heatmaps.chosen)
        self.show()


def target_of(layer: Any) -> str:
    """Return the class that a heatmap's layer explains, "" where it is none of a name."""
    target = facts_of(layer).get("target")
    name = str(target).strip() if isinstance(target, str) else ""
    return "" if name == "predicted" else name
