"""Heatmaps on the volume's grid: geometry, normalisation, evidence, batches, memory."""

from __future__ import annotations

import itertools

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import nn

import napari_cam as nc
from napari_cam.cams.build_heatmaps import build_heatmaps
from napari_cam.cams.plan import RunOptions, plan_explanation
from napari_cam.errors import (
    DeviceError,
    MaskError,
    MethodError,
    ModelError,
    PreparationError,
    VolumeError,
)
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import (
    Channels,
    Crop,
    Foreground,
    Orient,
    Pad,
    Rescale,
    Resize,
    Slices,
)
from tests.cams.networks import GapNet, MlpNet, seeded

SHAPE = (5, 20, 28)


def volume(shape=SHAPE, seed=0):
    rng = np.random.default_rng(seed)
    return nc.Volume.from_array(rng.random(shape, dtype=np.float32), spacing=(3.0, 0.8, 0.7))


class OneChannel(nn.Module):
    """Global pooling over the image itself, cell by cell: the map is known beforehand."""

    def __init__(self, weights=(1.0, -1.0), cell=4, ndim=2):
        super().__init__()
        pool = nn.AvgPool2d if ndim == 2 else nn.AvgPool3d
        self.cells = pool(cell)
        self.head = nn.Linear(1, len(weights), bias=False)
        with torch.no_grad():
            self.head.weight[:, 0] = torch.tensor(weights)

    def forward(self, x):
        return self.head(self.cells(x).flatten(2).mean(2))


PLAIN = (Slices("acquisition"), Channels("as_is"))


def model(module=None, steps=PLAIN, **options):
    module = module or OneChannel()
    options = {"in_channels": 1, "class_names": ["bright", "dark"], **options}
    return nc.wrap_model(module, preparation=Preparation(tuple(steps)), **options)


def cell_image(cells, cell=4):
    return np.kron(np.asarray(cells, np.float32), np.ones((cell, cell), np.float32))


def test_known_map_comes_back_where_it_was():
    # One bright 4x4 cell per slice: the heatmap's centroid is that cell's, its peak is 1.
    array = np.zeros(SHAPE, np.float32)
    places = [(0, 3), (4, 6), (2, 1), (1, 5), (3, 2)]
    for z, (i, j) in enumerate(places):
        array[z, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = 1
    heatmap = nc.explain_one(model(), array, "gradcam", "bright", "cells")
    assert heatmap.values.shape == SHAPE
    assert heatmap.kind == "unit"
    for z, (i, j) in enumerate(places):
        weights = heatmap.values[z]
        assert weights.max() == 1.0
        inner = 0 < i < 4 and 0 < j < 6  # at a border the enlargement is cut off on one side
        y, x = (np.arange(n) @ weights.sum(axis=a) for a, n in ((1, 20), (0, 28)))
        if inner:
            assert y / weights.sum() == pytest.approx(4 * i + 1.5, abs=0.01)
            assert x / weights.sum() == pytest.approx(4 * j + 1.5, abs=0.01)
        assert weights[4 * i + 1, 4 * j + 1] > 0.7


def test_class_that_no_place_speaks_for_is_no_evidence():
    # "dark" has weight -1: its map is all negative.
    heatmap = nc.explain_one(model(), volume(), "gradcam", "dark", "cells")
    assert not heatmap.valid.any()
    assert not heatmap.values.any()
    assert heatmap.note == (
        "5 of 5 slices hold no evidence for this class: their map is flat, all negative or not a "
        "number, and left at zero."
    )
    mask = nc.binarize(heatmap, nc.Fixed(0.0), strict=False)
    assert not next(iter(mask.values())).any()


def test_flat_and_nan_maps_are_no_evidence():
    array = np.random.default_rng(0).random(SHAPE, dtype=np.float32) * 0.9
    array[1] = 0.5  # flat
    heatmap = nc.explain_one(model(), array, "gradcam", "bright", "cells")
    assert heatmap.valid.tolist() == [True, False, True, True, True]
    assert not heatmap.values[1].any()

    class Broken(OneChannel):
        def forward(self, x):
            x = torch.where(x > 0.999, torch.nan, x)
            return super().forward(x)

    array[3, 2, 2] = 1.0
    heatmap = nc.explain_one(model(Broken()), array, "gradcam", "bright", "cells")
    assert heatmap.valid.tolist() == [True, False, True, False, True]
    assert np.isfinite(heatmap.values).all()


def test_rounding_above_a_negative_map_is_no_evidence():
    array = cell_image([[-1.0, -2, -3], [-4, -5, 1e-7]], 2)[None]
    explained = nc.explain_one(model(OneChannel(cell=2)), array, "hirescam", "bright", "cells")
    assert not explained.valid.any()
    assert not explained.values.any()
    # The same speck is evidence where nothing outweighs it.
    alone = nc.explain_one(
        model(OneChannel(cell=2)), np.maximum(array, 0), "hirescam", "bright", "cells"
    )
    assert alone.valid.all()


def test_methods_that_cannot_take_nan_leave_the_other_slices():
    class Broken(MlpNet):
        def forward(self, x):
            return super().forward(torch.where(x > 0.999, torch.nan, x))

    array = np.random.default_rng(0).random((2, 5, 10, 12), dtype=np.float32) * 0.9
    array[0, 3, 0, 0] = 1.0
    steps = (Slices("acquisition"), Channels("as_is"))
    broken = model(seeded(Broken()), steps, in_channels=2, class_names=["a", "b", "c"])
    image = nc.Volume.from_array(array, channel_axis=0)
    for method in ("eigencam", "eigengradcam"):
        heatmap = nc.explain_one(broken, image, method, "b", "relu2")
        assert heatmap.valid.tolist() == [True, True, True, False, True]


def test_normalisations_by_hand():
    cells = np.array([[[1.0, 2, 3], [4, 5, 6]], [[10, 20, 30], [40, 50, 60]]])
    array = np.stack([cell_image(c, 2) for c in cells])
    wrapped = model(OneChannel(cell=2))
    raw = array.copy()  # the map itself before enlargement, divided by Z = 6

    def explain(**options):
        return nc.explain_one(wrapped, array, "hirescam", "bright", "cells", **options)

    unit, whole = explain(), explain(normalize="volume")
    top = explain(scale="max")
    none = explain(normalize="none")
    assert raw.max() == 60
    np.testing.assert_allclose(unit.raw_min, [1 / 6, 10 / 6], rtol=1e-6)
    np.testing.assert_allclose(unit.raw_max, [1, 10], rtol=1e-6)
    np.testing.assert_allclose(whole.raw_min, [1 / 6] * 2, rtol=1e-6)
    np.testing.assert_allclose(whole.raw_max, [10] * 2, rtol=1e-6)
    np.testing.assert_allclose(unit.values[0], unit.values[1], atol=1e-6)
    assert unit.values[:, 0, 0].tolist() == [0, 0]
    assert whole.values[0].max() == pytest.approx((1 - 1 / 6) / (10 - 1 / 6))
    assert top.values[0, 0, 0] == pytest.approx(1 / 6)
    assert (none.kind, none.values.max()) == ("raw", pytest.approx(10))
    # Normalisation can be redone from what is stored.
    for heatmap in (unit, whole, top):
        low, high = (heatmap.per_unit(x) for x in (heatmap.raw_min, heatmap.raw_max))
        np.testing.assert_allclose(heatmap.values * (high - low) + low, none.values, atol=1e-5)


def test_foreground_normalisation():
    array = cell_image([[1.0, 2, 3], [4, 5, 60]], 2)[None]
    foreground = np.ones(array.shape, bool)
    foreground[:, 2:, 4:] = False
    heatmap = nc.explain_one(
        model(OneChannel(cell=2)), array, "hirescam", "bright", "cells",
        normalize="foreground", foreground=foreground,
    )  # fmt: skip
    assert heatmap.values[0, :2].max() < 1.0 or heatmap.values[foreground].max() == 1.0
    assert heatmap.values[foreground].max() == 1.0
    assert heatmap.values.max() == 1.0, "clipped outside"
    with pytest.raises(MethodError, match="needs a foreground"):
        nc.explain_one(model(), volume(), normalize="foreground")
    with pytest.raises(MethodError, match="normalize is 'unit', which does not use it"):
        nc.explain_one(model(), volume(), foreground=foreground)
    with pytest.raises(MaskError, match="foreground has shape"):
        nc.explain_one(
            model(), volume(), normalize="foreground", foreground=np.ones((2, 3, 4), bool)
        )


def test_foreground_of_the_preparation():
    array = np.zeros((3, 24, 28), np.float32)
    array[:, 4:16, 8:24] = 1 + np.random.default_rng(0).random((3, 12, 16))
    steps = (Foreground("otsu"), Slices("acquisition"), Channels("as_is"))
    wrapped = model(steps=steps)
    heatmap = nc.explain_one(wrapped, array, "gradcam", "bright", "cells", normalize="foreground")
    assert heatmap.valid.all()
    inner = heatmap.values[:, 5:15, 9:23]
    assert inner.max() == 1.0


@pytest.mark.parametrize("relu", ["sum", "none"])
def test_signed_maps(relu):
    array = cell_image([[-1.0, 2, -3], [4, -5, 6]], 2)[None]
    method = type(nc.METHODS["hirescam"])(relu=relu)
    heatmap = nc.explain_one(
        model(OneChannel(cell=2)), array, method, "bright", "cells", normalize="none"
    )
    assert heatmap.kind == {"sum": "raw", "none": "signed"}[relu]
    assert (heatmap.values.min() < 0) == (relu == "none")


# --------------------------------------------------------------------------- geometry


def test_flipped_twin_gives_the_same_map():
    rng = np.random.default_rng(4)
    data = rng.random((12, 16, 6)).astype(np.float32)
    ras = nib.Nifti1Image(data, np.diag([0.8, 0.7, 3.0, 1.0]))
    module = seeded(MlpNet())
    module.first = nn.Conv2d(1, 4, 3, padding=1)
    steps = (Orient("IPL"), Rescale(), Slices("acquisition"), Channels("as_is"))
    wrapped = model(module, steps, class_names=["a", "b", "c"])
    maps = {}
    for flips in itertools.product([1, -1], repeat=3):
        ornt = np.column_stack([np.arange(3), flips])
        twin = ras.as_reoriented(ornt)
        grid_affine = np.asarray(twin.affine)[:, [2, 1, 0, 3]]
        letters = "".join(nib.aff2axcodes(twin.affine))[::-1]
        values = np.asarray(twin.dataobj).T
        stored = nc.Volume(values, nc.Grid(values.shape, grid_affine, letters))
        heatmap = nc.explain_one(wrapped, stored, "layercam", "b", "relu2")
        # Back to RAS order by nibabel's own flips.
        back = nib.Nifti1Image(heatmap.values.T, twin.affine).as_reoriented(ornt)
        np.testing.assert_allclose(back.affine, ras.affine, atol=1e-6)
        maps[flips] = np.asarray(back.dataobj)
    first = maps[1, 1, 1]
    assert first.max() == 1.0
    for values in maps.values():
        np.testing.assert_allclose(values, first, atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_units_lie_along_the_sliced_axis(axis):
    array = np.random.default_rng(0).random((8, 12, 16), dtype=np.float32)
    wrapped = model(steps=(Slices(axis), Channels("as_is")))
    heatmap = nc.explain_one(wrapped, array, "gradcam", "bright", "cells")
    assert heatmap.unit_axis == axis
    assert heatmap.valid.shape == (array.shape[axis],)
    # The network sees the mean of a slice: its score is known.
    mean = array.mean(axis=tuple(a for a in range(3) if a != axis))
    np.testing.assert_allclose(heatmap.score, mean, rtol=1e-5)
    np.testing.assert_allclose(np.moveaxis(heatmap.values, axis, 0).max(axis=(1, 2)), 1)


def test_outside_a_crop_is_undefined():
    array = np.random.default_rng(0).random((2, 20, 24), dtype=np.float32) + 1
    wrapped = model(steps=(Slices("acquisition"), Crop((8, 12), (4, 8)), Channels("as_is")))
    heatmap = nc.explain_one(wrapped, array, "gradcam", "bright", "cells")
    expected = np.zeros((2, 20, 24), bool)
    expected[:, 4:12, 8:20] = True
    np.testing.assert_array_equal(heatmap.inside, expected)
    assert not heatmap.values[~expected].any()


def test_resized_and_padded_input_maps_back():
    array = np.zeros((1, 20, 30), np.float32)
    array[0, 8:12, 18:24] = 1  # centroid (9.5, 20.5)
    steps = (
        Slices("acquisition"), Resize((40, 60)), Pad(size=(48, 72)), Channels("as_is"),
    )  # fmt: skip
    heatmap = nc.explain_one(model(steps=steps), array, "gradcam", "bright", "cells")
    weights = heatmap.values[0]
    centroid = [np.arange(n) @ weights.sum(axis=a) / weights.sum() for a, n in ((1, 20), (0, 30))]
    assert centroid == pytest.approx([9.5, 20.5], abs=0.5)


def test_3d_network_takes_the_volume_as_one_unit():
    array = np.zeros((8, 12, 16), np.float32)
    array[2:6, 4:8, 8:12] = 1
    module = OneChannel(cell=2, ndim=3)
    wrapped = nc.wrap_model(
        module, ["bright", "dark"], 1, 3, preparation=Preparation((Channels("as_is"),))
    )
    heatmap = nc.explain_one(wrapped, array, "gradcam", "bright", "cells")
    assert heatmap.unit_axis is None
    assert heatmap.valid.tolist() == [True]
    centroid = [
        np.arange(n) @ heatmap.values.sum(axis=tuple(set(range(3)) - {a})) / heatmap.values.sum()
        for a, n in enumerate(array.shape)
    ]
    assert centroid == pytest.approx([3.5, 5.5, 9.5], abs=0.01)
    dark = nc.explain_one(wrapped, array, "gradcam", "dark", "cells")
    assert dark.note.startswith("The volume holds no evidence")


def test_rgb_and_several_channels():
    rng = np.random.default_rng(0)
    picture = nc.Volume.from_array(rng.integers(0, 256, (20, 28, 2)), channel_axis=-1)
    wrapped = nc.wrap_model(seeded(MlpNet()), ["a", "b", "c"], in_channels=2)
    heatmap = nc.explain_one(wrapped, picture, "hirescam", "a", "relu2")
    assert heatmap.values.shape == (1, 20, 28)
    three = nc.Volume.from_array(np.ones((3, 4, 20, 28)), channel_axis=0)
    with pytest.raises(PreparationError, match="channel"):
        nc.explain_one(wrapped, three, "hirescam", "a", "relu2")


# --------------------------------------------------------------------------- running


def big_model():
    return nc.wrap_model(seeded(MlpNet()), ["a", "b", "c"], in_channels=2)


def two_channels(n=7):
    rng = np.random.default_rng(3)
    return nc.Volume.from_array(rng.random((2, n, 10, 12), dtype=np.float32), channel_axis=0)


@pytest.mark.parametrize("batch_size", [1, 2, 3, 7, 50])
def test_results_do_not_depend_on_batch_size(batch_size):
    # Those that ask the network many times have a test of their own.
    methods = [name for name, each in nc.METHODS.items() if "class weights" not in each.needs]
    methods = [name for name in methods if name not in ("occlusion", "rise", "smoothgrad")]
    wrapped, image = big_model(), two_channels()
    reference = nc.explain(wrapped, image, methods, "b", "relu2", batch_size=4)
    found = nc.explain(wrapped, image, methods[::-1], "b", "relu2", batch_size=batch_size)
    for key, heatmap in reference.items():
        np.testing.assert_allclose(found[key].values, heatmap.values, atol=2e-5)


def test_asked_for_slice_comes_first_and_alone():
    parts = list(
        nc.explain_units(big_model(), two_channels(), first=4, batch_size=3, layers="relu2")
    )
    assert [part.units for part in parts] == [(4,), (0, 1, 2), (3, 5, 6)]


def test_some_slices_and_cancel():
    wrapped, image = big_model(), two_channels()
    whole = nc.explain_one(wrapped, image, "gradcam", "b", "relu2")
    some = nc.explain_one(wrapped, image, "gradcam", "b", "relu2", units=[5, 1])
    np.testing.assert_allclose(some.values[[1, 5]], whole.values[[1, 5]], atol=1e-6)
    assert some.inside.any(axis=(1, 2)).tolist() == [False, True, False, False, False, True, False]
    assert np.isnan(some.score[[0, 2, 3, 4, 6]]).all()
    assert some.predicted_index[0] == -1
    # Cancelled after two batches: what came stays good.
    plan = plan_explanation(wrapped, image, "gradcam", "b", "relu2", RunOptions(batch_size=2))
    run = plan.run()
    parts = [next(run), next(run)]
    run.close()
    kept = build_heatmaps(plan, parts)["gradcam"]
    np.testing.assert_allclose(kept.values[:3], whole.values[:3], atol=1e-6)
    assert not kept.inside[3:].any()
    assert not wrapped.module.relu2._forward_hooks


def test_predicted_class_by_slice():
    wrapped, image = big_model(), two_channels()
    heatmap = nc.explain_one(wrapped, image, "hirescam", None, "relu2")
    np.testing.assert_array_equal(heatmap.class_index, heatmap.predicted_index)
    with torch.no_grad():
        batch = torch.from_numpy(wrapped.card.preparation.bind(image).batch(range(7)))
        logits = wrapped.module.eval()(batch)
    np.testing.assert_array_equal(heatmap.predicted_index, logits.argmax(1).numpy())
    np.testing.assert_allclose(heatmap.score, logits.max(1).values.numpy(), rtol=1e-5)


class Greedy(MlpNet):
    """Runs out of memory for more than `most` images."""

    most = 2
    error: type[BaseException] = torch.cuda.OutOfMemoryError

    def forward(self, x):
        self.seen = [*getattr(self, "seen", []), len(x)]
        if len(x) > self.most:
            raise self.error("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().forward(x)


@pytest.mark.parametrize("error", [torch.cuda.OutOfMemoryError, RuntimeError, MemoryError])
def test_batch_halves_when_memory_runs_out(error):
    net = seeded(Greedy())
    net.error = error
    wrapped = nc.wrap_model(net, ["a", "b", "c"], in_channels=2)
    heatmap = nc.explain_one(
        wrapped, two_channels(12), "gradcam", "b", "relu2", batch_size=8, optimize=False
    )
    assert net.seen == [1, 8, 4, 2, 2, 2, 2, 2, 1]
    assert heatmap.provenance["batch_size"] == 2
    # The private copy keeps its own count of what it saw, and halves its batch alike.
    copied = nc.explain_one(wrapped, two_channels(12), "gradcam", "b", "relu2", batch_size=8)
    assert copied.provenance["batch_size"] == 2
    np.testing.assert_allclose(copied.values, heatmap.values, atol=1e-5)
    expected = nc.explain_one(big_model(), two_channels(12), "gradcam", "b", "relu2")
    np.testing.assert_allclose(heatmap.values, expected.values, atol=1e-5)


def test_one_unit_too_large_is_named():
    net = seeded(Greedy())
    net.most = 0
    wrapped = nc.wrap_model(net, ["a", "b", "c"], in_channels=2)
    with pytest.raises(DeviceError, match=r"One unit of shape \(2, 10, 12\) does not fit"):
        nc.explain_one(wrapped, two_channels(), "gradcam", "b", "relu2")


def test_other_runtime_errors_are_sentences():
    class Fails(MlpNet):
        def forward(self, x):
            del x
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)")

    wrapped = nc.wrap_model(seeded(Fails()), ["a", "b", "c"], in_channels=2)
    with pytest.raises(ModelError, match=r"does not run on an input of shape .* cannot be multi"):
        nc.explain_one(wrapped, two_channels(), "gradcam", "b", "relu2")


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"device": "cuda:99"}, DeviceError, "not available here"),
        ({"device": "gpu"}, DeviceError, "no device 'gpu'"),
        ({"device": "meta"}, DeviceError, "not available here"),
        ({"precision": "float8"}, DeviceError, "precision is one of"),
        ({"batch_size": 0}, DeviceError, "positive integer, not 0"),
        ({"batch_size": "many"}, DeviceError, "positive integer, not 'many'"),
        ({"normalize": "slice"}, MethodError, "normalize is one of"),
        ({"scale": "std"}, MethodError, "scale is one of"),
        ({"units": [7]}, PreparationError, "no slice 7; the volume has 7, 0 to 6"),
        ({"units": []}, PreparationError, "No slices are asked for"),
        ({"units": [1.5]}, PreparationError, "by their numbers, not 1.5"),
        ({"units": "12"}, PreparationError, "by their numbers, not '1'"),
        ({"units": np.ones(7, bool)}, PreparationError, "by their numbers, not np.True_"),
        ({"units": [True]}, PreparationError, "by their numbers, not True"),
        ({"units": slice(0, 2)}, PreparationError, "by their numbers, not slice"),
        ({"units": 3}, PreparationError, r"for slice 3 write \[3\]"),
        ({"methods": [["gradcam"]]}, MethodError, "no method '"),
    ],
)
def test_options_that_make_no_sense(options, error, sentence):
    with pytest.raises(error, match=sentence):
        nc.explain(
            big_model(),
            two_channels(),
            **{"methods": "gradcam", "targets": "b", "layers": "relu2", **options},
        )


def test_what_is_no_model_and_no_volume():
    with pytest.raises(ModelError, match=r"has no card .* give what load_model or wrap_model"):
        nc.explain(big_model().module, two_channels())
    with pytest.raises(VolumeError, match="give what read_volume returns"):
        nc.explain(big_model(), "scan.nii.gz")


@pytest.mark.parametrize("names", [["a", "b"], ["a", "b", "c", "d"]])
def test_as_many_names_as_classes(names):
    wrapped = nc.wrap_model(seeded(MlpNet()), names, in_channels=2)
    with pytest.raises(ModelError, match=f"tells 3 classes apart but has {len(names)} class names"):
        nc.explain(wrapped, two_channels(), "gradcam", None, "relu2")


def test_bfloat16_stays_close():
    exact = nc.explain_one(big_model(), two_channels(), "gradcam", "b", "relu2")
    mixed = nc.explain_one(
        big_model(), two_channels(), "gradcam", "b", "relu2", precision="bfloat16"
    )
    assert np.abs(exact.values - mixed.values).max() < 0.05
    assert mixed.provenance["precision"] == "bfloat16"


def test_default_layer_is_found_on_the_volume_itself():
    wrapped = nc.wrap_model(seeded(GapNet()), ["a", "b", "c"], in_channels=2)
    maps = nc.explain(wrapped, two_channels(), ["gradcam", "cam"], "b")
    assert [str(key.layer) for key in maps] == ["relu2", "relu2"]


def test_explain_one_gives_one():
    with pytest.raises(MethodError, match="explain_one gives one heatmap, and 2"):
        nc.explain_one(big_model(), two_channels(), "gradcam", "b", ["relu1", "relu2"])


def test_provenance_tells_the_story_without_the_patient():
    image = two_channels()
    image = nc.Volume(
        image.values, image.grid, channel_names=image.channel_names,
        identity=nc.volumes.volume.Identity("Jane Doe", "1.2.3"),
        source=nc.volumes.volume.Source("array", "/data/jane_doe.nii"),
    )  # fmt: skip
    heatmap = nc.explain_one(big_model(), image, "gradcam++", "b", "relu2", normalize="volume")
    story = heatmap.provenance
    assert story["method"] == {"name": "gradcam++", "relu": "sum", "normalize_alpha": False}
    assert (story["layer"], story["target"], story["normalize"]) == ("relu2", "b", "volume")
    assert story["interpolation"] == "linear, half-pixel centres"
    assert len(story["model"]["sha256"]) == len(story["image"]["sha256"]) == 64
    assert "jane" not in str(story).lower()
    assert "jane" not in repr(image).lower()
    assert "jane" not in repr(heatmap).lower()


def test_a_slice_without_evidence_does_not_move_the_volumes_scale():
    cells = [[[2.0, 3, 4], [5, 6, 8]], [[7, 7, 7], [7, 7, 7]], [[3, 4, 5], [6, 7, 20]]]
    array = np.stack([cell_image(c, 2) for c in cells])
    wrapped = model(OneChannel(cell=2))
    heatmap = nc.explain_one(wrapped, array, "hirescam", "bright", "cells", normalize="volume")
    assert heatmap.valid.tolist() == [True, False, True]
    np.testing.assert_allclose(heatmap.raw_min, [2 / 6] * 3, rtol=1e-6)  # not the flat slice's 0
    np.testing.assert_allclose(heatmap.raw_max, [20 / 6] * 3, rtol=1e-6)
    assert not heatmap.values[1].any()


def test_evidence_outside_of_the_foreground_is_none():
    array = np.stack([cell_image([[1.0, 2, 3], [4, 5, 6]], 2)] * 2)
    foreground = np.ones(array.shape, bool)
    foreground[1] = False
    heatmap = nc.explain_one(
        model(OneChannel(cell=2)), array, "hirescam", "bright", "cells",
        normalize="foreground", foreground=foreground,
    )  # fmt: skip
    assert heatmap.valid.tolist() == [True, False]
    assert not heatmap.values[1].any()


def test_the_last_convolution_operator_is_found_for_a_volume():
    net = model(seeded(GapNet()), in_channels=2, class_names=None)
    picture = np.random.default_rng(0).random((12, 10, 2), np.float32)
    found = nc.explain(
        net, nc.Volume.from_array(picture, channel_axis=-1), layers="legacy-last-conv"
    )
    (key,) = found
    last = [name for name, part in net.module.named_modules() if isinstance(part, nn.Conv2d)][-1]
    assert str(key.layer) == last
