"""``napari-cam explain``, compared with the Python API and with nibabel's own reading."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import tifffile
from PIL import Image

import napari_cam as nc
from napari_cam.cams.plan import Plan
from napari_cam.models.files.model_files import save_model
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Resize, Slices, ZScore
from napari_cam.volumes.heatmap_files import read_heatmap
from tests.cli.conftest import NAME, Call, tiny_model


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_files_hold_what_python_computes(call: Call, image: Path, model: Path, out: Path) -> None:
    ended = call(
        *("explain", image, "--model", model, "--out", out),
        *("--method", "gradcam", "--method", "hirescam", "--class", "damaged", "--class", "0"),
    )
    assert ended.code == 0, ended.err
    words = [
        f"{method}_features_{c}"
        for method in ("gradcam", "hirescam")
        for c in ("damaged", "healthy")
    ]
    assert names_in(out) == sorted(
        f"heatmap_{word}{end}" for word in words for end in (".json", ".nii.gz")
    )
    maps = nc.explain(
        nc.load_model(model), nc.read_volume(image), ["gradcam", "hirescam"], ["damaged", 0]
    )
    for word in words:
        method, _, label = word.split("_")
        heatmap, _ = read_heatmap(out / f"heatmap_{word}.nii.gz")
        expected = maps[f"{method} / {label}"]
        np.testing.assert_allclose(heatmap.values, expected.values, atol=1e-6)
        np.testing.assert_array_equal(heatmap.valid, expected.valid)
        np.testing.assert_allclose(heatmap.score, expected.score, rtol=1e-5)
    assert len(ended.out.splitlines()) == 2 + 4
    for word in words:
        assert f"heatmap_{word}.nii.gz" in ended.out


def test_heatmaps_lie_where_the_image_lies(call: Call, image: Path, model: Path, out: Path) -> None:
    assert call("explain", image, "-m", model, "-o", out).code == 0
    source = nib.load(image)
    heatmap = nib.load(out / "heatmap_gradcam_features_predicted.nii.gz")
    assert heatmap.shape == source.shape == (60, 48, 9)
    np.testing.assert_array_equal(heatmap.affine, source.affine)
    for field in ("pixdim", "sform_code", "qform_code", "srow_x", "quatern_b", "xyzt_units"):
        np.testing.assert_array_equal(heatmap.header[field], source.header[field])
    assert heatmap.get_data_dtype() == np.float32


def test_no_result_names_the_patient(call: Call, image: Path, model: Path, out: Path) -> None:
    ended = call("explain", image, "-m", model, "-o", out, "--method", "gradcam++")
    assert ended.code == 0
    assert NAME not in ended.out + ended.err
    for path in out.iterdir():
        raw = path.read_bytes()
        assert NAME not in path.name
        assert NAME.encode() not in raw
        if path.name.endswith(".gz"):
            import gzip

            assert NAME.encode() not in gzip.decompress(raw)


def test_the_sidecar_says_how_it_was_made(call: Call, image: Path, model: Path, out: Path) -> None:
    call("explain", image, "-m", model, "-o", out, "--class", "damaged", "--scale", "max")
    facts = json.loads((out / "heatmap_gradcam_features_damaged.json").read_text())
    assert facts["kind"] == "heatmap"
    assert facts["method"]["name"] == "gradcam"
    assert facts["target"] == "damaged"
    assert facts["scale"] == "max"
    assert facts["model"]["sha256"] == nc.load_model(model).sha256
    assert facts["image"]["sha256"] == nc.read_volume(image).sha256()


def test_nothing_is_computed_where_a_result_stands(
    call: Call, image: Path, model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call("explain", image, "-m", model, "-o", out).code == 0
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    run = Plan.run
    monkeypatch.setattr(Plan, "run", lambda _: pytest.fail("it computed"))
    ended = call("explain", image, "-m", model, "-o", out)
    assert ended.code == 1
    assert "exists already" in ended.err
    assert "--overwrite" in ended.err
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    monkeypatch.setattr(Plan, "run", run)
    assert call("explain", image, "-m", model, "-o", out, "--overwrite", "--scale", "max").code == 0
    assert names_in(out) == sorted(before)


def test_only_the_slices_asked_for(call: Call, image: Path, model: Path, out: Path) -> None:
    ended = call("explain", image, "-m", model, "-o", out, "--slices", "2:4,7")
    assert ended.code == 0
    assert " of 3 " in ended.out
    heatmap, _ = read_heatmap(out / "heatmap_gradcam_features_predicted.nii.gz")
    assert heatmap.unit_axis == 0
    seen = heatmap.inside.any(axis=(1, 2))
    np.testing.assert_array_equal(np.flatnonzero(seen), [2, 3, 7])
    whole = nc.explain_one(nc.load_model(model), nc.read_volume(image))
    np.testing.assert_allclose(heatmap.values[[2, 3, 7]], whole.values[[2, 3, 7]], atol=1e-6)
    assert "of 9 slices hold no evidence" not in ended.err


def test_layers_apart_and_fused(call: Call, image: Path, model: Path, out: Path) -> None:
    ended = call(
        *("explain", image, "-m", model, "-o", out, "--method", "layercam", "--format", "tiff"),
        *("--layer", "features.0", "--layer", "features.1", "--fused", "features.0+features.1"),
        *("--class", "1", "--batch-size", "2", "--device", "cpu", "--precision", "float32"),
    )
    assert ended.code == 0, ended.err
    stems = ["features.0+features.1", "features.0", "features.1"]
    files = [name for name in names_in(out) if name.endswith(".tif")]
    assert files == [f"heatmap_layercam_{stem}_damaged.tif" for stem in stems]
    maps = nc.explain(
        nc.load_model(model),
        nc.read_volume(image),
        "layercam",
        1,
        ["features.0", "features.1", nc.Fused(["features.0", "features.1"])],
    )
    for key, name in zip(maps, (files[1], files[2], files[0]), strict=True):
        np.testing.assert_allclose(tifffile.imread(out / name), maps[key].values, atol=1e-6)


def test_normalising_by_a_foreground(
    call: Call, study: Path, image: Path, model: Path, out: Path
) -> None:
    mask = nc.read_volume(study / "truth.nii.gz").values != 0
    ended = call(
        *("explain", image, "-m", model, "-o", out, "--normalize", "foreground"),
        *("--foreground", study / "truth.nii.gz", "--class", "damaged"),
    )
    assert ended.code == 0, ended.err
    heatmap, _ = read_heatmap(out / "heatmap_gradcam_features_damaged.nii.gz")
    expected = nc.explain_one(
        nc.load_model(model),
        nc.read_volume(image),
        target="damaged",
        normalize="foreground",
        foreground=mask,
    )
    np.testing.assert_allclose(heatmap.values, expected.values, atol=1e-6)


def test_a_colour_picture_and_a_network_of_colours(call: Call, tmp_path: Path, out: Path) -> None:
    pixels = np.random.default_rng(2).integers(0, 255, (40, 56, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / f"{NAME}.png")
    save_model(tiny_model(3), tmp_path / "rgb.safetensors")
    ended = call("explain", tmp_path / f"{NAME}.png", "-m", tmp_path / "rgb.safetensors", "-o", out)
    assert ended.code == 0, ended.err
    heatmap, _ = read_heatmap(out / "heatmap_gradcam_features_predicted.nii.gz")
    assert heatmap.values.shape == (1, 40, 56)
    volume = nc.Volume.from_array(pixels, channel_axis=-1)
    expected = nc.explain_one(tiny_model(3), volume)
    np.testing.assert_allclose(heatmap.values, expected.values, atol=1e-6)


def test_a_time_point_and_a_voxel_size(call: Call, tmp_path: Path, model: Path, out: Path) -> None:
    values = np.random.default_rng(3).normal(size=(3, 5, 48, 40)).astype(np.float32)
    path = tmp_path / f"{NAME}.tif"
    tifffile.imwrite(path, values, metadata={"axes": "TZYX"}, ome=False, imagej=False)
    ended = call(
        *("explain", path, "-m", model, "-o", out, "--format", "tiff"),
        *("--axis4", "time", "--time", "2", "--spacing", "4,0.5,0.25"),
    )
    assert ended.code == 0, ended.err
    heatmap, _ = read_heatmap(out / "heatmap_gradcam_features_predicted.tif")
    assert heatmap.grid.spacing == pytest.approx((4, 0.5, 0.25))
    expected = nc.explain_one(nc.load_model(model), nc.Volume.from_array(values[2], (4, 0.5, 0.25)))
    np.testing.assert_allclose(heatmap.values, expected.values, atol=1e-6)


def test_a_network_of_whole_volumes(call: Call, image: Path, tmp_path: Path, out: Path) -> None:
    save_model(tiny_model(1, 3), tmp_path / "3d.safetensors")
    ended = call("explain", image, "-m", tmp_path / "3d.safetensors", "-o", out)
    assert ended.code == 0, ended.err
    heatmap, _ = read_heatmap(out / "heatmap_gradcam_features_predicted.nii.gz")
    assert heatmap.unit_axis is None
    assert heatmap.values.shape == (9, 48, 60)


def test_weights_alone_with_their_architecture(
    call: Call, image: Path, tmp_path: Path, out: Path
) -> None:
    import torch

    from napari_cam.models.architectures.building import build

    torch.manual_seed(0)
    torch.save(build("squeezenet1_1", 3, 3).state_dict(), tmp_path / "w.pth")
    ended = call(
        *("explain", image, "-m", tmp_path / "w.pth", "-o", out, "--slices", "4"),
        *("--architecture", "squeezenet1_1", "--class-names", "a, b,c", "--class", "b"),
    )
    assert ended.code == 0, ended.err
    assert [name for name in names_in(out) if name.endswith("_b.nii.gz")]


def test_notes_are_shown_after_the_work(
    call: Call, image: Path, model: Path, tmp_path: Path, out: Path
) -> None:
    values = np.asarray(nc.read_volume(image).values, dtype=np.float32).copy()
    values[4, 20, 30] = np.nan
    np.save(tmp_path / "nan.npy", values)
    ended = call("explain", tmp_path / "nan.npy", "-m", model, "-o", out)
    assert ended.code == 0
    assert ended.err.startswith("note: ")
    assert all(line.startswith("note: ") for line in ended.err.splitlines())


def test_no_bar_where_nobody_watches(call: Call, image: Path, model: Path, out: Path) -> None:
    assert "slice" not in call("explain", image, "-m", model, "-o", out).err


def test_a_bar_counts_slices_on_a_terminal(
    call: Call, image: Path, model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(sys.stderr), "isatty", lambda _: True, raising=False)
    assert "/9 [" in call("explain", image, "-m", model, "-o", out).err


def test_an_interruption_leaves_nothing(
    call: Call, image: Path, model: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Plan.run

    def stop(plan: Plan) -> Any:
        yield next(iter(run(plan)))
        raise KeyboardInterrupt

    monkeypatch.setattr(Plan, "run", stop)
    assert call("explain", image, "-m", model, "-o", out).code == 130
    assert not out.exists()


def test_preparation_from_a_file_or_from_an_earlier_heatmap(
    call: Call, image: Path, model: Path, out: Path, tmp_path: Path
) -> None:
    steps = Preparation((Slices("acquisition"), Resize((32, 40)), ZScore(), Channels("as_is")))
    listed = tmp_path / "steps.json"
    listed.write_text(json.dumps(steps.to_json()))
    base = ("explain", image, "-m", model, "--class", "1", "-o")
    assert call(*base, out / "a", "--preparation", listed).code == 0
    sidecar = out / "a" / "heatmap_gradcam_features_damaged.json"
    assert call(*base, out / "b", "--preparation", sidecar).code == 0
    loaded = nc.load_model(model, preparation=steps)
    expected = nc.explain_one(loaded, nc.read_volume(image), "gradcam", 1)
    for folder in ("a", "b"):
        heatmap, _ = read_heatmap(out / folder / "heatmap_gradcam_features_damaged.nii.gz")
        np.testing.assert_allclose(heatmap.values, expected.values, atol=1e-6)


def test_imagenet_preparation(call: Call, image: Path, out: Path, tmp_path: Path) -> None:
    path = save_model(tiny_model(3), tmp_path / "colours.safetensors")
    assert call("explain", image, "-m", path, "-o", out, "--preparation", "imagenet").code == 0
    sidecar = json.loads((out / "heatmap_gradcam_features_predicted.json").read_text())
    assert sidecar["preparation"] == Preparation.imagenet().to_json()


@pytest.mark.parametrize("spatial_ndim", [2, 3])
def test_methods_that_ask_the_network_again(
    call: Call, image: Path, tmp_path: Path, out: Path, spatial_ndim: int
) -> None:
    path = tmp_path / "network.safetensors"
    save_model(tiny_model(1, spatial_ndim), path)
    methods = ["smoothgradcam++", "xrescam", "liftcam", "fullgrad", "saliency", "random"]
    units: tuple[str, ...] = ("--slices", "4:6") if spatial_ndim == 2 else ()
    chosen = [word for method in methods for word in ("--method", method)]
    ended = call("explain", image, "-m", path, "-o", out, "--class", "damaged", *chosen, *units)
    assert ended.code == 0, ended.err
    maps = nc.explain(
        nc.load_model(path),
        nc.read_volume(image),
        methods,
        "damaged",
        units=range(4, 6) if spatial_ndim == 2 else None,
    )
    for method in methods:
        layer = "input" if method in ("fullgrad", "saliency") else "features"
        heatmap, _ = read_heatmap(out / f"heatmap_{method}_{layer}_damaged.nii.gz")
        assert heatmap.values.shape == (9, 48, 60)
        np.testing.assert_allclose(heatmap.values, maps[method].values, atol=1e-5)
        np.testing.assert_array_equal(heatmap.valid, maps[method].valid)
        assert heatmap.provenance["method"].get("seed", 0) == 0
    assert maps["saliency"].valid.any()


def test_windows(call: Call, image: Path, model: Path, out: Path) -> None:
    options = ("--model", str(model), "--class", "1", "--slices", "2", "--method", "layercam")
    cut = ("--windows", "16,24", "--window-overlap", "0.25", "--window-margin", "2")
    assert call("explain", str(image), *options, *cut, "--out", str(out)).code == 0
    (file,) = out.glob("*.nii.gz")
    windows = nc.Windows((16, 24), 0.25, margin=2)
    expected = nc.explain_one(
        nc.load_model(model), nc.read_volume(image), "layercam", 1, units=[2], windows=windows
    )
    np.testing.assert_allclose(nc.read_volume(file).values, expected.values, atol=1e-6)
    facts = json.loads(file.with_name(file.name.replace(".nii.gz", ".json")).read_text())
    assert facts["windows"]["size"] == [16, 24]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--windows", "wide"), "whole numbers of pixels"),
        (("--windows", "8,8,8"), "3 axes"),
        (("--window-margin", "2"), "need their size"),
        (("--windows", "8", "--window-overlap", "1"), "overlap"),
    ],
)
def test_impossible_windows(
    call: Call, image: Path, model: Path, out: Path, options: tuple[str, ...], words: str
) -> None:
    ended = call("explain", str(image), "--model", str(model), *options, "--out", str(out))
    assert ended.code == 1
    assert words in ended.err
    assert not out.exists()
