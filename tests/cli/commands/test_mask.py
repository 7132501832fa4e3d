"""``napari-cam mask`` on a map typed by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

import napari_cam as nc
from napari_cam.heatmap import Heatmap
from tests.cli.conftest import NAME, Call

# Two slices of 2 x 3; the second holds no evidence.
VALUES = np.array([[[0.0, 0.5, 1.0], [0.6, 0.2, 0.4]], [[0, 0, 0], [0, 0, 0]]], np.float32)
SPACING = (5.0, 4.0, 10.0)  # 200 cubic millimetres, 0.2 mL


@pytest.fixture
def source(tmp_path: Path) -> nc.Volume:
    affine = np.diag([SPACING[2], SPACING[1], SPACING[0], 1])
    nib.save(nib.Nifti1Image(np.ones((3, 2, 2), np.uint8), affine), tmp_path / f"{NAME}.nii")
    return nc.read_volume(tmp_path / f"{NAME}.nii")


def write(path: Path, source: nc.Volume, values: np.ndarray = VALUES, **facts: str) -> Path:
    inside = np.ones(values.shape, bool)
    inside[:, 1, 1] = inside[:, :, 1].all() and inside[:, 1, 1]
    heatmap = Heatmap(
        values=values,
        kind="unit",
        raw_min=np.zeros(2, np.float32),
        raw_max=np.array([7, 0], np.float32),
        valid=np.array([True, False]),
        class_index=np.array([1, 1]),
        predicted_index=np.array([1, 0]),
        score=np.array([2, -2], np.float32),
        inside=inside,
        unit_axis=0,
        grid=source.grid,
        provenance={"kind": "heatmap", "method": {"name": "gradcam"}, **facts},
    )
    return nc.write_volume(path, heatmap, like=source)


def rows(table: str) -> list[list[str]]:
    return [re.split(r"\s{2,}", line.strip()) for line in table.splitlines()[2:]]


def test_fixed_cuts_are_strict_unless_asked(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    path = write(tmp_path / "map.nii.gz", source, layer="layer4", target="damaged")
    ended = call("mask", path, "-o", out, "--rule", "fixed:0.5")
    assert ended.code == 0, ended.err
    name = "mask_fixed-0.5_gradcam_layer4_damaged.nii.gz"
    # Two of twelve voxels of 0.2 mL each exceed the cut.
    assert rows(ended.out) == [[name, "fixed(0.5)", "16.7%", "0.4 mL"]]
    stored = nib.load(out / name)
    np.testing.assert_array_equal(
        np.asarray(stored.dataobj).T, [[[0, 0, 1], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    )
    np.testing.assert_array_equal(stored.affine, nib.load(tmp_path / f"{NAME}.nii").affine)
    ended = call("mask", path, "-o", out, "--rule", "fixed:0.5", "--at-least", "--overwrite")
    assert rows(ended.out)[0][2:] == ["25.0%", "0.6 mL"]


def test_slices_without_evidence_are_empty_and_told(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    path = write(tmp_path / "map.nii.gz", source)
    ended = call("mask", path, "-o", out, "--rule", "fixed:0", "--at-least")
    assert rows(ended.out)[0][2] == "50.0%"  # all of the first slice, none of the second
    assert ended.err.startswith("note: 1 of 2 slices hold no evidence")


def test_several_rules(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    path = write(tmp_path / "map.tif", source)
    ended = call("mask", path, "-o", out, "--rule", "255:200", "--rule", "quantile:0.5")
    assert ended.code == 0, ended.err
    # 200/255 = 0.784: one voxel. The median of 0, .2, .4, .5, .6, 1 is 0.45: three voxels.
    assert rows(ended.out) == [
        ["mask_out-of-255-200_gradcam.tif", "out-of-255(200)", "8.3%", "0.2 mL"],
        ["mask_quantile-0.5_gradcam.tif", "quantile(0.5)", "25.0%", "0.6 mL"],
    ]


def test_otsu_if_none_is_named(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    ended = call("mask", write(tmp_path / "map.nii", source), "-o", out)
    assert rows(ended.out)[0][:2] == ["mask_otsu_gradcam.nii.gz", "otsu"]


def test_overlap_with_a_reference(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    reference = np.zeros(VALUES.shape, np.uint8)
    reference[0, 0, 1:] = 3  # any label counts
    reference[1, 0, 0] = 1
    nc.write_volume(tmp_path / "reference.nii", reference, like=source)
    path = write(tmp_path / "map.nii.gz", source)
    ended = call(
        *("mask", path, "-o", out, "--rule", "fixed:0.5"),
        *("--reference", tmp_path / "reference.nii"),
    )
    assert ended.code == 0, ended.err
    # One voxel in both, one in the mask alone, two in the reference alone.
    assert rows(ended.out)[0][4:] == ["0.250", "0.400"]
    assert ended.out.splitlines()[0].split()[-2:] == ["IoU", "Dice"]


def test_a_foreground_limits_masks(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    foreground = np.zeros(VALUES.shape, bool)
    foreground[:, 0] = True
    nc.write_volume(tmp_path / "tissue.nii", foreground, like=source)
    path = write(tmp_path / "map.nii.gz", source)
    ended = call(
        *("mask", path, "-o", out, "--rule", "fixed:0.5", "--foreground", tmp_path / "tissue.nii")
    )
    assert rows(ended.out)[0][3] == "0.2 mL"


def test_masks_of_several_heatmaps_have_names_of_their_own(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    paths = [write(tmp_path / f"{name}.nii", source) for name in ("one", "two")]
    ended = call("mask", *paths, "-o", out)
    assert [row[0] for row in rows(ended.out)] == [
        "mask_otsu_gradcam.nii.gz",
        "mask_otsu_gradcam-2.nii.gz",
    ]


def test_a_pattern_that_the_shell_left_alone(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    for name in ("map_b", "map_a", "map[1]"):
        write(tmp_path / f"{name}.nii", source, layer=name)
    ended = call("mask", tmp_path / "map_*.nii", tmp_path / "map[1].nii", "-o", out)
    assert [row[0] for row in rows(ended.out)] == [
        f"mask_otsu_gradcam_{layer}.nii.gz" for layer in ("map_a", "map_b", "map-1")
    ]
    ended = call("mask", tmp_path / "no*.nii", "-o", out)
    assert (ended.code, "no*.nii does not exist" in ended.err) == (1, True)


def test_some_failed_is_3(call: Call, tmp_path: Path, source: nc.Volume, out: Path) -> None:
    good = write(tmp_path / "map.nii.gz", source)
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    ended = call("mask", tmp_path / "bad.nii.gz", good, tmp_path / "missing.nii", "-o", out)
    assert ended.code == 3
    assert ended.err.count("error: ") == 2
    assert len(rows(ended.out)) == 1
    ended = call("mask", tmp_path / "bad.nii.gz", tmp_path / "missing.nii", "-o", tmp_path / "n")
    assert ended.code == 1
    assert ended.err.splitlines()[-1] == "error: None of the 2 heatmaps could be cut."
    assert not (tmp_path / "n").exists()


def test_the_sidecar_holds_the_cuts_and_no_name(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    folder = tmp_path / NAME
    folder.mkdir()
    path = write(folder / f"{NAME}.nii.gz", source)
    call("mask", path, "-o", out, "--rule", "fixed:0.25")
    text = (out / "mask_fixed-0.25_gradcam.json").read_text()
    facts = json.loads(text)
    assert facts["kind"] == "mask"
    assert facts["strict"] is True
    assert facts["cuts"] == [0.25, None]
    assert facts["heatmap"]["method"] == {"name": "gradcam"}
    for file in out.iterdir():
        assert NAME not in file.name
        assert NAME.encode() not in file.read_bytes()


def test_explained_slices_are_what_counts(
    call: Call, study: Path, image: Path, model: Path, tmp_path: Path, out: Path
) -> None:
    call("explain", image, "-m", model, "-o", tmp_path / "maps", "--slices", "3")
    heatmap = tmp_path / "maps" / "heatmap_gradcam_features_predicted.nii.gz"
    ended = call(
        "mask", heatmap, "-o", out, "--rule", "fixed:0", "--reference", study / "truth.nii.gz"
    )
    assert ended.code == 0, ended.err
    truth = nc.read_volume(study / "truth.nii.gz").values != 0
    outside = int(truth.sum() - truth[3].sum())
    assert f"note: {outside} of {truth.sum()} voxels of the reference lie where" in ended.err
    values = nc.read_volume(heatmap).values[3]
    both, either = ((values > 0) & truth[3]).sum(), ((values > 0) | truth[3]).sum()
    assert rows(ended.out)[0][4] == f"{both / either:.3f}"


def test_the_gate_empties_slices_predicted_otherwise(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    both = np.array([VALUES[0], VALUES[0]])
    path = write(tmp_path / "map.nii.gz", source, both)
    # By the file class 1 is explained and predicted in slice 0; slice 1 has no evidence anyway.
    facts = json.loads((tmp_path / "map.json").read_text())
    facts["map"]["units"]["valid"] = [True, True]
    (tmp_path / "map.json").write_text(json.dumps(facts))
    counts = {}
    for options in ((), ("--gate",)):
        ended = call("mask", path, "-o", out, "--rule", "fixed:0.5", "--overwrite", *options)
        assert ended.code == 0, ended.err
        (file,) = out.glob("*.nii.gz")
        counts[options] = nc.read_volume(file).values.astype(bool).sum(axis=(1, 2)).tolist()
        record = json.loads((out / file.name.replace(".nii.gz", ".json")).read_text())
        assert record["gate"] is bool(options)
    assert counts == {(): [2, 2], ("--gate",): [2, 0]}


# --- rules, scopes, clean-up, foregrounds


def stored(path: Path) -> np.ndarray:
    return np.asarray(nib.load(path).dataobj).T


def wide(tmp_path: Path, name: str, values: np.ndarray, spacing: tuple[float, ...]) -> nc.Volume:
    """An image of its own grid, values (z, y, x)."""
    affine = np.diag([spacing[2], spacing[1], spacing[0], 1])
    nib.save(nib.Nifti1Image(values.T.astype(np.float32), affine), tmp_path / f"{name}.nii")
    return nc.read_volume(tmp_path / f"{name}.nii")


def write_wide(path: Path, source: nc.Volume, values: np.ndarray) -> Path:
    n = values.shape[0]
    heatmap = Heatmap(
        values=values.astype(np.float32),
        kind="unit",
        raw_min=np.zeros(n, np.float32),
        raw_max=np.ones(n, np.float32),
        valid=np.ones(n, bool),
        class_index=np.ones(n, np.int64),
        predicted_index=np.ones(n, np.int64),
        score=np.ones(n, np.float32),
        inside=np.ones(values.shape, bool),
        unit_axis=0,
        grid=source.grid,
        provenance={
            "kind": "heatmap",
            "method": {"name": "gradcam"},
            "image": {"sha256": source.sha256()},
        },
    )
    return nc.write_volume(path, heatmap, like=source)


@pytest.mark.parametrize(
    ("rule", "file"),
    [
        ("area:0.5", "mask_area-0.5_gradcam.nii.gz"),
        ("li", "mask_li_gradcam.nii.gz"),
        ("triangle:volume", "mask_triangle-volume_gradcam.nii.gz"),
        ("yen:cohort", "mask_yen-cohort_gradcam.nii.gz"),
        ("local-otsu:40", "mask_local-otsu-40_gradcam.nii.gz"),
    ],
)
def test_every_rule_gives_what_binarize_gives(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path, rule: str, file: str
) -> None:
    path = write(tmp_path / "map.nii.gz", source)
    ended = call("mask", path, "-o", out, "--rule", rule)
    assert ended.code == 0, ended.err
    heatmap, _ = nc.read_heatmap(path)
    expected = nc.binarize(heatmap, rule)["mask"]
    assert 0 < expected.sum() < 6
    np.testing.assert_array_equal(stored(out / file), expected)
    facts = json.loads((out / file.replace(".nii.gz", ".json")).read_text())
    assert facts["cleanup"] is None
    assert facts["foreground"] is False


def test_a_cohort_is_cut_at_one_value(call: Call, tmp_path: Path, out: Path) -> None:
    steps = np.arange(12).reshape(1, 3, 4) / 11
    low = wide(tmp_path, "low", steps, (1, 1, 1))
    high = wide(tmp_path, "high", np.zeros((2, 2, 3)), (2, 1, 1))
    paths = [
        write_wide(tmp_path / "map_low.nii", low, steps / 4),
        write_wide(
            tmp_path / "map_high.nii", high, 0.3 + 0.7 * np.arange(12).reshape(2, 2, 3) / 11
        ),
    ]
    ended = call("mask", *paths, "-o", out, "--rule", "area:0.5:cohort", "--rule", "area:0.5")
    assert ended.code == 0, ended.err
    # All twelve of the second are above all twelve of the first.
    assert [row[2] for row in rows(ended.out)] == ["0.0%", "50.0%", "100.0%", "50.0%"]
    facts = json.loads((out / "mask_area-0.5-cohort_gradcam.json").read_text())
    assert facts["cohort"] == 2
    assert facts["cuts"] == [pytest.approx(0.275)]


def test_a_cohort_is_cut_whole_or_not_at_all(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    good = write(tmp_path / "map.nii.gz", source)
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    ended = call("mask", good, tmp_path / "bad.nii.gz", "-o", out, "--rule", "otsu:cohort")
    assert ended.code == 1
    assert not out.exists()


def test_masks_are_cleaned_as_in_python(call: Call, tmp_path: Path, out: Path) -> None:
    values = np.zeros((2, 9, 11))
    values[:, 1:6, 1:6] = 1
    values[:, 3, 3] = 0
    values[0, 7, 9] = values[1, 1, 9] = 1
    image = wide(tmp_path, "image", values, (4, 1, 0.5))
    path = write_wide(tmp_path / "map.nii.gz", image, values)
    options = ("--rule", "fixed:0.5", "--fill-holes", "--smallest", "2", "--per", "unit")
    ended = call("mask", path, "-o", out, *options)
    assert ended.code == 0, ended.err
    expected = np.zeros((2, 9, 11))
    expected[:, 1:6, 1:6] = 1
    np.testing.assert_array_equal(stored(out / "mask_fixed-0.5_gradcam.nii.gz"), expected)
    facts = json.loads((out / "mask_fixed-0.5_gradcam.json").read_text())
    assert facts["cleanup"] == nc.Cleanup(fill_holes=True, smallest=2, per="unit").to_json()
    heatmap, _ = nc.read_heatmap(path)
    for number, (words, cleanup) in enumerate(
        [
            (("--opening-mm", "0.6"), nc.Cleanup(opening_mm=0.6)),
            (("--closing-mm", "1.1"), nc.Cleanup(closing_mm=1.1)),
            (("--largest-only",), nc.Cleanup(largest_only=True)),
            (
                ("--smallest", "2.5", "--connectivity", "corners"),
                nc.Cleanup(smallest=2.5, connectivity="corners"),
            ),
        ]
    ):
        folder = tmp_path / f"masks{number}"
        ended = call("mask", path, "-o", folder, "--rule", "fixed:0.5", *words)
        assert ended.code == 0, ended.err
        made = nc.binarize(heatmap, "fixed:0.5", cleanup=cleanup)["mask"]
        assert made.sum() not in (0, (values > 0.5).sum())
        np.testing.assert_array_equal(stored(folder / "mask_fixed-0.5_gradcam.nii.gz"), made)


def test_pieces_that_touch_a_mask_stay(call: Call, tmp_path: Path, out: Path) -> None:
    values = np.zeros((1, 5, 9))
    values[0, 1:3, 1:3] = values[0, 3, 7] = 1
    image = wide(tmp_path, "image", values, (1, 1, 1))
    nc.write_volume(tmp_path / "other.nii", (values > 0) & (np.arange(9) > 5), like=image)
    path = write_wide(tmp_path / "map.nii.gz", image, values)
    ended = call(
        *("mask", path, "-o", out, "--rule", "fixed:0.5", "--touching", tmp_path / "other.nii")
    )
    assert ended.code == 0, ended.err
    found = stored(out / "mask_fixed-0.5_gradcam.nii.gz")
    assert np.argwhere(found).tolist() == [[0, 3, 7]]


def test_the_tissue_of_the_image_is_a_foreground(call: Call, tmp_path: Path, out: Path) -> None:
    random = np.random.default_rng(1)
    anatomy = np.abs(random.normal(0, 4, (3, 30, 34)))
    anatomy[:, 8:22, 9:25] += 900
    image = wide(tmp_path, "image", anatomy, (9, 1, 1))
    path = write_wide(tmp_path / "map.nii.gz", image, np.full((3, 30, 34), 0.7))
    for number, (text, arguments) in enumerate(
        [
            ("kmeans", ("kmeans",)),
            ("otsu", ("otsu",)),
            ("nonzero", ("nonzero",)),
            ("kmeans:slice", ("kmeans", "slice")),
            ("otsu:slice", ("otsu", "slice", 0)),
        ]
    ):
        folder = tmp_path / f"masks{number}"
        ended = call(
            *("mask", path, "-o", folder, "--rule", "fixed:0.5", "--foreground", text),
            *("--image", tmp_path / "image.nii"),
        )
        assert (ended.code, ended.err) == (0, "")
        expected = nc.foreground(image, *arguments)  # type: ignore[arg-type]
        np.testing.assert_array_equal(stored(folder / "mask_fixed-0.5_gradcam.nii.gz"), expected)
        facts = json.loads((folder / "mask_fixed-0.5_gradcam.json").read_text())
        assert facts["foreground"] == text
    assert expected[1, 15, 15]
    assert not expected[1, 2, 2]


def test_another_image_is_noted(call: Call, tmp_path: Path, out: Path) -> None:
    image = wide(tmp_path, "image", np.ones((3, 5, 6)), (9, 1, 1))
    wide(tmp_path, "other", np.arange(90).reshape(3, 5, 6), (9, 1, 1))
    path = write_wide(tmp_path / "map.nii.gz", image, np.full((3, 5, 6), 0.7))
    ended = call(
        *("mask", path, "-o", out, "--foreground", "nonzero", "--image", tmp_path / "other.nii")
    )
    assert ended.code == 0
    assert "other.nii are not those that the heatmap explains." in ended.err


def test_each_heatmap_may_have_its_own_foreground_and_reference(
    call: Call, tmp_path: Path, out: Path
) -> None:
    paths, masks = [], []
    for number, width in enumerate((4, 7)):
        values = np.full((1, 3, width), 0.8)
        image = wide(tmp_path, f"image{number}", values, (1, 1, 1))
        part = np.zeros(values.shape, bool)
        part[:, number:, :3] = True
        nc.write_volume(tmp_path / f"part{number}.nii", part, like=image)
        masks.append(tmp_path / f"part{number}.nii")
        paths.append(write_wide(tmp_path / f"map{number}.nii.gz", image, values))
    both = [word for path in masks for word in ("--foreground", path, "--reference", path)]
    for rule in ("fixed:0.5", "fixed:0.6"):
        ended = call("mask", *paths, "-o", out, "--rule", rule, *both)
        assert ended.code == 0, ended.err
        assert [row[3:] for row in rows(ended.out)] == [
            ["0.009 mL", "1.000", "1.000"],
            ["0.006 mL", "1.000", "1.000"],
        ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--rule", "lee"), "'lee' is no threshold rule; write fixed:0.5"),
        (("--rule", "area:2"), "AreaFraction takes a number from 0 to 1, not 2.0"),
        (("--rule", "otsu:all"), "unit, volume, cohort, not 'all'"),
        (("--rule", "local-otsu:0"), "LocalOtsu takes a radius above 0, not 0.0"),
        (("--rule", "local-otsu:1"), "Within 1 mm of a pixel lies no other one"),
        (("--opening-mm", "-1"), "opening_mm of a clean-up is a number from 0 on, not -1.0"),
        (("--per", "slice"), "per of a clean-up is one of volume, unit, not 'slice'"),
        (("--connectivity", "8"), "faces, corners, not '8'"),
        (("--touching", "nowhere.nii"), "nowhere.nii does not exist"),
        (("--foreground", "kmeans"), "say in which with --image, or give a mask file"),
        (("--image", "scan.nii"), "--image is where --foreground looks; say which"),
        (("--foreground", "brain"), "no foreground 'brain'; give a mask file, or one of kmeans, "),
        (("--foreground", "a", "--foreground", "b", "--foreground", "c"), "given 3 times for 1"),
        (("--foreground", "otsu", "--image", "nowhere.nii"), "nowhere.nii does not exist"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path, words: tuple[str, ...], said: str
) -> None:
    ended = call("mask", write(tmp_path / "map.nii.gz", source), "-o", out, *words)
    assert ended.code == 1
    assert said in ended.err
    assert len(ended.err.splitlines()) == 1
    assert not out.exists()


def test_an_image_on_another_grid_is_refused(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    wide(tmp_path, "image", np.ones((3, 5, 6)), (9, 1, 1))
    path = write(tmp_path / "map.nii.gz", source)
    words = ("--foreground", "otsu", "--image", tmp_path / "image.nii")
    ended = call("mask", path, "-o", out, *words)
    assert (ended.code, "but the heatmap on a grid of (2, 2, 3) voxels" in ended.err) == (1, True)


def test_a_raw_heatmap_is_named_by_its_file(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    path = write(tmp_path / "map.nii.gz", source)
    facts = json.loads((tmp_path / "map.json").read_text())
    facts["map"]["kind"] = "raw"
    (tmp_path / "map.json").write_text(json.dumps(facts))
    ended = call("mask", path, "-o", out, "--rule", "fixed:0.5")
    assert ended.code == 1
    assert "map.nii.gz' is raw" in ended.err


def test_heatmaps_on_two_scales_are_named_by_their_paths(
    call: Call, tmp_path: Path, source: nc.Volume, out: Path
) -> None:
    paths = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths.append(write(tmp_path / name / "map.nii.gz", source))
    facts = json.loads((tmp_path / "two" / "map.json").read_text())
    facts["map"]["kind"] = "raw"
    (tmp_path / "two" / "map.json").write_text(json.dumps(facts))
    ended = call("mask", *paths, "-o", out, "--rule", "otsu:cohort")
    assert ended.code == 1
    assert re.search(r"one.map\.nii\.gz' is unit and '.*two.map\.nii\.gz' is raw", ended.err)
