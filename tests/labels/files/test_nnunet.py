"""Datasets of nnU-Net: its own rules hold, cases are added and never lost."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

import napari_cam as nc
from napari_cam.errors import MaskError, WriteError
from napari_cam.labels.classes import LabelClass, LabelClasses
from napari_cam.labels.files.label_image import LabelImage
from napari_cam.volumes.volume import Identity
from tests.labels.files.grids import CLASSES, affine_of, scan, seeds_on, stored_labels
from tests.labels.files.nnunet_rules import verify


def case(tmp_path: Path, name: str | None, codes: str = "RAS", **kwargs: Any) -> nc.TrainingCase:
    volume = scan(tmp_path / f"{codes}.nii.gz", affine_of(codes, oblique=True))
    return nc.TrainingCase(volume, seeds_on(volume, stored_labels()), name, **kwargs)


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_seeds_become_a_dataset_that_nnunet_takes(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset012_Liver"
    cases = [case(tmp_path, "a", "RAS"), case(tmp_path, "b-2", "PIL")]
    assert nc.export_nnunet(folder, cases) == folder
    labels = verify(folder)
    assert labels == {"background": 0, "liver, left lobe": 1, "läsion": 2, "ignore": 3}
    facts = json.loads((folder / "dataset.json").read_text())
    assert facts["channel_names"] == {"0": "image"}
    assert (facts["numTraining"], facts["file_ending"]) == (2, ".nii.gz")
    expected = np.array([3, 0, 1, 2], np.uint8)[stored_labels()]
    for codes, name in (("RAS", "a"), ("PIL", "b-2")):
        source = nib.load(tmp_path / f"{codes}.nii.gz")
        label = nib.load(folder / "labelsTr" / f"{name}.nii.gz")
        image = nib.load(folder / "imagesTr" / f"{name}_0000.nii.gz")
        np.testing.assert_array_equal(np.asarray(label.dataobj), expected)
        np.testing.assert_array_equal(np.asarray(image.dataobj), np.asarray(source.dataobj))
        np.testing.assert_array_equal(label.affine, source.affine)
        np.testing.assert_array_equal(image.affine, source.affine)
        back = nc.read_nnunet_labels(folder, name)
        np.testing.assert_array_equal(back.labels, cases[name != "a"].labels.labels)
        assert back.classes == CLASSES
        assert back.kind == "seeds"
    assert sorted(os.listdir(folder)) == [
        "dataset.json", "imagesTr", "labelsTr", "napari_cam.json",
    ]  # fmt: skip
    record = json.loads((folder / "napari_cam.json").read_text())
    assert record["cases"]["a"]["remap"] == {"0": 3, "1": 0, "2": 1, "3": 2}
    assert record["cases"]["a"]["made_from"] == {"kind": "seeds", "high": 0.6}


def test_several_channels(tmp_path: Path) -> None:
    one = scan(tmp_path / "one.nii.gz", affine_of("LPS"))
    two = replace(one, values=np.stack([one.values + 1, one.values + 2]), channel_names=("T2", "b"))
    folder = tmp_path / "Dataset001_Two"
    finished = stored_labels()
    image = LabelImage(
        np.ascontiguousarray(finished.transpose(one.source.stored_axes)),
        LabelClasses((LabelClass(1, "one", "#112233"), LabelClass(3, "three", "#112234"),
                      LabelClass(2, "two", "#112235"))),
        one.grid,
    )  # fmt: skip
    nc.export_nnunet(folder, [nc.TrainingCase([one, two], image, "x")], ["T1", "T2", "b"])
    assert verify(folder) == {"background": 0, "one": 1, "two": 2, "three": 3}
    read = [nc.read_volume(folder / "imagesTr" / f"x_000{n}.nii.gz").values for n in range(3)]
    for n in range(3):
        np.testing.assert_allclose(read[n], one.values + n, rtol=1e-6)
    np.testing.assert_array_equal(
        np.asarray(nib.load(folder / "labelsTr" / "x.nii.gz").dataobj), finished
    )
    back = nc.read_nnunet_labels(folder, "x")
    assert back.kind == "labels"
    np.testing.assert_array_equal(back.labels, image.labels)


def test_gaps_between_finished_labels_are_closed(tmp_path: Path) -> None:
    volume = scan(tmp_path / "a.nii.gz", affine_of("RAS"))
    labels = (np.asarray(volume.values) > 100) * np.uint8(7)
    folder = tmp_path / "Dataset002_Gap"
    nc.export_nnunet(folder, [nc.TrainingCase(volume, labels, "x")])
    assert verify(folder) == {"background": 0, "label 7": 1}
    np.testing.assert_array_equal(nc.read_nnunet_labels(folder, "x").labels, labels)


def test_cases_are_added_and_what_people_wrote_stays(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset012_Liver"
    nc.export_nnunet(folder, [case(tmp_path, "a")], ["CT"])
    facts = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**facts, "licence": "CC BY", "name": "L"}))
    before = tree(folder)
    nc.export_nnunet(folder, iter([case(tmp_path, "b"), case(tmp_path, "c")]))
    assert verify(folder)
    facts = json.loads((folder / "dataset.json").read_text())
    assert (facts["numTraining"], facts["licence"], facts["name"]) == (3, "CC BY", "L")
    assert facts["channel_names"] == {"0": "CT"}
    after = tree(folder)
    for name in ("imagesTr/a_0000.nii.gz", "labelsTr/a.nii.gz"):
        assert after[name] == before[name]
    assert set(json.loads(after["napari_cam.json"])["cases"]) == {"a", "b", "c"}

    with pytest.raises(WriteError, match="case b exists already"):
        nc.export_nnunet(folder, [case(tmp_path, "d"), case(tmp_path, "b")])
    assert tree(folder) == after
    other = replace_labels(case(tmp_path, "b"))
    nc.export_nnunet(folder, [other], overwrite=True)
    assert verify(folder)
    assert json.loads((folder / "dataset.json").read_text())["numTraining"] == 3
    assert nc.read_nnunet_labels(folder, "b").labels.max() == 1


def test_images_that_wait_for_their_labels_are_not_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset012_Liver"
    (folder / "imagesTr").mkdir(parents=True)
    waiting = folder / "imagesTr" / "a_0000.nii.gz"
    waiting.write_bytes(b"an image that nobody has drawn labels for")
    before = tree(folder)
    with pytest.raises(WriteError, match="exists already"):
        nc.export_nnunet(folder, [case(tmp_path, "a")])
    assert tree(folder) == before
    nc.export_nnunet(folder, [case(tmp_path, "a")], overwrite=True)
    verify(folder)


def test_a_dataset_that_changed_meanwhile_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset012_Liver"
    nc.export_nnunet(folder, [case(tmp_path, "a")])

    def cases():
        yield case(tmp_path, "b")
        nc.export_nnunet(folder, [case(tmp_path, "c")])  # somebody else, at the same time

    with pytest.raises(WriteError, match="changed by another program"):
        nc.export_nnunet(folder, cases())
    assert verify(folder)
    assert sorted(json.loads((folder / "napari_cam.json").read_text())["cases"]) == ["a", "c"]


def replace_labels(one: nc.TrainingCase) -> nc.TrainingCase:
    assert isinstance(one.labels, nc.Seeds)
    return replace(one, labels=replace(one.labels, labels=np.minimum(one.labels.labels, 1)))


def test_what_does_not_fit_the_dataset_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset012_Liver"
    nc.export_nnunet(folder, [case(tmp_path, "a")])
    before = tree(folder)
    volume = case(tmp_path, "x").volumes[0]
    other = LabelClasses.of_seeds(["heart"])
    labels = np.zeros(volume.shape, np.uint8)
    seeds = nc.Seeds(labels, other, volume.grid)
    with pytest.raises(WriteError, match="has the labels background: 0"):
        nc.export_nnunet(folder, [nc.TrainingCase(volume, seeds, "b")])
    with pytest.raises(WriteError, match="has the channel names 0: image, but the case 0: CT"):
        nc.export_nnunet(folder, [case(tmp_path, "b")], ["CT"])
    with pytest.raises(WriteError, match="has 2 channels, but 1 are named"):
        nc.export_nnunet(folder, [nc.TrainingCase([volume, volume], seeds, "b")], classes=CLASSES)
    with pytest.raises(WriteError, match="other classes than those before"):
        nc.export_nnunet(
            tmp_path / "Dataset013_New",
            [case(tmp_path, "a"), nc.TrainingCase(volume, seeds, "b")],
        )
    assert tree(folder) == before
    assert not (tmp_path / "Dataset013_New").exists()


@pytest.mark.parametrize(
    "name", ["Dataset12_a", "liver", "Dataset0123_a", "Dataset012_", "Dataset012_ä"]
)
def test_names_of_datasets_are_those_of_nnunet(tmp_path: Path, name: str) -> None:
    with pytest.raises(WriteError, match="no name that nnU-Net takes"):
        nc.export_nnunet(tmp_path / name, [])


def test_patients_stay_unnamed(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset012_Liver"
    one = case(tmp_path, None, subject="Doe^Jane")
    named = replace(one.volumes[0], identity=Identity("X-4711", "1.2.3"))
    nc.export_nnunet(folder, [one])
    nc.export_nnunet(folder, [nc.TrainingCase(named, one.labels)])
    verify(folder)
    names = sorted(json.loads((folder / "napari_cam.json").read_text())["cases"])
    assert all(name.startswith("case_") and len(name) == 17 for name in names)
    with pytest.raises(WriteError, match="exists already"):  # the same subject, the same name
        nc.export_nnunet(folder, [one])
    for name, content in tree(folder).items():
        for secret in (b"doe", b"4711", b"jane"):
            assert secret not in name.lower().encode()
            assert secret not in content.lower()
    for wrong in ("x4711", "scan_X-4711", "X_4711b"):
        with pytest.raises(MaskError, match="patient's number"):
            nc.export_nnunet(folder, [nc.TrainingCase(named, one.labels, wrong)])
    with pytest.raises(MaskError, match="patient's number"):  # of the image, too
        nc.export_nnunet(folder, [nc.TrainingCase(named, one.labels, "x4711", subject="other")])
    for wrong in ("a b", "", "../x", "_a", "ä"):
        with pytest.raises(MaskError, match="cannot name a case"):
            nc.export_nnunet(folder, [nc.TrainingCase(named, one.labels, wrong)])
    bare = replace(named, identity=Identity())
    with pytest.raises(MaskError, match="neither a name nor a subject"):
        nc.export_nnunet(folder, [nc.TrainingCase(bare, one.labels)])


def test_images_that_nnunet_refuses_are_named(tmp_path: Path) -> None:
    one = case(tmp_path, "a")
    values = np.array(one.volumes[0].values)
    values[0, 0, 0] = np.nan
    holed = replace(one.volumes[0], values=values)
    with pytest.raises(WriteError, match="no number"):
        nc.export_nnunet(tmp_path / "Dataset001_A", [nc.TrainingCase(holed, one.labels, "a")])
    for name in ("ignore", "Background"):
        classes = LabelClasses((LabelClass(2, name, "#111111"),))
        with pytest.raises(MaskError, match="keeps for itself"):
            nc.export_nnunet(
                tmp_path / "Dataset001_A",
                [nc.TrainingCase(one.images, np.full(one.volumes[0].shape, 2), "a")],
                classes=classes,
            )
    assert not (tmp_path / "Dataset001_A").exists()


@pytest.mark.parametrize("failing", [1, 2, 3, 5, 7])
def test_a_full_disk_leaves_the_dataset_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    folder = tmp_path / "Dataset012_Liver"
    nc.export_nnunet(folder, [case(tmp_path, "a")])
    before = tree(folder)
    cases = [case(tmp_path, "b"), replace_labels(case(tmp_path, "a"))]
    new = tmp_path / "Dataset013_New"
    replace_file = os.replace
    calls = 0

    def moved(source: Any, target: Any) -> None:
        nonlocal calls
        # What write_volume renames within the hidden folder goes well.
        if ".writing-" not in str(Path(target).parent) or ".replaced" in str(target):
            calls += 1
            if calls == failing:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace_file(source, target)

    monkeypatch.setattr(os, "replace", moved)
    with pytest.raises(WriteError, match="No space left"):
        nc.export_nnunet(folder, cases, overwrite=True)
    assert tree(folder) == before
    calls = 0
    if failing <= 4:
        with pytest.raises(WriteError, match="No space left"):
            nc.export_nnunet(new, cases[:1])
        assert not new.exists()


def test_what_is_no_dataset_of_nnunet_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset012_Liver"
    one = case(tmp_path, "a")
    folder.write_text("a file")
    with pytest.raises(WriteError, match="is a file"):
        nc.export_nnunet(folder, [one])
    folder.unlink()
    (folder / "labelsTr").mkdir(parents=True)
    (folder / "labelsTr" / "x.nii.gz").write_text("")
    with pytest.raises(WriteError, match=r"labels but no dataset\.json"):
        nc.export_nnunet(folder, [one])
    for text, said in (("{", "cannot be read as JSON"), ("[]", "no JSON object"),
                       ('{"file_ending": ".png"}', "are not .nii.gz files")):  # fmt: skip
        (folder / "dataset.json").write_text(text)
        with pytest.raises(WriteError, match=said):
            nc.export_nnunet(folder, [one])


def test_datasets_of_other_programs_are_read(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset005_Other"
    (folder / "labelsTr").mkdir(parents=True)
    stored = stored_labels()
    nib.save(nib.Nifti1Image(stored, affine_of("RAS")), folder / "labelsTr" / "a.nii.gz")
    facts = {"labels": {"background": 0, "liver": 1, "tumour": 2, "ignore": 3},
             "file_ending": ".nii.gz", "channel_names": {"0": "CT"}, "numTraining": 1}  # fmt: skip
    (folder / "dataset.json").write_text(json.dumps(facts))
    image = nc.read_nnunet_labels(folder, "a")
    expected = np.array([1, 2, 3, 0], np.uint8)[stored].transpose(2, 1, 0)
    np.testing.assert_array_equal(image.labels, expected)
    assert image.classes.names == ("background", "liver", "tumour")
    assert image.seeds().classes.code_of("tumour") == 3
    facts["labels"] = {"background": 0, "a": 1, "b": 2, "c": 3}
    (folder / "dataset.json").write_text(json.dumps(facts))
    image = nc.read_nnunet_labels(folder, "a")
    np.testing.assert_array_equal(image.labels, stored.transpose(2, 1, 0))
    assert image.classes.codes == (1, 2, 3)
    assert image.classes.names == ("a", "b", "c")
    facts["labels"] = {"background": 0, "whole": [1, 2], "b": 2}
    (folder / "dataset.json").write_text(json.dumps(facts))
    with pytest.raises(MaskError, match="several codes"):
        nc.read_nnunet_labels(folder, "a")
