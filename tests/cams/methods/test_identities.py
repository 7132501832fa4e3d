"""What methods must have in common by their definitions, on a U-Net and regions of its output."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_cam as nc
from napari_cam.cams.methods.deeplift import contributions
from napari_cam.cams.methods.full_gradients import full_gradients
from napari_cam.cams.methods.gradient import XResCAM
from napari_cam.cams.methods.score import FasterScoreCAM
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.cams.network.tap import tap
from napari_cam.cams.raw import raw_cams
from napari_cam.cams.targets.region_score import bind_inputs
from napari_cam.cams.targets.regions import Painted
from napari_cam.models.architectures.building import build
from napari_cam.models.hooks import LayerRef
from tests.cams.networks import seeded
from tests.cams.pixels import UNet, even_image

both_sizes = pytest.mark.parametrize("ndim", [2, 3])


def unet(ndim):
    return seeded(UNet(ndim)).double().eval()


def images(ndim):
    return even_image(ndim, n=2).double()


def parts(ndim):
    """Return three disjoint sets of pixels that are all pixels together."""
    size = images(ndim).shape[2:]
    number = np.random.default_rng(4).integers(0, 3, size)
    return [number == n for n in range(3)]


@both_sizes
@pytest.mark.parametrize("layer", ["bottleneck", "joined", "relu#5"])
def test_maps_that_are_linear_in_the_gradient_add_up_over_disjoint_pixels(ndim, layer):
    net, x = unet(ndim), images(ndim)
    names = ["gradcam", "hirescam", "xgradcam", "xrescam", "saliency"]
    sets = [*parts(ndim), "all"]
    targets = [nc.RegionScore(1, region) for region in sets]
    maps = raw_cams(net, x, names, targets, layer)
    for name in names:
        *some, whole = (value for key, value in maps.items() if key.method.name == name)
        together = torch.stack(some).sum(0)
        if name == "saliency":  # magnitudes of a mean do not: the test can fail
            assert not torch.allclose(together, whole, rtol=1e-2)
            continue
        assert whole.abs().max() > 1e-3
        torch.testing.assert_close(together, whole, rtol=1e-9, atol=1e-10)


@both_sizes
def test_ablation_adds_up_as_its_means_do(ndim):
    # The score of what perturbs is the mean over the pixels: sums weigh each part by its size.
    net, x, sets = unet(ndim), images(ndim), parts(ndim)
    targets = [nc.RegionScore(1, region) for region in (*sets, "all")]
    *some, whole = raw_cams(net, x, "ablationcam", targets, "bottleneck").values()
    sizes = [int(region.sum()) for region in sets]
    weighted = sum(size * each for size, each in zip(sizes, some, strict=True)) / sum(sizes)
    torch.testing.assert_close(weighted, whole, rtol=1e-9, atol=1e-10)
    assert not torch.allclose(torch.stack(some).sum(0), whole, rtol=1e-2)


@both_sizes
def test_xres_of_one_cell_is_hires_and_of_the_whole_map_gradcam(ndim):
    net, x = unet(ndim), images(ndim)
    methods = [XResCAM(window=1), "hirescam", XResCAM(window=16), "gradcam"]
    for layer in ("bottleneck", "joined"):
        one, hires, whole, grad = raw_cams(
            net, x, methods, nc.RegionScore(1, parts(ndim)[0]), layer
        ).values()
        torch.testing.assert_close(one, hires, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(whole, grad, rtol=1e-10, atol=1e-12)
        assert not torch.allclose(hires, grad, rtol=1e-2)


@both_sizes
@pytest.mark.parametrize("limit", [7, 8, 100])
def test_faster_scorecam_of_all_channels_is_scorecam(ndim, limit):
    net, x = unet(ndim), images(ndim)
    target = nc.RegionScore(1, parts(ndim)[0])
    methods = ["scorecam", FasterScoreCAM(max_channels=limit), FasterScoreCAM(max_channels=3)]
    whole, faster, few = raw_cams(net, x, methods, target, "bottleneck").values()
    assert torch.equal(faster, whole)
    assert not torch.allclose(few, whole, rtol=1e-2)


def rescorer_at(net, x, target, layer):
    reference = LayerRef.parse(layer)
    tapped = tap(net, x, [reference])
    scored = bind_inputs([target], x.shape)[target].read(tapped.output)
    return Rescorer(net, x, reference, tapped.activations[reference].detach(), scored)


def means(net, x, region):
    """Return the mean of class 1 over a region, from the network itself."""
    with torch.no_grad():
        own = net(x)[:, 1]
    return own[:, torch.from_numpy(region)].mean(1)


@both_sizes
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_fullgrad_and_liftcam_are_complete_over_a_region(ndim, norm):
    torch.manual_seed(0)
    net = build("unet", 3, 2, ndim, base_channels=4, depth=3, norm=norm).double().eval()
    seeded(net)
    x, region = images(ndim), parts(ndim)[1]
    score = means(net, x, region)
    target = nc.RegionScore(1, Painted(region))
    rescorer = rescorer_at(net, x, target, "bottleneck")
    full = full_gradients(rescorer, torch.arange(2))
    assert full.complete
    torch.testing.assert_close(full.total, score, rtol=1e-9, atol=1e-11)
    lift = contributions(rescorer)
    assert lift.complete
    torch.testing.assert_close(lift.score, score, rtol=1e-9, atol=1e-11)
    torch.testing.assert_close(
        lift.values.flatten(1).sum(1), lift.difference, rtol=1e-8, atol=1e-10
    )
    # The same from the network itself, with nothing in the layer's place.
    handle = net.bottleneck.register_forward_hook(lambda _module, _inputs, out: out * 0)
    without = means(net, x, region)
    handle.remove()
    torch.testing.assert_close(lift.difference, score - without, rtol=1e-8, atol=1e-10)


@both_sizes
def test_hirescam_of_the_last_maps_is_complete_over_a_region(ndim):
    # Above them is the 1x1 convolution alone: its map and its bias are the whole summed score.
    net, x, region = unet(ndim), images(ndim), parts(ndim)[2]
    target = nc.RegionScore(1, region)
    (found,) = raw_cams(net, x, "hirescam", target, "relu#5").values()
    bias = float(net.head.bias[1].detach())
    expected = (means(net, x, region) - bias) * int(region.sum())
    torch.testing.assert_close(found.flatten(1).sum(1), expected, rtol=1e-9, atol=1e-10)
    assert not found[:, ~torch.from_numpy(region)].any()
