"""DICOM through File > Open, against the NIfTI answers that lie beside the series."""

from __future__ import annotations

import gzip
import json
import logging
from dataclasses import replace
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pytest
from napari.layers import Layer
from napari.utils.notifications import notification_manager

import napari_cam as nc
from napari_cam.volumes.dicom.series import SeriesInfo
from napari_cam.widgets.files import series_choice
from napari_cam.widgets.files.readers import NO_LAYERS, read_layers
from napari_cam.widgets.files.series_choice import choose_series
from napari_cam.widgets.files.writers import write_image, write_labels
from napari_cam.widgets.layers.derived_layers import heatmap_to_layer, mask_to_layer
from napari_cam.widgets.layers.image_layers import layer_to_volume
from napari_cam.widgets.layers.layer_axes import FACTS, VOLUME
from napari_cam.widgets.layers.records import layer_provenance
from tests.volumes.dicom.dicoms import write_stack

SERIES = [
    "ge/anatomical/001_single_slice", "ge/fmri/001", "generic/anatomical/001",
    "generic/anatomical/002_non_isotropic", "generic/compressed_jpegls/001", "generic/rgb/001",
    "hitachi/anatomical/001", "philips_enhanced/anatomical/001",
    "siemens_multiframe/anatomical/001",
]  # fmt: skip


def corners(affine: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The eight outermost voxels in (R, A, S), in an order that no flip of an axis changes."""
    places = nibabel.affines.apply_affine(affine, list(product(*[(0, n - 1) for n in shape[:3]])))
    return places[np.lexsort(places.round(1).T)]


@pytest.mark.data
@pytest.mark.parametrize("name", SERIES)
def test_every_series_lies_where_its_answer_does(name, shared_data):
    folder = shared_data / "dicom_geometry" / name
    answer = nibabel.load(folder.with_name(f"{folder.name}_ground_truth.nii.gz"))
    (found,) = read_layers(str(folder))
    layer = Layer.create(*found)
    volume = layer_to_volume(layer, time=0 if layer.ndim == 4 else None)
    expected = corners(answer.affine, answer.shape)
    assert np.allclose(corners(volume.affine, volume.shape), expected, atol=0.01)
    if layer.metadata[FACTS]["oblique_degrees"] == 0:
        index = list(product(*[(0, n - 1) for n in volume.shape]))
        world = np.array([layer.data_to_world(place)[-3:] for place in index])
        ras = np.stack([-world[:, 2], -world[:, 1], world[:, 0]], axis=1)
        assert np.allclose(ras[np.lexsort(ras.round(1).T)], expected, atol=0.01)


@pytest.mark.data
def test_several_volumes_of_a_series_are_time(shared_data):
    (found,) = read_layers(str(shared_data / "dicom_geometry" / "ge" / "fmri" / "001"))
    layer = Layer.create(*found)
    assert layer.data.shape == (2, 4, 64, 64)
    assert tuple(layer.axis_labels) == ("t", "S", "P", "L")
    assert isinstance(layer.metadata[VOLUME].identity.series, str)
    assert layer.metadata[VOLUME].identity.series not in str(layer.metadata[FACTS])


@pytest.mark.data
def test_the_scanners_window_is_the_contrast(shared_data):
    (found,) = read_layers(
        str(shared_data / "dicom_geometry" / "siemens_multiframe" / "anatomical" / "001")
    )
    window = found[1]["metadata"][VOLUME].windows[0]
    assert found[1]["contrast_limits"] == window.limits


@pytest.mark.data
@pytest.mark.parametrize("name", ["gantrytilting/001", "sliceincrement/001", "notavolume/001"])
def test_what_is_no_volume_is_one_sentence(name, shared_data):
    told = len(notification_manager.records)
    assert read_layers(str(shared_data / "dicom_geometry" / "failing" / name)) == NO_LAYERS
    (record,) = list(notification_manager.records)[told:]
    assert str(record.severity) == "error"
    assert ("001.dcm" if name == "notavolume/001" else "IM-0001") in record.message


def info(number: int, n_slices: int, problem: str | None = None) -> SeriesInfo:
    return SeriesInfo(
        number, f"1.2.{number}", f"t{number}_tse", "MR", "axial", n_slices, (64, 48), None,
        problem=problem,
    )  # fmt: skip


def test_one_series_needs_no_choice(qapp):
    assert choose_series([info(0, 5)]) == [0]
    assert choose_series([info(0, 5, "tilted"), info(1, 7)]) == [1]
    assert choose_series([info(0, 5, "tilted")]) == []


def answered(monkeypatch, qtbot, act) -> None:
    """Let the dialog be answered by `act(dialog, list)` instead of by a person."""
    from qtpy.QtWidgets import QDialog, QListWidget

    def shown(dialog):
        qtbot.addWidget(dialog)
        (choices,) = dialog.findChildren(QListWidget)
        return act(dialog, choices)

    monkeypatch.setattr(QDialog, "exec", shown)


def test_the_person_chooses_among_series(monkeypatch, qtbot):
    from qtpy.QtWidgets import QDialog

    def second_and_last(_dialog, choices):
        lines = [choices.item(row).text() for row in range(choices.count())]
        assert lines[0] == "0: t0_tse (MR, 5 axial slices of 64 x 48)"
        assert lines[1].endswith(": tilted")
        assert [item.text() for item in choices.selectedItems()] == [lines[0]]
        choices.clearSelection()
        choices.item(2).setSelected(True)
        choices.item(3).setSelected(True)
        return QDialog.DialogCode.Accepted

    answered(monkeypatch, qtbot, second_and_last)
    series = [info(0, 5), info(1, 9, "tilted"), info(2, 7), info(3, 3)]
    assert choose_series(series) == [2, 3]
    answered(monkeypatch, qtbot, lambda *_: QDialog.DialogCode.Rejected)
    assert choose_series(series) is None


def test_without_a_window_it_is_the_longest_series(monkeypatch):
    from qtpy.QtWidgets import QApplication

    monkeypatch.setattr(QApplication, "instance", staticmethod(lambda: None))
    monkeypatch.setattr(series_choice, "_ask", None)
    longest = replace(info(2, 4), n_volumes=3)
    assert choose_series([info(0, 5), info(1, 9), longest, info(3, 50, "tilted")]) == [2]


def test_a_cancelled_choice_opens_nothing(monkeypatch, tmp_path):
    from napari_cam.volumes.dicom import series as dicom

    monkeypatch.setattr(dicom, "dicom_series", lambda _path: [info(0, 5), info(1, 6)])
    monkeypatch.setattr(series_choice, "choose_series", lambda _series: None)
    assert read_layers(str(tmp_path)) == NO_LAYERS


def test_a_folder_without_dicom_is_one_sentence(tmp_path: Path):
    told = len(notification_manager.records)
    assert read_layers(str(tmp_path)) == NO_LAYERS
    (record,) = list(notification_manager.records)[told:]
    assert "without DICOM images" in record.message


def test_files_opened_as_a_stack_are_one_series(tmp_path: Path):
    paths = write_stack(tmp_path, n_slices=4)
    (whole,) = read_layers(str(tmp_path))
    (found,) = read_layers([str(path) for path in reversed(paths)])
    assert np.array_equal(found[0], whole[0])
    volume = found[1]["metadata"][VOLUME]
    assert volume.source.path is None  # no one path leads back to it
    # Slices lie 2.5 mm apart; two neighbours are a volume of their own.
    (part,) = read_layers([str(path) for path in paths[1:3]])
    assert part[0].shape == (2, 5, 7)
    assert part[1]["translate"][0] == pytest.approx(42.5)
    told = len(notification_manager.records)
    assert read_layers([str(path) for path in (paths[0], paths[1], paths[3])]) == NO_LAYERS
    (record,) = list(notification_manager.records)[told:]
    assert "missing between" in record.message


@pytest.mark.parametrize(
    ("mark", "opens"), [("TriggerTime", True), ("EchoTime", True), ("AcquisitionNumber", False)]
)
def test_images_of_one_place_need_more_than_a_count(tmp_path: Path, mark: str, opens: bool):
    for number in (1, 2, 3):
        write_stack(tmp_path / str(number), n_slices=1, InstanceNumber=number, **{mark: number})
    told = len(notification_manager.records)
    found = read_layers(str(tmp_path))
    if opens:
        assert found[0][0].shape == (3, 1, 5, 7)
        return
    assert found == NO_LAYERS
    (record,) = list(notification_manager.records)[told:]
    assert "3 images lie at one place (1/000.dcm, 2/000.dcm, 3/000.dcm)" in record.message


def test_layers_are_named_by_kind_and_number(tmp_path: Path):
    write_stack(tmp_path / "a", SeriesNumber=3, Modality="MR")
    write_stack(tmp_path / "b", SeriesNumber=None, Modality="JANE ROE")
    assert [read_layers(str(tmp_path / each))[0][1]["name"] for each in "ab"] == ["MR 3", "DICOM"]


SECRETS = ("roe", "jane", "4711", "rare disease")


@pytest.fixture
def jane_roe(tmp_path: Path) -> Path:
    """A folder, and files, that are named after the patient."""
    folder = tmp_path / "jane_roe"
    write_stack(
        folder, n_slices=3, shape=(24, 32), PatientName="Roe^Jane", SeriesDescription="Roe t2",
        StudyDescription="rare disease", WindowCenter=2000, WindowWidth=3000,
        WindowCenterWidthExplanation="Roe", AcquisitionNumber=4,
    )  # fmt: skip
    for path in list(folder.iterdir()):
        path.rename(folder / f"Roe_Jane_{path.name}")
    (folder / "Roe_Jane.txt").write_text("Jane Roe")
    return folder


@pytest.mark.parametrize("whole", [True, False])
def test_nobody_is_named(jane_roe: Path, tmp_path: Path, caplog, capsys, whole: bool):
    caplog.set_level(logging.DEBUG)
    told = len(notification_manager.records)
    files = sorted(str(path) for path in jane_roe.glob("*.dcm"))
    (found,) = read_layers(str(jane_roe) if whole else files)
    layer = Layer.create(*found)
    volume = layer_to_volume(layer)
    assert volume.identity.subject == "X-4711"  # there it is, and nowhere else
    heatmap = nc.explain_one(nc.load_sample_model(), volume, "gradcam", "damaged")
    heat = Layer.create(*heatmap_to_layer(heatmap, layer, f"Grad-CAM of {layer.name}"))
    cut = mask_to_layer(heatmap.values > 0.5, layer, "mask", layer_provenance(heatmap, layer))
    saved = tmp_path / "saved"
    saved.mkdir()
    write_image(str(saved / "heat.nii.gz"), heat.data, {**found[1], **dict_of(heat)})
    write_labels(str(saved / "mask.nii"), *cut[:2])
    write_image(str(saved / "image.ome.tif"), *found[:2])
    texts = [path.read_bytes().decode("latin-1") for path in saved.iterdir()]
    texts.append(gzip.decompress((saved / "heat.nii.gz").read_bytes()).decode("latin-1"))
    texts += [layer.name, heat.name, repr(volume.source), repr(heatmap.provenance), caplog.text]
    texts += [json.dumps(each.metadata[FACTS]) for each in (layer, heat)]
    texts += [str(record.message) for record in list(notification_manager.records)[told:]]
    texts += capsys.readouterr()
    assert len(texts) > 10
    for text in texts:
        assert not [secret for secret in SECRETS if secret in text.lower()]


def dict_of(layer: Layer) -> dict[str, object]:
    return {"name": layer.name, "metadata": layer.metadata}
