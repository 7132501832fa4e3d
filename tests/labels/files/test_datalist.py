"""Datalists: MONAI reads them, groups stay together, lists grow without losing a case."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_cam as nc
from napari_cam.errors import MaskError, WriteError
from napari_cam.labels.files.datalist import _deal
from tests.labels.files.test_nnunet import case


def entries(folder: Path, n: int, start: int = 0, per_group: int = 2) -> list[nc.DatalistEntry]:
    found = []
    for number in range(start, start + n):
        image, label = folder / f"images/{number}.nii.gz", folder / f"labels/{number}.nii.gz"
        for path in (image, label):
            path.parent.mkdir(exist_ok=True, parents=True)
            path.write_bytes(b"")
        found.append(nc.DatalistEntry(image, label, f"doe-{number // per_group}"))
    return found


def test_monai_reads_the_list(tmp_path: Path) -> None:
    from monai.data import load_decathlon_datalist, load_decathlon_properties

    (tmp_path / "lists").mkdir()
    files = entries(tmp_path / "data", 12)
    path = nc.export_datalist(
        tmp_path / "lists" / "list.json", files, {0: "background", 1: "liver"}, folds=3,
        validation_fold=2,
    )  # fmt: skip
    training = load_decathlon_datalist(str(path), True, "training")
    validation = load_decathlon_datalist(str(path), True, "validation")
    assert (len(training), len(validation)) == (8, 4)
    found = {Path(item["image"]).resolve() for item in (*training, *validation)}
    assert found == {Path(str(each.image)).resolve() for each in files}
    for item in (*training, *validation):
        assert Path(item["label"]).is_file()
        assert Path(item["label"]).name == Path(item["image"]).name
    assert load_decathlon_properties(str(path), "labels")["labels"] == {
        "0": "background", "1": "liver"
    }  # fmt: skip
    raw = json.loads(path.read_text())
    assert raw["training"][0]["image"].startswith("../data/images/")
    assert raw["numTraining"] == 8
    assert "doe" not in path.read_text()


def test_groups_stay_together_and_folds_are_even(tmp_path: Path) -> None:
    path = nc.export_datalist(tmp_path / "list.json", entries(tmp_path, 20), folds=5)
    items = json.loads(path.read_text())["training"]
    assert Counter(item["fold"] for item in items) == dict.fromkeys(range(5), 4)
    folds = defaultdict(set)
    for item in items:
        folds[int(Path(item["label"]).name.split(".")[0]) // 2].add(item["fold"])
    assert all(len(each) == 1 for each in folds.values())
    again = nc.export_datalist(tmp_path / "again.json", entries(tmp_path, 20), folds=5)
    other = nc.export_datalist(tmp_path / "other.json", entries(tmp_path, 20), folds=5, seed=1)
    dealt = [
        [item["fold"] for item in json.loads(each.read_text())["training"]]
        for each in (path, again, other)
    ]
    assert dealt[0] == dealt[1] != dealt[2]


def test_a_list_grows(tmp_path: Path) -> None:
    path = nc.export_datalist(tmp_path / "list.json", entries(tmp_path, 9), folds=3)
    before = json.loads(path.read_text())
    with pytest.raises(WriteError, match="exists already"):
        nc.export_datalist(path, entries(tmp_path, 5, 9), folds=3)
    with pytest.raises(WriteError, match="stands in the list already"):
        nc.export_datalist(path, entries(tmp_path, 2, 8), folds=3, append=True)
    with pytest.raises(WriteError, match="folds=3, not 5"):
        nc.export_datalist(path, entries(tmp_path, 5, 9), append=True)
    with pytest.raises(WriteError, match="other labels"):
        nc.export_datalist(path, entries(tmp_path, 5, 9), {1: "a"}, folds=3, append=True)
    assert json.loads(path.read_text()) == before
    nc.export_datalist(path, entries(tmp_path, 5, 9), folds=3, append=True)
    items = json.loads(path.read_text())["training"]
    assert items[:9] == before["training"]
    assert len(items) == 14
    # The ninth case's group was begun before, and its other half follows it.
    assert items[9]["fold"] == items[8]["fold"]
    assert items[9]["group"] == items[8]["group"]


def test_what_cannot_be_listed_is_named(tmp_path: Path) -> None:
    one = entries(tmp_path, 1)
    with pytest.raises(WriteError, match="does not exist"):
        nc.export_datalist(tmp_path / "a.json", [nc.DatalistEntry("none.nii", "none.nii")])
    with pytest.raises(WriteError, match="no case"):
        nc.export_datalist(tmp_path / "a.json", [])
    with pytest.raises(MaskError, match="cannot be the one"):
        nc.export_datalist(tmp_path / "a.json", one, folds=3, validation_fold=3)
    (tmp_path / "a.json").write_text('{"training": []}')
    with pytest.raises(WriteError, match="no list that napari-cam wrote"):
        nc.export_datalist(tmp_path / "a.json", one, append=True)
    with pytest.raises(WriteError, match="labelsTr"):
        nc.nnunet_entries(tmp_path)


def test_a_list_of_an_nnunet_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "Dataset001_A"
    nc.export_nnunet(folder, [case(tmp_path, name) for name in ("a", "b", "a_0000")])
    path = nc.export_datalist(folder / "datalist.json", nc.nnunet_entries(folder), folds=2)
    items = json.loads(path.read_text())["training"]
    assert {(item["image"], item["label"]) for item in items} == {
        (f"imagesTr/{name}_0000.nii.gz", f"labelsTr/{name}.nii.gz") for name in ("a", "b", "a_0000")
    }


@settings(max_examples=80, deadline=None)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=20), folds=st.integers(1, 6))
def test_no_fold_is_a_whole_group_larger_than_another_needs(sizes, folds) -> None:
    items = [
        {"label": f"{group}-{n}", "group": str(group)}
        for group, size in enumerate(sizes)
        for n in range(size)
    ]
    _deal([], items, folds, 0)
    counts = Counter(dict.fromkeys(range(folds), 0))
    counts.update(item["fold"] for item in items)
    assert max(counts.values()) - min(counts.values()) <= max(sizes)
    for group in range(len(sizes)):
        assert len({item["fold"] for item in items if item["group"] == str(group)}) == 1
