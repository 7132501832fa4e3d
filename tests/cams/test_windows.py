"""Explaining window by window: equal to the whole where receptive fields permit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import napari_cam as nc
from napari_cam.cams.methods.table import as_methods
from napari_cam.cams.raw import compute
from napari_cam.cams.stitching import compute_in_windows
from napari_cam.cams.targets.region_score import bind_inputs
from napari_cam.cams.targets.scores import ClassScore
from napari_cam.cams.windows import Windows
from napari_cam.errors import PreparationError
from napari_cam.models.hooks import LayerRef
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels


class Segmenter(nn.Module):
    """Two convolutions of 3 pixels and a head: an output sees 2 pixels each way."""

    def __init__(self, ndim: int, classes: int = 3) -> None:
        super().__init__()
        conv = nn.Conv2d if ndim == 2 else nn.Conv3d
        self.first = conv(2, 5, 3, padding=1)
        self.second = conv(5, 4, 3, padding=1)
        self.head = conv(4, classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.first(images))
        return self.head(torch.relu(self.second(maps)))


class Classifier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = nn.Linear(4, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.relu(self.conv(images)).mean((2, 3)))


def seeded(module: nn.Module, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for weight in module.parameters():
            nn.init.normal_(weight, std=0.4)
    return module.eval()


def noise(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("ndim", "shape", "size"), [(2, (2, 2, 29, 37), (16, 14)), (3, (1, 2, 13, 17, 15), 10)]
)
@pytest.mark.parametrize("weights", ["gaussian", "constant"])
def test_windows_give_the_whole_where_receptive_fields_permit(ndim, shape, size, weights) -> None:
    # What a place of `first` does to the output reaches 1 pixel, the place itself sees 1 pixel
    # and the outputs it reaches see 1 + 1 + 1 around it: beyond a margin of 3 nothing is cut off.
    module, images = seeded(Segmenter(ndim)), noise(*shape)
    methods = as_methods(["hirescam", "layercam"])
    targets = [nc.RegionScore(1), nc.RegionScore(2, "all")]
    layers = [LayerRef("first")]
    bound = bind_inputs(targets, shape)
    whole = compute(module, images, methods, targets, layers, bound=bound)
    windows = Windows(size, 0.25, weights, margin=3)
    found = compute_in_windows(
        module, images, windows, methods, targets, layers, bound=bound, per_pass=3
    )
    torch.testing.assert_close(found.output, whole.output, rtol=1e-4, atol=1e-5)
    assert whole.maps  # not vacuous
    for key, expected in whole.maps.items():
        assert expected.abs().max() > 0.1
        torch.testing.assert_close(found.maps[key], expected, rtol=1e-4, atol=1e-5)
    for target in targets:
        torch.testing.assert_close(
            found.scored[target].scores, whole.scored[target].scores, rtol=1e-4, atol=1e-4
        )


class Strided(nn.Module):
    """A map of every third pixel, enlarged again."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 5, 3, stride=3)
        self.head = nn.Conv2d(5, 3, 1)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.head(torch.relu(self.first(images)))
        return nn.functional.interpolate(maps, size=images.shape[2:], mode="nearest")


def test_windows_begin_on_the_stride_of_the_layer() -> None:
    module, images = seeded(Strided()), noise(1, 2, 30, 39)
    asked = (as_methods("hirescam"), [nc.RegionScore(1, "all")], [LayerRef("first")])
    bound = bind_inputs(asked[1], images.shape)
    whole = compute(module, images, *asked, bound=bound).maps["hirescam"]
    # A step of (12 - 2) * 0.5 = 5 would meet pixels between those of the whole's map.
    windows = Windows(12, 0.5, margin=1)
    found = compute_in_windows(module, images, windows, *asked, bound=bound).maps["hirescam"]
    expected = nn.functional.interpolate(whole[None], size=(30, 39), mode="bilinear")[0]
    inner = (slice(None), slice(2, -2), slice(2, -2))
    torch.testing.assert_close(found[inner], expected[inner], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("windows", "length", "stride", "expected"),
    [
        (Windows(8, 0.5), 20, 1, [0, 4, 8, 12]),
        (Windows(8, 0.5, margin=1), 20, 2, [0, 2, 4, 6, 8, 10, 12]),
        (Windows(8, 0.0), 20, 3, [0, 6, 12]),
        (Windows(8, 0.9), 10, 4, [0, 1, 2]),
        (Windows(8), 8, 4, [0]),
    ],
)
def test_where_windows_begin(windows, length, stride, expected) -> None:
    assert windows.starts(length, 8, stride) == expected


def test_parts_of_a_set_count_by_their_size() -> None:
    # Each pixel's gradient is its share of the mean over all 41, not over those of its window.
    module = nn.Conv2d(1, 2, 1, bias=False)
    with torch.no_grad():
        module.weight[:] = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1)
    region = np.zeros((5, 16), bool)
    region[2, 3] = True
    region[:, 8:] = True
    asked = ([nc.METHODS["saliency"]], [nc.RegionScore(1, region)], [])
    images = torch.ones(1, 1, 5, 16)
    bound = bind_inputs(asked[1], images.shape)
    found = compute_in_windows(module, images, Windows((5, 8), 0.0), *asked, bound=bound)
    expected = np.where(region, 1 / region.sum(), 0)
    np.testing.assert_allclose(found.maps["saliency"][0], expected, rtol=1e-6)


def test_without_a_margin_windows_see_edges_that_are_none() -> None:
    module, images = seeded(Segmenter(2)), noise(1, 2, 29, 37)
    asked = (as_methods("hirescam"), [nc.RegionScore(1, "all")], [LayerRef("first")])
    whole = compute(module, images, *asked, bound=bind_inputs(asked[1], images.shape))
    found = compute_in_windows(
        module, images, Windows(14, 0.0), *asked, bound=bind_inputs(asked[1], images.shape)
    )
    (one,), (other,) = whole.maps.values(), found.maps.values()
    assert (one - other).abs().max() > 0.05


def test_a_map_is_the_weighted_mean_of_its_windows() -> None:
    module, images = seeded(Classifier()), noise(1, 1, 5, 9)
    asked = (as_methods("gradcam"), [ClassScore(2)], [LayerRef("conv")])
    windows = Windows((5, 6), 0.5)
    found = compute_in_windows(module, images, windows, *asked)
    total, weight = np.zeros((5, 9)), np.zeros((5, 9))
    logits = []
    across = np.exp(-0.5 * ((np.arange(6) - 2.5) / (6 / 8)) ** 2).clip(1e-3)
    down = np.exp(-0.5 * ((np.arange(5) - 2.0) / (5 / 8)) ** 2).clip(1e-3)
    for start in (0, 3):
        part = images[..., start : start + 6]
        maps = nc.raw_cams(module, part, "gradcam", 2, "conv")["gradcam"]
        total[:, start : start + 6] += maps[0].numpy() * down[:, None] * across
        weight[:, start : start + 6] += down[:, None] * across
        with torch.no_grad():
            logits.append(module(part)[0].numpy())
    np.testing.assert_allclose(found.maps["gradcam"][0], total / weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.output[0], np.mean(logits, axis=0), rtol=1e-5)


def test_the_class_is_that_of_the_whole_unit() -> None:
    module, images = seeded(Classifier()), noise(3, 1, 8, 30)
    asked = (as_methods("gradcam"), [ClassScore(None)], [LayerRef("conv")])
    found = compute_in_windows(module, images, Windows(8, 0.0), *asked, per_pass=2)
    expected = found.output.argmax(1)
    assert found.scored[asked[1][0]].class_index.tolist() == expected.tolist()


def test_smaller_units_are_padded_and_cut_back() -> None:
    module, images = seeded(Segmenter(2)), noise(2, 2, 6, 9)
    asked = (as_methods("hirescam"), [nc.RegionScore(0, "all")], [LayerRef("first")])
    bound = bind_inputs(asked[1], images.shape)
    found = compute_in_windows(module, images, Windows(12), *asked, bound=bound)
    padded = torch.nn.functional.pad(images, (0, 3, 0, 6))
    region = np.zeros((12, 12), bool)
    region[:6, :9] = True
    expected = nc.raw_cams(module, padded, "hirescam", nc.RegionScore(0, region), "first")
    torch.testing.assert_close(found.maps["hirescam"], expected["hirescam"][:, :6, :9])


def test_explain_takes_windows_and_records_them() -> None:
    module = seeded(Segmenter(3))
    volume = noise(2, 13, 17, 15).numpy()
    model = nc.wrap_model(
        module,
        ["air", "tissue", "tumour"],
        task="segmentation",
        default_layer="first",
        preparation=Preparation((Channels("as_is", count=2),)),
    )
    scan = nc.Volume.from_array(volume, channel_axis=0)
    whole = nc.explain_one(model, scan, "hirescam", "tumour")
    windows = nc.Windows(10, 0.25, margin=3)
    found = nc.explain_one(model, scan, "hirescam", "tumour", windows=windows, batch_size=2)
    np.testing.assert_allclose(found.values, whole.values, atol=1e-4)
    assert found.values.max() == 1
    assert found.provenance["windows"] == {
        "size": 10, "overlap": 0.25, "weights": "gaussian", "margin": 3,
    }  # fmt: skip
    assert whole.provenance["windows"] is None


def test_memory_that_runs_out_halves_the_windows_at_once(monkeypatch) -> None:
    from napari_cam.cams import plan as plans

    tried = []
    real = plans.compute_in_windows

    def scarce(*arguments: object) -> object:
        tried.append(arguments[-1])
        if arguments[-1] > 2:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 MiB")
        return real(*arguments)

    monkeypatch.setattr(plans, "compute_in_windows", scarce)
    model = nc.wrap_model(seeded(Classifier()), default_layer="conv")
    image = noise(9, 31).numpy()
    found = nc.explain_one(model, image, "gradcam", 1, windows=8, batch_size=8)
    assert tried == [8, 4, 2]
    assert found.valid.tolist() == [True]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": 0}, "at least one pixel"),
        ({"size": "wide"}, "whole number"),
        ({"size": 8, "overlap": 1.0}, "overlap"),
        ({"size": 8, "weights": "round"}, "gaussian"),
        ({"size": 8, "margin": 4}, "leaves nothing"),
        ({"size": 8.5}, "whole number"),
        ({"size": 8, "overlap": "half"}, "overlap"),
        ({"size": 8, "margin": 1.5}, "whole number of pixels"),
    ],
)
def test_impossible_windows_are_refused(options, words) -> None:
    with pytest.raises(PreparationError, match=words):
        Windows(**options)


def test_windows_fit_the_network() -> None:
    model = nc.wrap_model(seeded(Classifier()), default_layer="conv")
    with pytest.raises(PreparationError, match="3 axes"):
        nc.explain(model, np.zeros((9, 31), np.float32), windows=(4, 4, 4))


def test_class_and_pixels_are_read_without_tensorfloat(monkeypatch) -> None:
    class Asking(Classifier):
        def forward(self, images: Tensor) -> Tensor:
            seen.add(torch.backends.cudnn.allow_tf32)
            return super().forward(images)

    seen: set[bool] = set()
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    layers = [LayerRef("conv")]
    methods = as_methods("gradcam")
    compute_in_windows(
        seeded(Asking()), noise(2, 1, 9, 31), Windows(8), methods, [ClassScore(1)], layers
    )
    assert seen == {False}
