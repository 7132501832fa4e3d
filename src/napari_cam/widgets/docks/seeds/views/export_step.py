"""Step 5: the files that others train on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from psygnal import Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QSpinBox,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_cam.widgets.controls.parts import (
    Hint,
    allow,
    ask_where,
    button,
    column,
    combo,
    form,
    refill,
    tick,
)
from napari_cam.widgets.controls.tooltips import describe

_LABEL, _CATEGORY, _TYPE = range(3)


@dataclass(frozen=True)
class Format:
    """A kind of export: its name, endings, and whether it is a folder."""

    title: str
    kind: str
    endings: tuple[str, ...] = ()
    folder: bool = False


FORMATS = (
    Format("NIfTI", "image", (".nii.gz", ".nii")),
    Format("TIFF with voxel size", "image", (".ome.tif", ".tif", ".tiff", ".ome.tiff")),
    Format("3D Slicer segmentation", "image", (".seg.nrrd",)),
    Format("DICOM segmentation", "dicom", (".dcm",)),
    Format("nnU-Net dataset", "nnunet", folder=True),
)


class Segment(NamedTuple):
    """What a DICOM segmentation says of a class, as long as nothing else is typed."""

    code: int
    label: str
    category: str
    type: str


class ExportStep(QWidget):
    """What to export, as what, and what the file says of itself."""

    export_wanted = Signal()
    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.what = combo("export_what")
        self.format = combo("export_format", [(each.title, each) for each in FORMATS])
        self.nnunet_codes = tick("nnunet_codes", "numbered as in nnU-Net")
        self.series = _line("series_description", "napari-cam segmentation")
        self.creator = _line("creator", "")
        self.codes = QTableWidget(0, 3)
        describe(self.codes, "segment_codes")
        self.dataset_id = QSpinBox()
        describe(self.dataset_id, "dataset_id")
        self.dataset_id.setRange(1, 999)
        self.dataset_name = _line("dataset_name", "Seeds")
        self.case = _line("case_name", "case_001")
        self.channel = _line("channel_name", "image")
        self.write = button("export", "Export …", self.export_wanted.emit)
        self.bar = QProgressBar()
        self.bar.setRange(0, 0)
        self.bar.setTextVisible(False)
        self.bar.setVisible(False)
        self.bar.setFixedHeight(8)
        self.hint = Hint()
        self.done = QLabel()
        self.done.setWordWrap(True)
        self.done.setVisible(False)
        self._lay_out()
        self._on_format()
        self.format.currentIndexChanged.connect(lambda _index: self._on_format())
        self.what.currentIndexChanged.connect(lambda _index: self.changed.emit())

    def _lay_out(self) -> None:
        self.codes.setHorizontalHeaderLabels(["Segment", "Category", "Type"])
        header = self.codes.horizontalHeader()
        if header is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        layout = column(self)
        self.rows = form()
        self.rows.addRow("What", self.what)
        self.rows.addRow("As", self.format)
        self.rows.addRow("Title", self.series)
        self.rows.addRow("Made by", self.creator)
        self.rows.addRow("Dataset number", self.dataset_id)
        self.rows.addRow("Dataset name", self.dataset_name)
        self.rows.addRow("Case", self.case)
        self.rows.addRow("Channel", self.channel)
        layout.addLayout(self.rows)
        for widget in (self.nnunet_codes, self.codes, self.hint, self.write, self.bar, self.done):
            layout.addWidget(widget)

    @property
    def chosen_format(self) -> Format:
        """As what to export."""
        chosen: Format = self.format.currentData()
        return chosen

    def _on_format(self) -> None:
        kind = self.chosen_format.kind
        dicom: tuple[QWidget, ...] = (self.series, self.creator)
        nnunet: tuple[QWidget, ...] = (
            self.dataset_id,
            self.dataset_name,
            self.case,
            self.channel,
        )
        for rows, wanted in ((dicom, "dicom"), (nnunet, "nnunet")):
            for row in rows:
                self.rows.setRowVisible(row, kind == wanted)
        self.codes.setVisible(kind == "dicom")
        self.nnunet_codes.setVisible(kind == "image")
        self.changed.emit()

    def show_results(self, titles: Sequence[str], seeds: bool) -> None:
        """List what can be exported; `seeds` where the first are seeds."""
        kept = self.what.currentText()
        # Seeds come first, and where they are new they are meant.
        chosen = titles.index(kept) if kept in titles and seeds == self._seeds else 0
        self._seeds = seeds
        refill(self.what, [(title, None) for title in titles], chosen if titles else -1)

    def show_segments(self, segments: Sequence[Segment]) -> None:
        """List the segments with their codes; what was typed stays."""
        typed = self.segments
        self.codes.setRowCount(len(segments))
        for row, each in enumerate(segments):
            texts = typed.get(each.code, (each.label, each.category, each.type))
            renamed = self._names.get(each.code) not in (None, each.label)
            texts = (each.label, *texts[1:]) if renamed else texts
            for column_number, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setToolTip(text)
                self.codes.setItem(row, column_number, item)
        self._names = {each.code: each.label for each in segments}
        self.codes.setFixedHeight(28 + 30 * min(max(len(segments), 1), 4))

    _seeds = False
    _names: Mapping[int, str] = {}

    @property
    def segments(self) -> dict[int, tuple[str, str, str]]:
        """Label, category and type of each segment, as typed, by the code of its class."""

        def text(row: int, place: int) -> str:
            item = self.codes.item(row, place)
            return "" if item is None else item.text().strip()

        return {
            code: (text(row, _LABEL), text(row, _CATEGORY), text(row, _TYPE))
            for row, code in enumerate(self._names)
        }

    def show_state(self, missing: str, unsuited: str, running: bool) -> None:
        """Enable the controls, or say what is missing; show that something is being written."""
        for control in (
            self.what, self.format, self.nnunet_codes, self.series, self.creator, self.codes,
            self.dataset_id, self.dataset_name, self.case, self.channel,
        ):  # fmt: skip
            allow(control, missing)
        busy = "Another export is being written." if running else ""
        allow(self.write, missing or unsuited or busy)
        self.hint.say(missing or unsuited)
        self.bar.setVisible(running)

    def show_done(self, text: str) -> None:
        """Say what was written."""
        self.done.setText(text)
        self.done.setVisible(bool(text))

    def ask_path(self, name: str) -> tuple[Path, bool] | None:
        """Ask where to write, and whether that may replace a file; None for not at all."""
        chosen = self.chosen_format
        if chosen.folder:
            folder = QFileDialog.getExistingDirectory(self, "Folder for nnU-Net datasets")
            return (Path(folder), False) if folder else None
        ending = chosen.endings[0]
        patterns = " ".join(f"*{each}" for each in chosen.endings)
        kinds = {f"{chosen.title} ({patterns})": ending}
        return ask_where(self, "Export", f"{name}{ending}", kinds, chosen.endings)


def _line(name: str, text: str) -> QLineEdit:
    line = QLineEdit(text)
    describe(line, name)
    return line
