"""CAMs of segmentation networks: identities, references in float64, and heatmaps of volumes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import napari_cam as nc
from napari_cam.cams.network.tap import run_again, tap
from napari_cam.cams.plan import plan_explanation
from napari_cam.cams.targets.regions import Point
from napari_cam.errors import MethodError, TargetError
from napari_cam.models.hooks import LayerRef
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Slices
from tests.cams.networks import image, seeded

LINEAR = ["gradcam", "hirescam"]  # signed, and linear in the gradient
GRADIENT = ["gradcam", "gradcam++", "xgradcam", "hirescam", "layercam", "eigengradcam"]


class TinyUNet(nn.Module):
    """One skip connection: (n, 2, ...) -> (n, 3, ...), with maps at full and half resolution."""

    def __init__(self, ndim=2, ending=None, classes=3):
        super().__init__()
        conv = nn.Conv2d if ndim == 2 else nn.Conv3d
        self.down = conv(2, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.bottleneck = conv(4, 5, 3, padding=1, stride=2)
        self.last = conv(9, 6, 3, padding=1)
        self.head = conv(6, classes, 1)
        self.ending = ending
        self.mode = "bilinear" if ndim == 2 else "trilinear"

    def forward(self, x):
        skip = self.relu(self.down(x))
        deep = torch.tanh(self.bottleneck(skip))
        up = F.interpolate(deep, size=x.shape[2:], mode=self.mode, align_corners=False)
        logits = self.head(torch.tanh(self.last(torch.cat([skip, up], 1))))
        return logits if self.ending is None else self.ending(logits)


def net(ndim=2, **options):
    return seeded(TinyUNet(ndim, **options)).eval()


def half(ndim):
    size = (10, 12) if ndim == 2 else (8, 10, 12)
    mask = np.zeros(size, bool)
    mask[..., :5] = True
    return mask


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("layer", ["bottleneck", "relu", "last"])
def test_maps_add_up_over_disjoint_pixel_sets(ndim, layer):
    # y over a union is the sum of both, and these maps are linear in its gradient.
    left, batch = half(ndim), image(ndim)
    parts = [nc.RegionScore(1, left), nc.RegionScore(1, ~left), nc.RegionScore(1, "all")]
    maps = nc.raw_cams(net(ndim).double(), batch.double(), LINEAR, parts, layer)
    for name in LINEAR:
        a, b, whole = (value for key, value in maps.items() if key.method.name == name)
        torch.testing.assert_close(a + b, whole, rtol=1e-10, atol=1e-12)
        assert float(a.abs().max()) > 1e-3


@pytest.mark.parametrize("ndim", [2, 3])
def test_one_pixel_through_a_1x1_head_is_seen_in_that_pixel_alone(ndim):
    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            conv = nn.Conv2d if ndim == 2 else nn.Conv3d
            self.features = conv(2, 4, 3, padding=1)
            self.head = conv(4, 3, 1)

        def forward(self, x):
            return self.head(self.features(x))

    module = seeded(Head()).eval()
    at = (3, 7) if ndim == 2 else (2, 3, 7)
    batch = image(ndim)
    maps = nc.raw_cams(module, batch, "hirescam", nc.RegionScore(2, Point(at)), "features")
    (found,) = maps.values()
    features = module.features(batch).detach()
    expected = torch.zeros_like(found)
    weights = module.head.weight[2].flatten().detach()
    expected[(slice(None), *at)] = torch.einsum("nk,k->n", features[(..., *at)], weights)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("ndim", [2, 3])
def test_formulas_against_their_definition_in_float64(ndim):
    module, batch = net(ndim).double(), image(ndim).double()
    skip = module.relu(module.down(batch))
    A = module.bottleneck(skip).detach().requires_grad_()
    up = F.interpolate(torch.tanh(A), size=batch.shape[2:], mode=module.mode, align_corners=False)
    logits = module.head(torch.tanh(module.last(torch.cat([skip, up], 1))))
    M = logits.argmax(1) == 1
    assert 0 < int(M.sum()) < M.numel()
    (G,) = torch.autograd.grad((logits[:, 1] * M).sum(), A)
    maps = nc.raw_cams(module, batch, LINEAR, nc.RegionScore(1), "bottleneck")
    for n in range(len(batch)):
        grad = np.zeros(A.shape[2:])
        hires = np.zeros(A.shape[2:])
        for k in range(A.shape[1]):
            a, g = A[n, k].detach().numpy(), G[n, k].numpy()
            grad += g.mean() * a
            hires += g * a
        np.testing.assert_allclose(maps["gradcam"][n].numpy(), grad, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(maps["hirescam"][n].numpy(), hires, rtol=1e-9, atol=1e-12)


def test_every_method_is_zero_where_no_pixel_is_asked_for():
    nothing = np.zeros((3, 10, 12), bool)
    nothing[1, 4, 5] = True
    known = {"activations", "gradients"}
    names = [name for name, method in nc.METHODS.items() if method.needs <= known]
    maps = nc.raw_cams(net(), image(), names, nc.RegionScore(1, nothing), "bottleneck")
    for key, found in maps.items():
        assert not found[[0, 2]].any(), key
        assert bool(found[1].any()), key


@pytest.mark.parametrize("region", ["predicted", "all", "component", "p>0.4"])
def test_a_2d_network_lifted_to_one_slice_of_3d_gives_the_same(region):
    flat, deep = net(2).double(), net(3).double()
    with torch.no_grad():
        for part in ("down", "last"):
            deep.get_submodule(part).weight.zero_()
            deep.get_submodule(part).weight[:, :, 1] = flat.get_submodule(part).weight
            deep.get_submodule(part).bias.copy_(flat.get_submodule(part).bias)
        deep.bottleneck.weight.zero_()
        deep.bottleneck.weight[:, :, 1] = flat.bottleneck.weight
        deep.bottleneck.bias.copy_(flat.bottleneck.bias)
        deep.head.weight.copy_(flat.head.weight[..., None])
        deep.head.bias.copy_(flat.head.bias)
    target = nc.RegionScore(1, region)
    batch = image().double()
    two = nc.raw_cams(flat, batch, GRADIENT, target, "bottleneck")
    three = nc.raw_cams(deep, batch[:, :, None], GRADIENT, target, "bottleneck")
    for (key, a), b in zip(two.items(), three.values(), strict=True):
        torch.testing.assert_close(b[:, 0], a, rtol=1e-8, atol=1e-10, msg=str(key))


def test_results_do_not_depend_on_the_batch():
    module, batch = net().double(), image().double()
    target = nc.RegionScore(None, "component")
    together = nc.raw_cams(module, batch, GRADIENT, target, "bottleneck")
    for n in range(len(batch)):
        alone = nc.raw_cams(module, batch[n : n + 1], GRADIENT, target, "bottleneck")
        for key in alone:
            torch.testing.assert_close(alone[key][0], together[key][n], rtol=1e-8, atol=1e-10)


def test_gradcam_against_pytorch_grad_cam():
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import SemanticSegmentationTarget

    module, batch, left = net(), image(n=1), half(2)
    target = SemanticSegmentationTarget(1, left.astype(np.float32))
    target.mask = target.mask.cpu()
    with GradCAM(module, [module.bottleneck]) as theirs:
        given = theirs(batch, [target], aug_smooth=False)[0]
    (ours,) = nc.raw_cams(module, batch, "gradcam", nc.RegionScore(1, left), "bottleneck").values()
    shown = F.interpolate(ours.clamp(min=0)[:, None], size=(10, 12), mode="bilinear")[0, 0]
    assert np.corrcoef(given.ravel(), shown.numpy().ravel())[0, 1] > 0.99


# What networks end in, and what of it must not matter.


@pytest.mark.parametrize(
    ("ending", "classes"),
    [
        (nn.Softmax(1), 3),
        (lambda z: F.softmax(z, dim=1), 3),
        (lambda z: z.softmax(1), 3),
        (nn.Sigmoid(), 1),
        (torch.sigmoid, 1),
        (lambda z: z.clone().sigmoid_(), 1),
        (lambda z: {"out": torch.sigmoid(z), "aux": z}, 1),
    ],
)
def test_a_softmax_or_sigmoid_inside_is_undone(ending, classes):
    plain, ended = net(classes=classes), net(ending=ending, classes=classes)
    probability = nc.RegionScore(1, score="probability")
    targets = [nc.RegionScore(1), nc.RegionScore(0, "p>0.3"), probability]
    expected = nc.raw_cams(plain, image(), GRADIENT, targets, "bottleneck")
    found = nc.raw_cams(ended, image(), GRADIENT, targets, "bottleneck")
    for key in expected:
        assert torch.equal(found[key], expected[key])
    tapped = tap(ended, image(), [LayerRef("bottleneck")])
    assert "whose input is explained" in tapped.note
    again = run_again(ended, image())
    torch.testing.assert_close(again, tapped.output.detach())


def test_a_classifiers_softmax_is_undone_too():
    class Classifier(nn.Module):
        def __init__(self, ending):
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 3)
            self.head = nn.Linear(4, 3)
            self.ending = ending

        def forward(self, x):
            return self.ending(self.head(torch.tanh(self.conv(x)).mean((2, 3))))

    plain = seeded(Classifier(nn.Identity())).eval()
    ended = seeded(Classifier(nn.Softmax(-1))).eval()
    expected = nc.raw_cams(plain, image(), "gradcam", 2, "conv")["gradcam"]
    assert torch.equal(nc.raw_cams(ended, image(), "gradcam", 2, "conv")["gradcam"], expected)


@pytest.mark.parametrize("classes", [1, 3])
def test_probabilities_whose_logits_are_gone(classes):
    def ending(z):
        return (z.sigmoid() if classes == 1 else z.softmax(1))[:, :, 1:]

    module = net(ending=ending, classes=classes)
    tapped = tap(module, image(), [LayerRef("bottleneck")])
    assert "could not be met" in tapped.note
    plain = tap(net(classes=classes), image(), [LayerRef("bottleneck")]).output[:, :, 1:]
    expected = plain if classes == 1 else plain.log_softmax(1)
    torch.testing.assert_close(tapped.output, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("classes", [1, 3])
def test_an_image_without_numbers_does_not_decide_how_the_others_are_read(classes):
    def ending(z):
        return (z.sigmoid() if classes == 1 else z.softmax(1))[:, :, 1:]

    module = net(ending=ending, classes=classes)
    layers, x = [LayerRef("bottleneck")], image()
    spoilt = x.clone()
    spoilt[1] = torch.nan
    found = tap(module, spoilt, layers).output[[0, 2]]
    torch.testing.assert_close(found, tap(module, x, layers).output[[0, 2]])


def test_a_gate_inside_is_no_ending():
    class Gated(TinyUNet):
        def forward(self, x):
            return super().forward(x * torch.sigmoid(x))

    tapped = tap(seeded(Gated()).eval(), image(), [LayerRef("bottleneck")])
    assert tapped.note == ""
    assert float(tapped.output.detach().min()) < 0


# Volumes.


class Threshold(nn.Module):
    """Knows everything by itself: class 1 where a pixel is bright, at half resolution."""

    def __init__(self, ndim=2):
        super().__init__()
        self.cells = nn.AvgPool2d(2) if ndim == 2 else nn.AvgPool3d(2)
        self.gain = nn.Conv2d(1, 2, 1) if ndim == 2 else nn.Conv3d(1, 2, 1)
        with torch.no_grad():
            self.gain.weight.copy_(torch.tensor([-1.0, 1.0]).reshape(2, 1, *(1,) * ndim))
            self.gain.bias.copy_(torch.tensor([0.5, -0.5]))

    def forward(self, x):
        return F.interpolate(self.gain(self.cells(x)), size=x.shape[2:], mode="nearest")


def segmenter(ndim=2, **options):
    steps = (Slices("acquisition"), Channels("as_is")) if ndim == 2 else (Channels("as_is"),)
    return nc.wrap_model(
        Threshold(ndim),
        class_names=["background", "bright"],
        in_channels=1,
        spatial_ndim=ndim,
        task="segmentation",
        preparation=Preparation(steps),
        **options,
    )


def scan():
    array = np.zeros((4, 12, 16), np.float32)
    array[1, 2:6, 4:8] = 1
    array[1, 8:10, 10:14] = 1
    array[2, 4:10, 2:4] = 1
    array[2, 0:2, 8:10] = 0.8
    return array


def test_a_class_of_a_segmentation_network_is_its_predicted_pixels():
    heatmap = nc.explain_one(segmenter(), scan(), "hirescam", "bright", "cells")
    assert heatmap.class_index.tolist() == [1] * 4
    assert heatmap.predicted_index.tolist() == [0, 1, 1, 0]
    assert heatmap.valid.tolist() == [False, True, True, False]
    region = heatmap.provenance["region"]
    assert region == {"class": 1, "score": "logit", "region": "predicted", "pixels": [0, 24, 16, 0]}
    # The score of a bright pixel is 1 - 1/2, of a paler one 0.8 - 1/2.
    assert heatmap.score.tolist() == pytest.approx([0, 12.0, 12 * 0.5 + 4 * 0.3, 0])
    assert heatmap.note == (
        "In 2 of 4 slices no pixel belongs to the explained region (bright), so their maps are "
        "zero."
    )
    assert heatmap.values[1, 3, 5] > 0.9
    assert not heatmap.values[1, :, :2].any()


def test_areas_and_gating():
    plan = plan_explanation(segmenter(), scan(), "gradcam", [None, 0, "bright"], "cells")
    (first, *_), *rest = [[part] for part in plan.run()]
    (part,) = rest[0]
    assert first.segmentation
    assert part.units == (1, 2, 3)
    assert part.logits[:, 1] * 192 == pytest.approx([24, 16, 0])
    assert part.predicted_index.tolist() == [1, 1, 0]
    predicted, background, bright = plan.targets
    assert part.class_index[predicted].tolist() == [1, 1, 0]
    assert part.predicted_for(background).tolist() == [0, 0, 0]
    assert part.predicted_for(bright).tolist() == [1, 1, 0]
    assert part.pixels[background].tolist() == [192 - 24, 192 - 16, 192]


@pytest.mark.parametrize("ndim", [2, 3])
def test_regions_on_the_volumes_grid(ndim):
    mask = np.zeros((4, 12, 16), bool)
    mask[1, 8:10, 10:14] = True
    targets = [
        nc.RegionScore("bright", mask),
        nc.RegionScore("bright", "point:1,9,11"),
        nc.RegionScore("bright", "component:1,3,5"),
        nc.RegionScore("bright", "all", within=1),
    ]
    maps = nc.explain(segmenter(ndim), scan(), "hirescam", targets, "cells")
    sizes = [heatmap.provenance["region"]["pixels"] for heatmap in maps.values()]
    # A 3D network pools two slices: what is bright in one reaches 1/2 in both, which is not above.
    if ndim == 2:
        assert sizes == [[0, 8, 0, 0], [0, 1, 0, 0], [0, 16, 0, 0], [0, 192, 0, 0]]
        for heatmap in maps.values():
            assert heatmap.provenance["region"]["pixels"][0] == 0
            assert not heatmap.values[[0, 2, 3]].any()
        assert maps["hirescam / bright in mask"].values[1, 8:10, 11:13].min() > 0.5
        assert not maps["hirescam / bright in mask"].values[1, :6].any()
    else:
        assert [size[0] for size in sizes[:2]] == [8, 1]
        assert sizes[3] == [192]
    facts = str(next(iter(maps.values())).provenance["region"])
    assert "sha256" in facts


def test_what_does_not_fit_says_how_to_go_on():
    with pytest.raises(TargetError, match=r"RegionScore\(class, 'predicted'\)"):
        nc.explain_one(segmenter(), scan(), "gradcam", nc.ClassScore(1), "cells")
    with pytest.raises(TargetError, match="no class 'pale'; it has 2"):
        nc.explain_one(segmenter(), scan(), "gradcam", "pale", "cells")
    with pytest.raises(MethodError, match="CAM is not defined for maps of scores"):
        nc.explain_one(segmenter(), scan(), "cam", "bright", "cells")
    with pytest.raises(TargetError, match="lies outside"):
        nc.explain_one(segmenter(), scan(), "gradcam", nc.RegionScore(1, "point:9,0,0"), "cells")


def test_a_bottleneck_of_a_few_places_is_named():
    heatmap = nc.explain_one(segmenter(), scan()[:, :6, :4], "gradcam", "bright")
    assert any("'cells' has only 3 x 2 places" in note for note in heatmap.notes)
    assert heatmap.notes == (*heatmap.provenance["notes"], heatmap.note)


def test_signed_maps_of_a_region_keep_their_sign():
    method = replace(nc.METHODS["hirescam"], relu="none")
    dark = scan() - 0.3
    target = nc.RegionScore("bright", "all")
    heatmap = nc.explain_one(segmenter(), dark, method, target, "cells", normalize="none")
    assert heatmap.kind == "signed"
    # Four pixels a cell, weight 1, values -0.3 and 0.7.
    assert heatmap.raw_min[1] == pytest.approx(-1.2)
    assert heatmap.raw_max[1] == pytest.approx(2.8)
