"""Every method, for both tasks, in 2D and 3D, on a network whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_dilation
from scipy.stats import kstest

import napari_cam as nc
from napari_cam.cams.methods.control import RandomMap
from napari_cam.cams.methods.gradient import CAM
from napari_cam.cams.methods.perturbation import RISE, Occlusion
from napari_cam.cams.methods.score import SSCAM
from napari_cam.cams.methods.table import METHODS
from napari_cam.cams.raw import raw_cams
from napari_cam.cams.targets.scores import ClassScore
from napari_cam.errors import MethodError
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Channels, Slices
from tests.cams.known_answer import Answer, KnownNetwork, pictures, places
from tests.cams.settings import TASKS

# As they are by default, but for windows and masks that suit a picture of 10 x 16 pixels, and for
# CAM's negative part, which is evidence against.
AS_SHIPPED = dict(METHODS) | {
    "cam": CAM(relu="sum"),
    "occlusion": Occlusion(window=4, stride=2),
    "rise": RISE(masks=1200),
}
# What draws at random has no closed form here.
DRAWN = ["sscam", "smoothgrad", "rise", "random"]
EXACT = [name for name in METHODS if name not in DRAWN]
# Whose maps lie where the score is read; others weigh whole channels and show all of a class.
LOCAL = {
    *("hirescam", "layercam", "xrescam", "eigengradcam"),
    *("fullgrad", "saliency", "smoothgrad", "occlusion", "rise"),
}
MAGNITUDES = {"fullgrad", "saliency", "smoothgrad"}

both_tasks = pytest.mark.parametrize("task", TASKS)
both_sizes = pytest.mark.parametrize("ndim", [2, 3])


def grown(mask, pixels):
    """Return a mask with everything so many pixels around it."""
    return binary_dilation(mask, np.ones((3,) * mask.ndim), pixels)


def asked(task, ndim, class_index=0):
    """Return a target and its pixels (2, *s): of class 0 one box of two."""
    if task == "classification":
        return ClassScore(class_index), None
    region = places(ndim)["one" if class_index == 0 else "other"]
    return nc.RegionScore(class_index, region), region


def found(name, task, ndim, class_index=0):
    target, _ = asked(task, ndim, class_index)
    batch = torch.from_numpy(pictures(ndim))
    (maps,) = raw_cams(KnownNetwork(task, ndim), batch, AS_SHIPPED[name], target, "maps").values()
    return maps.numpy()


def answers(task, ndim, class_index=0):
    _, region = asked(task, ndim, class_index)
    x = pictures(ndim)
    return [Answer(x[i], class_index, None if region is None else region[i]) for i in range(2)]


@both_tasks
@both_sizes
def test_the_network_is_the_known_one(task, ndim):
    net, x = KnownNetwork(task, ndim), pictures(ndim)
    with torch.no_grad():
        output = net(torch.from_numpy(x))
    for class_index in (0, 1):
        _, region = asked(task, ndim, class_index)
        for i, answer in enumerate(answers(task, ndim, class_index)):
            own = output[i, class_index].numpy()
            expected = own if region is None else own[region[i]].mean()
            assert answer.score(answer.x) == pytest.approx(float(expected), rel=1e-5)


@both_tasks
@both_sizes
@pytest.mark.parametrize("class_index", [0, 1])
@pytest.mark.parametrize("name", EXACT)
def test_values_are_those_of_the_definition(name, task, ndim, class_index):
    if name == "cam" and task == "segmentation":
        with pytest.raises(MethodError, match="CAM is not defined for maps of scores"):
            found(name, task, ndim, class_index)
        return
    maps = found(name, task, ndim, class_index)
    for one, answer in zip(maps, answers(task, ndim, class_index), strict=True):
        expected = answer.raw(name)
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(one, expected, rtol=2e-5, atol=2e-5 * np.abs(expected).max())


@both_tasks
@both_sizes
def test_sscam_is_scorecam_but_for_its_noise(task, ndim):
    noisy, plain = found("sscam", task, ndim), found("scorecam", task, ndim)
    assert not np.allclose(noisy, plain, rtol=1e-3)
    for one, other in zip(noisy, plain, strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.9
    x, target = torch.from_numpy(pictures(ndim)), asked(task, ndim)[0]
    silent = raw_cams(KnownNetwork(task, ndim), x, SSCAM(sigma=0), target, "maps")
    np.testing.assert_allclose(next(iter(silent.values())), plain, rtol=1e-5, atol=1e-7)


@both_tasks
@both_sizes
def test_smoothgrad_is_the_slope_times_how_often_the_noise_leaves_it(task, ndim):
    # A pixel's slope counts in those of 20 copies in which the noise leaves it over the threshold.
    maps = found("smoothgrad", task, ndim)
    for one, answer in zip(maps, answers(task, ndim), strict=True):
        full = answer.raw("saliency")
        marked = full > 0
        assert one[marked].mean() / full[marked].mean() == pytest.approx(0.98, abs=0.04)
        assert (one <= full.max() * 1.0001).all()


@both_tasks
@both_sizes
def test_rise_rises_where_the_score_comes_from(task, ndim):
    maps, at = found("rise", task, ndim), places(ndim)
    for i, one in enumerate(maps):
        inside = (at[0] if task == "classification" else at["one"])[i]
        outside = ~grown(inside, 2)
        assert one[inside].mean() > one[outside].mean() + 2 * one[outside].std()


@both_tasks
@both_sizes
def test_random_knows_nothing(task, ndim):
    net, x = KnownNetwork(task, ndim), torch.from_numpy(pictures(ndim))
    target, other = (asked(task, ndim, class_index)[0] for class_index in (0, 1))
    first = raw_cams(net, x, "random", target, "maps")["random"]
    assert torch.equal(raw_cams(net, x, "random", other, "maps")["random"], first)
    exact = raw_cams(KnownNetwork(task, ndim).double(), x, "random", target, "maps")["random"]
    assert torch.equal(exact.float(), first)
    assert not torch.equal(first[0], first[1])
    methods = [RandomMap(seed=seed) for seed in range(20)]
    drawn = np.stack(list(raw_cams(net, x, methods, target, "maps").values()))
    assert len(np.unique(drawn)) > 0.99 * drawn.size
    assert kstest(drawn.ravel(), "uniform").pvalue > 0.001
    # Over the seeds, the places of the answer are no brighter than others.
    evidence = np.stack([answer.raw("hirescam") for answer in answers(task, ndim)]) > 0
    error = 1 / np.sqrt(12 * evidence.sum() * 20)
    assert drawn[:, evidence].mean() == pytest.approx(0.5, abs=4 * error)


def model_and_volumes(task, ndim):
    names = ["disc", "ring", "ground"]
    steps = (Channels("as_is", count=3),)
    model = nc.wrap_model(
        KnownNetwork(task, ndim).eval(),
        names,
        3,
        ndim,
        task,
        default_layer="maps",
        preparation=Preparation((Slices(), *steps) if ndim == 2 else steps),
    )
    x = pictures(ndim)
    if ndim == 2:  # two slices of one volume
        return model, [nc.Volume.from_array(x, channel_axis=1)]
    return model, [nc.Volume.from_array(each, channel_axis=0) for each in x]


@both_tasks
@both_sizes
@pytest.mark.parametrize("class_index", [0, 1])
def test_heatmaps_lie_where_the_answer_is(task, ndim, class_index):
    model, volumes = model_and_volumes(task, ndim)
    at = places(ndim)
    _, region = asked(task, ndim, class_index)
    names = [name for name in METHODS if not (task == "segmentation" and name == "cam")]
    for number, volume in enumerate(volumes):
        own = slice(None) if ndim == 2 else number
        target = class_index
        if region is not None:
            target = nc.RegionScore(class_index, region[own])
        maps = nc.explain(model, volume, [AS_SHIPPED[name] for name in names], target)
        for key, heatmap in maps.items():
            name = key.method.name
            values = heatmap.values
            assert heatmap.valid.all(), name
            assert values.shape == at["one"][own].shape
            shown = at[class_index][own]
            if name in LOCAL and region is not None:
                shown = region[own]
            units = range(2) if ndim == 2 else [...]
            for unit in units:
                check_place(name, values[unit], shown[unit], at, own, unit)


def check_place(name, values, shown, at, own, unit):
    """Check where the energy of a heatmap lies."""
    peak = np.unravel_index(values.argmax(), values.shape)
    near = grown(shown, 2)
    share = (values**2)[near].sum() / (values**2).sum()
    if name == "random":
        assert abs(share - near.mean()) < 0.15, name
        return
    if name == "eigencam":  # knows no class
        assert grown(at[0][own][unit] | at[1][own][unit], 1)[peak]
        return
    if name == "rise":  # a cell of its masks is two pixels wide
        assert near[peak]
        assert share > near.mean() + 0.1
        return
    assert grown(shown, 1)[peak], name
    # Magnitudes of gradients show what speaks against the class as well.
    assert share > (0.7 if name in MAGNITUDES else 0.95), (name, share)
