"""Score-CAM and its kin against loops in float64, hand-made cases, identities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from napari_cam.cams.methods.score import ISCAM, SSCAM, FasterScoreCAM, ScoreCAM, as_masks, blur
from napari_cam.cams.methods.table import METHODS
from napari_cam.cams.network import rescoring
from napari_cam.cams.raw import raw_cams
from napari_cam.cams.targets.scores import ClassScore
from napari_cam.errors import MethodError
from tests.cams.networks import GapNet, MlpNet, image, seeded

pytestmark = pytest.mark.quick

FAMILY = [ScoreCAM(), FasterScoreCAM(max_channels=3), SSCAM(samples=4), ISCAM(steps=3)]


def grown(values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Enlarge an array linearly between the centres of its cells, axis after axis, by hand."""
    for axis, length in enumerate(shape):
        n = values.shape[axis]
        result = []
        for i in range(length):
            place = min(max((i + 0.5) * n / length - 0.5, 0.0), n - 1.0)
            low = int(np.floor(place))
            high = min(low + 1, n - 1)
            share = place - low
            result.append((1 - share) * values.take(low, axis) + share * values.take(high, axis))
        values = np.stack(result, axis)
    return values


def reference(net, x, layer, index, score="logit", steps=1, softmax=False):
    """Score-CAM (IS-CAM for more steps) of one image, one channel after the other."""
    kept = {}
    handle = getattr(net, layer).register_forward_hook(lambda _m, _i, out: kept.update(a=out))

    def value(batch):
        with torch.no_grad():
            logits = net(batch)[0].numpy()
        if score == "probability":
            return (np.exp(logits) / np.exp(logits).sum())[index]
        return logits[index]

    value(x)
    A = kept["a"][0].numpy().copy()
    black = value(torch.zeros_like(x))
    weights = np.zeros(len(A))
    for k, channel in enumerate(A):
        if channel.max() == channel.min():
            weights[k] = -np.inf if softmax else 0
            continue
        mask = grown(channel, x.shape[2:])
        mask = (mask - mask.min()) / (mask.max() - mask.min())
        seen = [value(x * torch.from_numpy(mask * (i + 1) / steps)) for i in range(steps)]
        weights[k] = np.mean(seen) - black
    handle.remove()
    if softmax:
        weights = np.exp(weights) / np.exp(weights).sum()
    return sum(w * channel for w, channel in zip(weights, A, strict=True))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("score", ["logit", "probability"])
@pytest.mark.parametrize("layer", ["relu2", "second"])
def test_scorecam_is_its_definition(ndim, score, layer):
    net, x = seeded(MlpNet(ndim)).double().eval(), image(ndim).double()
    found = raw_cams(net, x, "scorecam", ClassScore(1, score), layer)["scorecam"]
    for n in range(3):
        expected = reference(net, x[n : n + 1], layer, 1, score)
        np.testing.assert_allclose(found[n].numpy(), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("ndim", [2, 3])
def test_iscam_is_an_integral_over_the_mask(ndim):
    net, x = seeded(MlpNet(ndim)).double().eval(), image(ndim).double()
    found = only(net, x, ISCAM(steps=4), 2)
    for n in range(3):
        expected = reference(net, x[n : n + 1], "relu2", 2, steps=4)
        np.testing.assert_allclose(found[n].numpy(), expected, rtol=1e-9, atol=1e-11)


def test_channel_softmax():
    net, x = seeded(MlpNet()).double().eval(), image().double()
    found = only(net, x, ScoreCAM(channel_softmax=True))
    expected = reference(net, x[:1], "relu2", 1, softmax=True)
    np.testing.assert_allclose(found[0].numpy(), expected, rtol=1e-9, atol=1e-12)


def only(net, x, method, target=1, layer="relu2"):
    (found,) = raw_cams(net, x, method, target, layer).values()
    return found


class Counts(nn.Module):
    """Channel 0 the image, 1 its negative, 2 flat, 3 rounding; the score is the image's sum."""

    def __init__(self):
        super().__init__()
        self.cells = nn.AvgPool2d(2)
        self.same = nn.Identity()

    def forward(self, x):
        cells = self.cells(x)
        flat = torch.ones_like(cells)
        noise = flat * (1 + 1e-8 * cells)
        maps = self.same(torch.cat([cells, -cells, 5 * flat, noise], dim=1))
        total = x.sum((1, 2, 3))
        return torch.stack([total + 10, total * 0 + maps.mean() * 0], dim=1)


def test_by_hand():
    # One bright cell of 2 in a black image of 2 x 3 cells: its own mask lets everything through
    # (the centre of the cell is brightest: the mask is 1 only there, less at the corner between
    # cells), its negative lets nothing through.
    x = torch.zeros(1, 1, 4, 6)
    x[0, 0, 0:2, 0:2] = 2.0
    mask = grown(np.array([[1.0, 0, 0], [0, 0, 0]]), (4, 6))
    assert mask[0, 0] == 1
    assert mask[1, 1] == 0.75**2
    passed = float((x[0, 0].numpy() * mask).sum())  # 2 (1 + 0.75 + 0.75 + 0.5625) = 6.125
    assert passed == pytest.approx(6.125)
    against = float((x[0, 0].numpy() * (1 - mask)).sum())  # 8 - 6.125
    cells = np.array([[2.0, 0, 0], [0, 0, 0]])
    found = only(Counts(), x, ScoreCAM(), 0, "same")
    np.testing.assert_allclose(found[0], passed * cells + against * -cells, rtol=1e-6)
    # The score's constant part does not count: it is also in the baseline's.
    blurred = only(Counts(), x, ScoreCAM(baseline="blurred"), 0, "same")
    below = float(blur(x).sum())
    expected = (passed - below) * cells + (against - below) * -cells
    np.testing.assert_allclose(blurred[0], expected, rtol=1e-5)


def test_all_flat_is_zero_and_no_number_where_there_was_one():
    found = only(Counts(), torch.full((2, 1, 4, 6), 3.0), ScoreCAM(), 0, "same")
    assert torch.equal(found, torch.zeros(2, 2, 3))


def test_blur_is_a_gaussian_that_keeps_constants():
    torch.testing.assert_close(
        blur(torch.full((1, 2, 6, 9, 5), 4.0)), torch.full((1, 2, 6, 9, 5), 4.0)
    )
    spot = torch.zeros(1, 1, 61, 41, dtype=torch.float64)
    spot[0, 0, 30, 20] = 1
    found = blur(spot)[0, 0]
    y, x = np.mgrid[-30:31, -20:21]
    sy, sx = 0.05 * 61, 0.05 * 41
    expected = np.exp(-0.5 * ((y / sy) ** 2 + (x / sx) ** 2)) / (2 * np.pi * sy * sx)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_masks_reach_from_zero_to_one():
    maps = torch.randn(4, 3, 5, 2, generator=torch.Generator().manual_seed(1)) * 100
    masks = as_masks(maps, torch.Size((6, 11, 7)))
    assert masks.shape == (4, 1, 6, 11, 7)
    assert masks.flatten(1).amin(1).eq(0).all()
    torch.testing.assert_close(masks.flatten(1).amax(1), torch.ones(4))


def test_faster_with_all_channels_is_scorecam():
    net, x = seeded(MlpNet()), image()
    whole = only(net, x, ScoreCAM())
    for most in (5, 6, 10):
        assert torch.equal(only(net, x, FasterScoreCAM(max_channels=most)), whole)


def test_faster_takes_the_channels_that_vary_most():
    net, x = seeded(MlpNet()).double().eval(), image().double()
    with torch.no_grad():
        A = net.relu2(net.second(net.relu1(net.first(x))))
    found = only(net, x, FasterScoreCAM(max_channels=2))
    # Weights of single channels from Score-CAM, which is a weighted sum: least squares finds them.
    whole = only(net, x, ScoreCAM())
    for n in range(3):
        matrix = A[n].flatten(1).T
        weights = torch.linalg.lstsq(matrix, whole[n].flatten()[:, None]).solution[:, 0]
        best = np.argsort(-A[n].flatten(1).numpy().std(1))[:2]
        expected = sum(weights[k] * A[n, k] for k in best)
        torch.testing.assert_close(found[n], expected, rtol=1e-8, atol=1e-9)


def test_legacy_double_softmax():
    net, x = seeded(MlpNet()).double().eval(), image().double()
    for score in ("logit", "probability"):
        found = only(net, x, ScoreCAM(legacy_double_softmax=True), ClassScore(0, score))
        with torch.no_grad():
            A = net.relu2(net.second(net.relu1(net.first(x))))
            for n in range(3):
                expected = 0
                for channel in A[n]:
                    if channel.max() == channel.min():
                        continue
                    mask = grown(channel.numpy(), x.shape[2:])
                    mask = (mask - mask.min()) / (mask.max() - mask.min())
                    once = torch.softmax(net(x[n : n + 1] * torch.from_numpy(mask)), 1)
                    weight = torch.softmax(once, 1)[0, 0]
                    assert 0.21 < weight < 0.58  # three classes: e^p / (e^p + ...)
                    expected = expected + weight * channel
                torch.testing.assert_close(found[n], expected, rtol=1e-9, atol=1e-11)


def test_sscam_without_noise_is_scorecam():
    net, x = seeded(MlpNet()), image()
    whole = only(net, x, ScoreCAM())
    for noise in ("activation", "input"):
        found = only(net, x, SSCAM(samples=3, sigma=0.0, noise=noise))
        torch.testing.assert_close(found, whole)


def test_sscam_averages_scores_of_noisy_copies():
    # A linear network of the image: noise of mean 0 on the image leaves the expected score as it
    # is, and the mean over many copies comes near it.
    net = seeded(GapNet()).eval()
    for part in ("relu1", "relu2"):
        setattr(net, part, nn.Identity())
    x = image()
    whole = only(net, x, ScoreCAM(), layer="second")
    found = only(net, x, SSCAM(samples=300, sigma=0.05, noise="input"), layer="second")
    torch.testing.assert_close(found, whole, rtol=0, atol=0.03 * float(whole.abs().max()))


def test_sscam_noise_is_seeded_and_scaled():
    net, x = seeded(MlpNet()), image()
    one, same, other = (only(net, x, SSCAM(samples=2, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.allclose(one, other, rtol=1e-3)
    # The share of a range that is 1 and the number itself are the same.
    scaled = x / (x.flatten(1).amax(1) - x.flatten(1).amin(1)).reshape(-1, 1, 1, 1)
    state = torch.get_rng_state()
    only(net, scaled, SSCAM(samples=2, noise="input"))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("method", FAMILY, ids=lambda method: method.name)
def test_nothing_but_the_image_matters(method, ndim, monkeypatch):
    net, x = seeded(MlpNet(ndim)), image(ndim)
    whole = only(net, x, method)
    assert whole.abs().max() > 0
    together = raw_cams(net, x, ["gradcam", method], [0, 1], ["relu1", "relu2"])
    monkeypatch.setitem(rescoring._INPUT_BYTES, "cpu", 2 * x[0].numel() * 4)
    tolerance = {"rtol": 1e-5, "atol": 1e-5 * float(whole.abs().max())}
    torch.testing.assert_close(only(net, x.flip(0), method).flip(0), whole, **tolerance)
    torch.testing.assert_close(only(net, x[1:2], method)[0], whole[1], **tolerance)
    found = together[f"{method.label} / relu2 / class 1"]
    torch.testing.assert_close(found, whole, **tolerance)


def test_the_batch_is_not_written_into():
    net, x = seeded(MlpNet(inplace=True)), image()
    before = x.clone()
    raw_cams(net, x, FAMILY, 1, "second")
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: ScoreCAM(baseline="white"), "baseline is 'black' or 'blurred', not 'white'"),
        (lambda: ScoreCAM(max_channels=0), "max_channels is a whole number from 1 on"),
        (lambda: FasterScoreCAM(max_channels=2.5), "Faster Score-CAM: max_channels"),
        (lambda: SSCAM(samples=0), "samples is a whole number from 1 on, not 0"),
        (lambda: SSCAM(sigma=-1.0), "sigma is a number from 0 on"),
        (lambda: SSCAM(sigma=float("nan")), "sigma is a number from 0 on"),
        (lambda: SSCAM(sigma_unit="mm"), "sigma_unit is 'range' or 'absolute'"),
        (lambda: SSCAM(noise="score"), "noise is 'activation' or 'input'"),
        (lambda: SSCAM(seed=-1), "seed is a whole number from 0 on"),
        (lambda: ISCAM(steps=True), "steps is a whole number from 1 on, not True"),
    ],
)
def test_parameters_are_checked(make, sentence):
    with pytest.raises(MethodError, match=sentence):
        make()


def test_names_and_labels():
    for name in ("scorecam", "faster-scorecam", "sscam", "iscam"):
        assert METHODS[name].name == name
    assert FasterScoreCAM().label == "faster-scorecam"
    assert FasterScoreCAM(max_channels=4).label == "faster-scorecam(max_channels=4)"
