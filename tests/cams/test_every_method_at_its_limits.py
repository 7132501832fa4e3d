"""Pictures, regions, scores and precisions at which a method could stumble."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import napari_cam as nc
from napari_cam.cams.raw import compute
from napari_cam.cams.targets.region_score import bind_inputs
from napari_cam.cams.targets.scores import ClassScore
from napari_cam.errors import MethodError
from napari_cam.models.hooks import LayerRef
from tests.cams.pixels import even_image
from tests.cams.settings import SMALL, names_for
from tests.cams.test_every_method_alike import (
    assert_same,
    both_sizes,
    every_method,
    layer_of,
    network,
    run,
    target_of,
)


@both_sizes
@pytest.mark.parametrize("name", names_for("segmentation"))
def test_a_region_without_pixels_gives_zero_and_leaves_the_others(name, ndim):
    net, x = network("segmentation", ndim), even_image(ndim)
    full = target_of("segmentation", x.shape[2:])
    some = np.stack([full.region.values] * 3)
    some[[0, 2]] = False
    maps = []
    for target in (full, nc.RegionScore(1, some)):
        bound = bind_inputs([target], x.shape)
        layers = [LayerRef("bottleneck")]
        cams = compute(net, x, [SMALL[name]], [target], layers, bound=bound)
        maps += cams.maps.values()
    expected, found = maps
    assert not found[[0, 2]].any()
    assert_same(found[1], expected[1])


@both_sizes
@every_method
def test_a_picture_that_is_no_number_leaves_the_others(name, task, ndim):
    net, x = network(task, ndim), even_image(ndim)
    expected, _ = run(net, x, name, task)
    x[1, 0, 3, 4] = torch.nan
    found, _ = run(net, x, name, task)
    assert_same(found[[0, 2]], expected[[0, 2]])
    assert not found[1].isfinite().all()  # and so no evidence


@both_sizes
@every_method
def test_a_picture_that_is_nothing_is_no_obstacle(name, task, ndim):
    net, x = network(task, ndim), even_image(ndim)
    expected, _ = run(net, x, name, task)
    x[1] = 0
    found, _ = run(net, x, name, task)
    assert found.isfinite().all()
    assert_same(found[[0, 2]], expected[[0, 2]])


@pytest.mark.parametrize("score", ["probability", "log_odds"])
@every_method
def test_other_scores(name, task, score):
    net, x = network(task, 2).double(), even_image(n=2).double()
    target = ClassScore(1, score)
    if task == "segmentation":
        target = nc.RegionScore(1, target_of(task, x.shape[2:]).region, score=score)
    bound = bind_inputs([target], x.shape)
    asked = ([SMALL[name]], [target], [LayerRef(layer_of(name, task))])
    try:
        (found,) = compute(net, x, *asked, bound=bound).maps.values()
    except MethodError as error:  # a softmax that is far from linear has no rule
        assert name == "liftcam"
        assert "'softmax'" in str(error) or "'logsumexp'" in str(error)  # noqa: PT017
        return
    assert found.isfinite().all()
    assert found.std() > 0
    same = name in ("cam", "eigencam", "random")  # which read no score
    plain, _ = run(net, x, name, task)
    assert torch.allclose(found, plain, rtol=1e-6) == same


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@every_method
def test_mixed_precision_is_close(name, task, dtype):
    net, x = network(task, 2), even_image(n=2)
    target = target_of(task, x.shape[2:])
    bound = bind_inputs([target], x.shape)
    asked = ([SMALL[name]], [target], [LayerRef(layer_of(name, task))])
    (found,) = compute(net, x, *asked, dtype, bound=bound).maps.values()
    expected, _ = run(net, x, name, task)
    assert found.dtype == torch.float32
    for one, other in zip(found, expected, strict=True):
        assert np.corrcoef(one.flatten(), other.flatten())[0, 1] > 0.9
