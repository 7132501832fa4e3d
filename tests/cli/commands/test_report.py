"""``napari-cam report``: files and folders in, the same numbers as in Python out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import jaccard_score

import napari_cam as nc
from napari_cam.learning.cohort.subjects import hash_subjects
from napari_cam.models.files.model_files import save_model
from tests.cli.conftest import Call, tiny_model
from tests.reports.heatmaps import SHAPE, blob, heatmap, noise

METHODS = ("gradcam", "layercam")
FAST = ("--resamples", 20, "--thresholds", "fixed:0.3", "--thresholds", "fixed:0.5")


def save_mask(path: Path, mask: np.ndarray, affine: np.ndarray | None = None) -> Path:
    image = nib.Nifti1Image(
        mask.astype(np.uint8).T, np.diag([0.8, 0.5, 3, 1]) if affine is None else affine
    )
    nib.save(image, path)
    return path


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Three subjects' folders, each with two heatmaps, a reference and a foreground."""
    for k in range(3):
        folder = tmp_path / "study" / f"fillet {k}"
        folder.mkdir(parents=True)
        mask = save_mask(folder / "reference.nii.gz", blob(k) * 1 + 2 * blob(k + 7) * ~blob(k))
        like = nc.read_volume(mask)
        for place, method in enumerate(METHODS):
            values = np.asarray(noise(10 * k + place))
            item = heatmap(
                values,
                kind="unit",
                method={"name": method},
                layer="layer4",
                model={"architecture": "resnet18", "sha256": "0" * 64},
            )
            facts = {**item.provenance, "kind": "heatmap"}
            item = replace(item, grid=like.grid, provenance=facts)
            nc.write_volume(folder / f"map-{place}.nii.gz", item, like=like)
    return tmp_path / "study"


def values_of(folder: Path, k: int, place: int) -> np.ndarray:
    volume = nc.read_volume(folder / f"fillet {k}" / f"map-{place}.nii.gz")
    return np.asarray(volume.values)


def reference_of(folder: Path, k: int, label: int | None = None) -> np.ndarray:
    values = np.asarray(nc.read_volume(folder / f"fillet {k}" / "reference.nii.gz").values)
    return values != 0 if label is None else values == label


def cohort_value(out: Path, metric: str, **where: str) -> float:
    table = pd.read_csv(out / "table.csv", keep_default_na=False)
    rows = table[(table["metric"] == metric) & (table["level"] == "cohort")]
    for name, value in ({"scored": "all", "method_a": "gradcam"} | where).items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return float(rows["value"].iloc[0])


def expected_mean(folder: Path, label: int | None = None) -> float:
    found = [
        jaccard_score(
            reference_of(folder, k, label)[z].ravel(), (values_of(folder, k, 0)[z] > 0.5).ravel()
        )
        for k in range(3)
        for z in range(SHAPE[0])
    ]
    return float(np.mean(found))


def test_overlap_of_subjects_folders(study: Path, tmp_path: Path, call: Call) -> None:
    ended = call("report", "overlap", study, "--out", tmp_path / "out", *FAST)
    assert ended.code == 0, ended.err
    assert "resnet18 / gradcam" in ended.out
    found = cohort_value(tmp_path / "out", "iou_foreground_unit_mean", threshold_a="fixed(0.5)")
    assert found == pytest.approx(expected_mean(study))
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    assert set(table["subject"].dropna()) == {"fillet 0", "fillet 1", "fillet 2"}
    for name in ("report.html", "report.json", "figures"):
        assert (tmp_path / "out" / name).exists()
    assert not (tmp_path / "out" / ".writing").exists()


def test_python_gives_the_same_numbers(study: Path, tmp_path: Path, call: Call) -> None:
    lines = ["heatmap,subject,group,reference,class,backbone"]
    lines += [
        f"study/fillet {k}/map-{p}.nii.gz,f{k},fish {k // 2},"
        f"study/fillet {k}/reference.nii.gz:2,cod,mine"
        for k in range(3)
        for p in range(2)
    ]
    (tmp_path / "cohort.csv").write_text("\n".join(lines))
    ended = call(
        "report", "overlap", "--cohort", tmp_path / "cohort.csv", "--out", tmp_path / "out", *FAST
    )
    assert ended.code == 0, ended.err
    label_2 = cohort_value(tmp_path / "out", "iou_foreground_unit_mean", threshold_a="fixed(0.5)")
    assert label_2 == pytest.approx(expected_mean(study, 2))
    report = nc.reference_report(
        nc.read_cases(tmp_path / "cohort.csv"),
        thresholds=["fixed:0.3", "fixed:0.5"],
        resamples=20,
    )
    written = pd.read_csv(tmp_path / "out" / "table.csv")
    assert written["value"].to_numpy() == pytest.approx(
        report.table["value"].to_numpy(), nan_ok=True
    )
    assert set(report.select(level="cohort")["backbone_a"]) == {"mine"}
    assert set(report.select(level="unit")["group"]) == {"fish 0", "fish 1"}


def test_files_of_one_subject_with_a_reference(study: Path, tmp_path: Path, call: Call) -> None:
    folder = study / "fillet 1"
    foreground = np.zeros(SHAPE, bool)
    foreground[:, 3:] = True
    shown = save_mask(tmp_path / "tissue.nii.gz", foreground)
    files = [folder / "map-0.nii.gz", folder / "map-1.nii.gz"]
    ended = call(
        "report", "overlap", *files, "--reference", f"{folder / 'reference.nii.gz'}:1",
        "--foreground", shown, "--out", tmp_path / "out", *FAST,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    inside = np.asarray(nc.read_volume(shown).values) != 0
    y, x = reference_of(study, 1, 1)[inside], values_of(study, 1, 0)[inside] > 0.5
    found = cohort_value(tmp_path / "out", "iou_pooled_foreground", threshold_a="fixed(0.5)")
    assert found == pytest.approx(jaccard_score(y, x))


def test_a_folder_of_references(study: Path, tmp_path: Path, call: Call) -> None:
    folder = tmp_path / "masks"
    folder.mkdir()
    for k in range(2):
        (study / f"fillet {k}" / "reference.nii.gz").rename(folder / f"fillet {k}.nii.gz")
    given = ("report", "overlap", study, "--reference", folder, *FAST, "--out", tmp_path / "out")
    ended = call(*given)
    assert ended.code == 1
    assert "called as the subject, 'fillet 2.nii.gz'" in ended.err
    assert not (tmp_path / "out").exists()
    (study / "fillet 2" / "reference.nii.gz").rename(folder / "fillet 2.nii.gz")
    assert call(*given).code == 0


def test_files_take_the_reference_beside_them(study: Path, tmp_path: Path, call: Call) -> None:
    maps = [study / "fillet 1" / f"map-{place}.nii.gz" for place in range(2)]
    ended = call("report", "overlap", *maps, *FAST, "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    truth = reference_of(study, 1)
    expected = [
        jaccard_score(truth[z].ravel(), (values_of(study, 1, 0)[z] > 0.5).ravel())
        for z in range(SHAPE[0])
    ]
    found = cohort_value(tmp_path / "out", "iou_foreground_unit_mean", threshold_a="fixed(0.5)")
    assert found == pytest.approx(np.mean(expected))
    apart = [maps[0], study / "fillet 2" / "map-1.nii.gz"]
    ended = call("report", "overlap", *apart, *FAST, "--out", tmp_path / "other")
    assert "has no reference" in ended.err
    ended = call("report", "overlap", study / "none.nii.gz", *FAST, "--out", tmp_path / "other")
    assert ended.code == 1
    assert "There is no heatmap file" in ended.err
    assert not (tmp_path / "other").exists()


def test_agreement_of_subjects_folders(study: Path, tmp_path: Path, call: Call) -> None:
    ended = call("report", "agreement", study, "--out", tmp_path / "out", *FAST)
    assert ended.code == 0, ended.err
    table = pd.read_csv(tmp_path / "out" / "table.csv")
    rows = table[(table["metric"] == "iou_pair_unit_mean") & (table["threshold_a"] == "fixed(0.5)")]
    expected = [
        jaccard_score(*((values_of(study, k, p)[z] > 0.5).ravel() for p in range(2)))
        for k in range(3)
        for z in range(SHAPE[0])
    ]
    assert rows["value"].tolist() == pytest.approx([np.mean(expected)])
    again = call("report", "agreement", study, "--out", tmp_path / "out", *FAST)
    assert again.code == 1
    assert "--overwrite" in again.err
    assert (
        call("report", "agreement", study, "-o", tmp_path / "out", *FAST, "--overwrite").code == 0
    )


def test_whom_the_network_was_trained_on(study: Path, tmp_path: Path, call: Call) -> None:
    model = tiny_model()
    card = replace(model.card, training={"subjects": hash_subjects(["fillet 1", "someone"])})
    path = save_model(replace(model, card=card), tmp_path / "net.safetensors")
    ended = call("report", "overlap", study, "-o", tmp_path / "out", "--model", path, *FAST)
    assert ended.code == 0, ended.err
    assert "trained on 1 of the 3 subjects" in ended.out


def test_how_the_networks_classified(study: Path, tmp_path: Path, call: Call) -> None:
    (tmp_path / "p.csv").write_text("true, predicted,fold\na,a,1\na,b,1\nb,b,1\nb,b,2\na,a,2\n")
    given = ("--predictions", tmp_path / "p.csv", *FAST)
    ended = call("report", "overlap", study / "fillet 0", "-o", tmp_path / "out", *given)
    assert ended.code == 0, ended.err
    assert cohort_value(tmp_path / "out", "accuracy_fold_mean", method_a="") == pytest.approx(5 / 6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Give heatmaps"),
        (("nowhere.nii.gz", "--reference", "none.nii.gz"), "no heatmap file nowhere.nii.gz"),
        (("{study}/fillet 0/map-0.nii.gz", "--reference", "none.nii.gz"), "none.nii.gz"),
        (("{study}", "--empty", "2"), "nan, 0 or 1"),
        (("{study}", "--thresholds", "half"), "threshold rule"),
        (("{study}", "--cohort", "t.csv"), "--cohort"),
        (("--cohort", "t.csv", "--reference", "r.nii"), "leave the options out"),
        (("--cohort", "{study}/none.csv"), "cannot be read as a table"),
        (("{study}/fillet 0/map-0.nii.gz", "{study}/fillet 1/map-0.nii.gz"), "has no reference"),
        (("{study}/fillet 0", "{study}/fillet 0/map-0.nii.gz"), "not both"),
    ],
)
def test_what_cannot_be_compared_is_named(
    study: Path, tmp_path: Path, call: Call, arguments: tuple[str, ...], message: str
) -> None:
    given = [each.format(study=study) for each in arguments]
    ended = call("report", "overlap", *given, "--out", tmp_path / "out")
    assert ended.code == 1
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heatmap\nmap.nii.gz\n", "no column 'subject'"),
        ("heatmap,subject\n", "no rows"),
        ("heatmap,subject,reference\na.nii,s,r.nii\nb.nii,s,q.nii\n", "2 values of 'reference'"),
    ],
)
def test_tables_that_say_too_little_or_too_much(
    tmp_path: Path, call: Call, text: str, message: str
) -> None:
    (tmp_path / "t.csv").write_text(text)
    ended = call("report", "overlap", "--cohort", tmp_path / "t.csv", "-o", tmp_path / "out")
    assert ended.code == 1
    assert message in ended.err
