"""What step 5 does: seeds and heatmaps become files, in the background."""

from __future__ import annotations

import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image

from napari_cam.errors import MaskError, NapariCamError
from napari_cam.heatmap import Heatmap
from napari_cam.labels.classes import HIGHEST
from napari_cam.labels.files.dicom.form import ABNORMAL, BACKGROUND, CONCEPT, LESION
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.widgets.docks.saver import Saver
from napari_cam.widgets.docks.seeds.state import NO_SEEDS
from napari_cam.widgets.docks.seeds.views.export_step import Segment
from napari_cam.widgets.docks.seeds.work.exporting import Form, export_job, file_name
from napari_cam.widgets.layers.derived_layers import layer_to_heatmap
from napari_cam.widgets.layers.layer_axes import facts_of
from napari_cam.widgets.layers.picture import heatmaps_on
from napari_cam.widgets.layers.records import recorded

if TYPE_CHECKING:
    from napari_cam.grid import Grid
    from napari_cam.widgets.docks.seeds.control.seeds_layer import SeedsLayer
    from napari_cam.widgets.docks.seeds.state import SeedsState
    from napari_cam.widgets.docks.seeds.views.export_step import ExportStep

_HEATMAP = "A heatmap becomes a DICOM segmentation only; choose that, or export the seeds."
_NO_SERIES = (
    "A DICOM segmentation refers to the images it is of, and this image was not read from a "
    "DICOM series; open the series with File > Open Folder."
)


class Exporter(Saver):
    """Writes what is chosen in step 5."""

    def __init__(self, viewer: Any, state: SeedsState, step: ExportStep) -> None:
        super().__init__(step.show_done)
        self._viewer, self._state, self._step = viewer, state, step
        self._items: list[weakref.ReferenceType[Any]] = []
        self.changed.connect(self.show)
        step.export_wanted.connect(self.export)
        step.changed.connect(self.show)
        state.seeds_changed.connect(self.follow_layers)
        state.classes_changed.connect(self._on_classes)

    def follow_layers(self) -> None:
        """List what can be exported: the seeds, then the heatmaps of the image."""
        picture, seeds = self._state.picture, self._state.seeds
        layer = None if seeds is None else seeds.layer
        items = [] if layer is None else [layer]
        if picture is not None:
            items += heatmaps_on(picture, self._viewer.layers)
        self._items = [weakref.ref(item) for item in items]
        self._step.show_results([str(item.name) for item in items], layer is not None)
        self._on_classes()

    def _on_classes(self) -> None:
        classes = self._state.classes
        background = classes.background
        segments = []
        for each in classes:
            usual = (CONCEPT, BACKGROUND) if each.code == background else (ABNORMAL, LESION)
            segments.append(Segment(each.code, each.name, str(usual[0]), str(usual[1])))
        self._step.show_segments(segments)
        self.show()

    @property
    def _chosen(self) -> Any:
        place = self._step.what.currentIndex()
        return self._items[place]() if 0 <= place < len(self._items) else None

    def show(self) -> None:
        """Enable the step, or say what is missing."""
        missing = self._state.missing or ("" if self._items else NO_SEEDS)
        self._step.show_state(missing, "" if missing else self._unsuited, self.running)

    @property
    def _unsuited(self) -> str:
        """Why the chosen format does not suit what is chosen, "" where it does."""
        kind, picture = self._step.chosen_format.kind, self._state.picture
        if kind != "dicom" and isinstance(self._chosen, Image):
            return _HEATMAP
        if kind != "dicom" or picture is None or picture.reference() is None:
            return ""
        volume = picture.layer.metadata.get("napari_cam_volume")
        source = getattr(volume, "source", None)
        return "" if getattr(source, "format", None) == "dicom" else _NO_SERIES

    @property
    def form(self) -> Form:
        """What is typed."""
        step, names = self._step, {each.code: each.name for each in self._state.classes}
        return Form(
            title=step.series.text().strip(),
            creator=step.creator.text().strip(),
            segments={names[code]: texts for code, texts in step.segments.items() if code in names},
            dataset_id=step.dataset_id.value(),
            dataset_name=step.dataset_name.text().strip(),
            case=step.case.text().strip(),
            channel=step.channel.text().strip(),
            nnunet_codes=step.nnunet_codes.isChecked(),
        )

    def export(self) -> None:
        """Ask where, and write what is chosen there."""
        layer, picture, seeds = self._chosen, self._state.picture, self._state.seeds
        if layer is None or picture is None or self.running:
            return
        name = file_name(
            str(self._step.chosen_format.title if isinstance(layer, Image) else "seeds")
        )
        asked = self._step.ask_path(name)
        if asked is None:
            return
        path, overwrite = asked
        self.failed.emit("")
        try:
            item: Heatmap | Seeds
            if isinstance(layer, Image):
                item = layer_to_heatmap(layer)
            elif seeds is not None:
                item = _copy_of(seeds, picture.grid)
            else:
                return
            volume = picture.volume(self._viewer)
            kind = self._step.chosen_format.kind
            job = export_job(kind, item, volume, path, self.form, overwrite)
        except NapariCamError as error:
            self.failed.emit(str(error))
            return
        self._write(job, "")

    def _written(self, path: Path) -> str:
        return f"Written: {path.name}"


def _copy_of(seeds: SeedsLayer, grid: Grid) -> Seeds:
    """Return a copy of a seeds layer, as painting goes on, with the record that reopening needs.

    Raises
    ------
    MaskError
        Where it holds a label without a class.
    """
    labels = seeds.labels
    if int(labels.max()) > HIGHEST:
        raise MaskError(f"The seeds hold label {int(labels.max())}, but {HIGHEST} is the highest.")
    seeds.update()
    seeds.write_record()
    layer = seeds.layer
    facts = {} if layer is None else recorded(facts_of(layer))
    return Seeds(labels.astype(np.uint8), seeds.classes, grid, facts)
