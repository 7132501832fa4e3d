"""Segmentations of Slicer and DICOM, opened in napari, lie on the scan that they are of."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from napari.layers import Image, Labels, Layer

import napari_cam as nc
from napari_cam.widgets.files.readers import get_reader
from napari_cam.widgets.layers.image_layers import volume_to_layer
from napari_cam.widgets.layers.layer_axes import FACTS
from tests.labels.files.grids import CLASSES
from tests.labels.files.test_dicom_seg import OBLIQUE, heatmap_of, seeds_of, stack


def opened(path: Path) -> list[Layer]:
    reader = get_reader(str(path))
    assert reader is not None
    return [Layer.create(*layer) for layer in reader(str(path))]


def test_labels_lie_on_the_scan_in_their_colours(tmp_path: Path) -> None:
    volume = stack(tmp_path / "scan", orientation=OBLIQUE)
    seeds = seeds_of(volume)
    scan = Layer.create(*volume_to_layer(volume, "scan"))
    files = [
        nc.export_dicom_seg(tmp_path / "doe_jane.dcm", seeds, volume),
        nc.export_labels(tmp_path / "slicer.seg.nrrd", seeds, volume),
    ]
    for path, name in zip(files, ("SEG", "slicer"), strict=True):
        (layer,) = opened(path)
        assert isinstance(layer, Labels)
        assert layer.name == name
        np.testing.assert_array_equal(layer.data, seeds.labels)
        corner = np.array(volume.shape) - 1
        for index in ((0, 0, 0), tuple(corner)):
            np.testing.assert_allclose(
                layer.data_to_world(index), scan.data_to_world(index), atol=1e-4
            )
        facts = layer.metadata[FACTS]
        assert facts["kind"] == "seeds"
        assert [each["name"] for each in facts["classes"]] == list(CLASSES.names)
        np.testing.assert_allclose(layer.get_color(2)[:3], [0xE6 / 255, 0x9F / 255, 0], atol=1e-6)
        assert layer.get_color(0) is None  # clear


def test_fractions_open_as_an_image(tmp_path: Path) -> None:
    volume = stack(tmp_path / "scan")
    values = np.linspace(0, 1, volume.values.size, dtype=np.float32).reshape(volume.shape)
    path = nc.export_dicom_seg(tmp_path / "seg.dcm", heatmap_of(volume, values), volume)
    (layer,) = opened(path)
    assert isinstance(layer, Image)
    assert layer.name == "damaged, gradcam"
    np.testing.assert_allclose(layer.data, values, atol=0.002)
