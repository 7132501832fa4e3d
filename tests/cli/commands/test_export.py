"""``napari-cam export``: every format from files, with the same numbers as in Python."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pydicom
import pytest

import napari_cam as nc
from napari_cam.labels.classes import LabelClasses
from tests.cli.conftest import NAME, Call
from tests.labels.files.nnunet_rules import verify
from tests.labels.files.test_dicom_seg import heatmap_of, stack


@pytest.fixture
def seeds(study: Path, image: Path) -> Path:
    """Seeds on the image's grid, of two classes."""
    volume = nc.read_volume(image)
    labels = np.random.default_rng(0).integers(0, 4, volume.shape).astype(np.uint8)
    classes = LabelClasses.of_seeds(["liver", "tumour"])
    made = nc.Seeds(labels, classes, volume.grid)
    return nc.export_labels(study / "seeds.nii.gz", made, volume)


def test_seeds_for_slicer(call: Call, image: Path, seeds: Path, out: Path) -> None:
    out.mkdir()
    ended = call("export", seeds, "--image", image, "--out", out / "a.seg.nrrd", "--class-table")
    assert (ended.code, ended.err) == (0, "")
    lines = [line.split() for line in ended.out.splitlines()]
    labels = nc.read_labels(seeds).labels
    for code, name in enumerate(("unlabelled", "background", "liver", "tumour")):
        assert [str(code), name, str(np.count_nonzero(labels == code))] in lines
    back = nc.read_labels(out / "a.seg.nrrd", like=nc.read_volume(image))
    np.testing.assert_array_equal(back.labels, labels)
    assert back.kind == "seeds"
    assert sorted(os.listdir(out)) == ["a.csv", "a.json", "a.seg.nrrd"]
    # ... and back, without the image.
    assert call("export", out / "a.seg.nrrd", "--out", out / "b.nii.gz").code == 0
    np.testing.assert_array_equal(nc.read_labels(out / "b.nii.gz").labels, labels)
    for path in out.iterdir():
        assert b"doe" not in path.read_bytes().lower()


def test_codes_and_names_from_the_command_line(
    call: Call, image: Path, seeds: Path, out: Path
) -> None:
    out.mkdir()
    table = out / "classes.csv"
    LabelClasses.of_seeds(["one", "two"], background="none").write_csv(table)
    ended = call(
        "export",
        seeds,
        "-i",
        image,
        "-o",
        out / "a.nii.gz",
        "--classes",
        table,
        "--remap",
        "nnunet",
    )
    assert ended.code == 0
    expected = np.array([3, 0, 1, 2])[nc.read_labels(seeds).labels]
    back = nc.read_labels(out / "a.nii.gz")
    np.testing.assert_array_equal(back.labels, expected)
    assert back.classes.names == ("one", "two", "ignore")
    ended = call(
        "export", seeds, "-i", image, "-o", out / "b.nii.gz", "--zero", "background",
        "--remap", "nnunet", "--classes", table,
    )  # fmt: skip
    np.testing.assert_array_equal(
        nc.read_labels(out / "b.nii.gz").labels, nc.read_labels(seeds).labels
    )


def test_a_dataset_of_nnunet_and_its_datalist(
    call: Call, image: Path, seeds: Path, out: Path
) -> None:
    out.mkdir()
    folder = out / "Dataset007_Liver"
    for number in range(4):
        ended = call(
            "export", seeds, "-i", image, "-i", image, "-o", folder, "--name", f"case{number}",
            "--channel-names", "T1,T2",
        )  # fmt: skip
        assert ended.code == 0, ended.err
    assert f"{number + 1} cases" in ended.out
    assert verify(folder) == {"background": 0, "liver": 1, "tumour": 2, "ignore": 3}
    ended = call("export", seeds, "-i", image, "-i", image, "-o", folder, "--name", "case0")
    assert ended.code == 1
    assert "exists already" in ended.err
    ended = call("export", seeds, "-i", image, "-i", image, "-o", folder)
    assert "neither a name nor a subject" in ended.err

    ended = call("export", folder, "-o", folder / "list.json", "--folds", "2",
                 "--validation-fold", "1")  # fmt: skip
    assert ended.code == 0, ended.err
    facts = json.loads((folder / "list.json").read_text())
    assert (len(facts["training"]), len(facts["validation"])) == (2, 2)
    assert facts["labels"]["3"] == "ignore"
    call("export", seeds, "-i", image, "-i", image, "-o", folder, "--name", "case5")
    more = ("export", folder, "-o", folder / "list.json", "--folds", "2", "--validation-fold", "1")
    assert call(*more).code == 1
    assert call(*more, "--append").code == 0
    facts = json.loads((folder / "list.json").read_text())
    assert len(facts["training"]) + len(facts["validation"]) == 5


def test_a_dicom_segmentation_and_a_reference_of_it(call: Call, tmp_path: Path, out: Path) -> None:
    out.mkdir()
    folder = tmp_path / NAME / "dicom"
    volume = stack(folder)
    labels = np.random.default_rng(0).integers(0, 2, volume.shape).astype(np.uint8)
    nc.export_labels(out / "labels.nii.gz", labels, volume)
    ended = call(
        "export", out / "labels.nii.gz", "-i", folder, "-o", out / "seg.dcm", "--type",
        "86049000,SCT,Neoplasm", "--series-description", "Tumours", "--series-number", "12",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "86049000,SCT,Neoplasm" in ended.out
    dataset = pydicom.dcmread(out / "seg.dcm")
    assert (dataset.SeriesDescription, dataset.SeriesNumber) == ("Tumours", 12)
    np.testing.assert_array_equal(nc.read_labels(out / "seg.dcm", volume).labels, labels)

    values = np.where(labels, 0.75, 0.25).astype(np.float32)
    nc.write_volume(out / "map.nii.gz", heatmap_of(volume, values), like=volume)
    ended = call("export", out / "map.nii.gz", "-i", folder, "-o", out / "cam.dcm")
    assert ended.code == 0, ended.err
    read = nc.read_dicom_seg(out / "cam.dcm", volume)
    np.testing.assert_allclose(read.fractions(1), values, atol=0.002)

    for reference in ("seg.dcm", "labels.nii.gz"):
        ended = call(
            "mask", out / "map.nii.gz", "--rule", "fixed:0.5", "--reference", out / reference,
            "-o", out / f"masks-{reference}",
        )  # fmt: skip
        assert ended.code == 0, ended.err
        assert "1.000  1.000" in ended.out
    nc.export_labels(out / "slicer.seg.nrrd", labels[::-1], volume)
    ended = call(
        "mask", out / "map.nii.gz", "--rule", "fixed:0.5", "--reference", out / "slicer.seg.nrrd",
        "-o", out / "masks",
    )  # fmt: skip
    expected = nc.iou(labels == 1, labels[::-1] == 1)
    assert f"{expected:.3f}" in ended.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-o", "out.mha"), "no extension"),
        (("-o", "out.dcm"), "give one --image"),
        (("-o", "Dataset001_A"), "give one or more --image"),
        (("-o", "Dataset1_A", "-i", "{image}"), "no name that nnU-Net takes"),
        (("-o", "out.json"), "give a dataset of nnU-Net"),
        (("-o", "out.nii.gz", "--classes", "none.csv"), "cannot be read as a table"),
        (("-o", "out.dcm", "-i", "{image}"), "DICOM"),
        (("-o", "out.dcm", "-i", "{image}", "--type", "lesion"), "VALUE,SCHEME,MEANING"),
        (("-o", "no_folder/out.nii.gz"), "does not exist"),
    ],
)
def test_wrong_calls_end_in_a_sentence(
    call: Call, image: Path, seeds: Path, tmp_path: Path, arguments: tuple[str, ...], said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    ended = call("export", seeds, *(each.format(image=image) for each in arguments))
    assert ended.code == 1
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert sorted(os.listdir(tmp_path)) == [NAME]
