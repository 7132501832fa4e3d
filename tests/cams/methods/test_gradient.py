"""Formulas on numbers typed by hand, on float64 references, and their identities."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_cam.cams.methods.base import Evidence
from napari_cam.cams.methods.gradient import (
    CAM,
    EigenCAM,
    EigenGradCAM,
    GradCAM,
    GradCAMPlusPlus,
    HiResCAM,
    LayerCAM,
    XGradCAM,
    XResCAM,
    principal_projection,
)
from napari_cam.cams.methods.table import METHODS, as_methods
from napari_cam.errors import MethodError

pytestmark = pytest.mark.quick

A = torch.tensor(
    [
        [
            [[1.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 4]],
            [[1.0, 1, 1, 1], [1, 1, 1, 1], [0, 0, 0, 0], [0, 0, 0, 0]],
        ]
    ]
)
G = torch.tensor(
    [
        [
            [[4.0, 0, 0, 0], [0, 4, 0, 0], [0, 0, -4, 0], [0, 0, 0, 4]],
            [[-1.0, -1, -1, -1], [1, 1, 1, 1], [0, 0, 0, 0], [-2, -2, -2, -2]],
        ]
    ]
)
DIAGONAL, TOP = A[0, 0].numpy(), A[0, 1].numpy()

# Worked out by hand. Grad-CAM: w = (8/16, -8/16). XGrad: w = (16/10, 0/8).
# Grad-CAM++: alpha = 1/(2 + G sum A): 1/42 at three places of channel 1 (the fourth has a negative
# denominator), 1/10 at four places of channel 2; w = (3 * 4/42, 4 * 1/10).
BY_HAND = {
    GradCAM(): [[0, -0.5, -0.5, -0.5], [-0.5, 0.5, -0.5, -0.5], [0, 0, 1.5, 0], [0, 0, 0, 2]],
    HiResCAM(): [[3, -1, -1, -1], [1, 9, 1, 1], [0, 0, -12, 0], [0, 0, 0, 16]],
    HiResCAM(relu="per_channel"): [[4, 0, 0, 0], [1, 9, 1, 1], [0, 0, 0, 0], [0, 0, 0, 16]],
    LayerCAM(): [[4, 0, 0, 0], [1, 9, 1, 1], [0, 0, 0, 0], [0, 0, 0, 16]],
    XGradCAM(): [[1.6, 0, 0, 0], [0, 3.2, 0, 0], [0, 0, 4.8, 0], [0, 0, 0, 6.4]],
    GradCAMPlusPlus(): 2 / 7 * DIAGONAL + 0.4 * TOP,
    GradCAMPlusPlus(normalize_alpha=True): 4 * DIAGONAL + 1 * TOP,
}


@pytest.mark.parametrize("method", BY_HAND, ids=lambda method: method.label)
def test_hand_typed_4x4(method):
    found = method.raw(Evidence(A, G))[0].numpy()
    np.testing.assert_allclose(found, np.array(BY_HAND[method]), atol=1e-6)


def test_cam_hand_typed():
    found = CAM().raw(Evidence(A, class_weights=torch.tensor([[2.0, -3.0]])))[0].numpy()
    expected = [[-1, -3, -3, -3], [-3, 1, -3, -3], [0, 0, 6, 0], [0, 0, 0, 8]]
    np.testing.assert_allclose(found, expected)


def test_eigen_cam_of_rank_one_is_known():
    # Channels u and 2u: v = (1, 2)/sqrt(5), so A v = sqrt(5) u.
    u = torch.tensor([[0.0, 1, 2, 3, 4], [5, 6, 7, 8, 9], [1, 3, 5, 7, 9]])
    found = EigenCAM().raw(Evidence(torch.stack([u, 2 * u])[None]))
    torch.testing.assert_close(found[0], u * 5**0.5)


# --------------------------------------------------------------------------- float64 references

SHAPES = {2: (3, 7, 5, 6), 3: (2, 5, 4, 6, 3)}


def random_evidence(ndim, seed=0):
    rng = np.random.default_rng(seed)
    a = np.maximum(rng.normal(0.3, 1, SHAPES[ndim]), 0)
    g = rng.normal(0.1, 1, SHAPES[ndim])
    return a, g


def reference(name, a, g):
    """Formulas in plain loops over images and channels, in float64."""
    out = np.zeros((a.shape[0], *a.shape[2:]))
    for n in range(a.shape[0]):
        for k in range(a.shape[1]):
            act, grad = a[n, k], g[n, k]
            if name == "gradcam":
                out[n] += grad.mean() * act
            elif name == "hirescam":
                out[n] += grad * act
            elif name == "layercam":
                out[n] += np.maximum(grad, 0) * act
            elif name == "xgradcam":
                out[n] += (grad * act).sum() / act.sum() * act
            elif name == "gradcam++":
                denominator = 2 * grad**2 + grad**3 * act.sum()
                alpha = np.where(denominator > 0, grad**2, 0) / np.where(
                    denominator > 0, denominator, 1
                )
                out[n] += (alpha * np.maximum(grad, 0)).sum() * act
    return out


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", ["gradcam", "hirescam", "layercam", "xgradcam", "gradcam++"])
def test_float64_reference(name, ndim):
    a, g = random_evidence(ndim)
    expected = reference(name, a, g)
    exact = METHODS[name].raw(Evidence(torch.from_numpy(a), torch.from_numpy(g))).numpy()
    np.testing.assert_allclose(exact, expected, rtol=1e-10, atol=1e-12)
    single = METHODS[name].raw(Evidence(torch.from_numpy(a).float(), torch.from_numpy(g).float()))
    np.testing.assert_allclose(single.numpy(), expected, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("channels", [4, 200])
def test_eigen_matches_svd(ndim, channels):
    # More channels than places and fewer: both Gram matrices.
    rng = np.random.default_rng(3)
    shape = (2, channels, *SHAPES[ndim][2:])
    a, g = np.maximum(rng.normal(0, 1, shape), 0), rng.normal(0, 1, shape)
    for method, maps in ((EigenCAM(), a), (EigenGradCAM(), a * g)):
        found = method.raw(Evidence(torch.from_numpy(a), torch.from_numpy(g))).numpy()
        for n in range(2):
            matrix = maps[n].reshape(channels, -1).T
            _, _, vt = np.linalg.svd(matrix, full_matrices=False)
            projection = matrix @ vt[0]
            projection *= np.sign(projection @ matrix.mean(1))
            np.testing.assert_allclose(found[n].ravel(), projection, rtol=1e-8, atol=1e-9)


def test_eigen_sign_survives_where_a_centred_correlation_would_flip():
    maps = torch.tensor([[[[10.0, 9.0]], [[0.0, 2.0]]]])  # the mean rises, the projection falls
    assert (principal_projection(maps) > 0).all()


def test_eigen_of_tiny_activations_does_not_underflow():
    u = torch.rand(4, 5, generator=torch.Generator().manual_seed(0)) * 1e-30
    found = principal_projection(torch.stack([u, u, u])[None])
    torch.testing.assert_close(found[0] / 1e-30, u * 3**0.5 / 1e-30, rtol=1e-5, atol=0)


# --------------------------------------------------------------------------- pooled gradients


def test_xres_by_hand():
    # Windows of 2 on a 2x3 map: the last column is a window of its own, of two cells and no zeros.
    g = torch.tensor([[[[1.0, 3.0, 5.0], [4.0, -4.0, 9.0]]]])
    a = torch.tensor([[[[1.0, 1.0, 1.0], [2.0, 1.0, 3.0]]]])
    mean, top = (XResCAM(window=2, pool=pool).raw(Evidence(a, g)) for pool in ("mean", "max"))
    torch.testing.assert_close(mean, torch.tensor([[[1.0, 1.0, 7.0], [2.0, 1.0, 21.0]]]))
    torch.testing.assert_close(top, torch.tensor([[[4.0, 4.0, 9.0], [8.0, 4.0, 27.0]]]))


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("pool", ["mean", "max"])
@pytest.mark.parametrize("window", [2, 3, 4])
def test_xres_float64_reference(ndim, pool, window):
    a, g = random_evidence(ndim)
    expected = np.zeros((a.shape[0], *a.shape[2:]))
    for n in range(a.shape[0]):
        for k in range(a.shape[1]):
            for place in np.ndindex(*a.shape[2:]):
                box = tuple(slice(i - i % window, i - i % window + window) for i in place)
                cells = g[n, k][box]
                pooled = cells.mean() if pool == "mean" else cells.max()
                expected[(n, *place)] += pooled * a[(n, k, *place)]
    evidence = Evidence(torch.from_numpy(a), torch.from_numpy(g))
    found = XResCAM(window=window, pool=pool).raw(evidence).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("ndim", [2, 3])
def test_xres_lies_between_hires_and_gradcam(ndim):
    evidence = Evidence(*(torch.from_numpy(x) for x in random_evidence(ndim)))
    for pool in ("mean", "max"):
        one = XResCAM(window=1, pool=pool).raw(evidence)
        torch.testing.assert_close(one, METHODS["hirescam"].raw(evidence))
    whole = XResCAM(window=max(SHAPES[ndim])).raw(evidence)
    torch.testing.assert_close(whole, METHODS["gradcam"].raw(evidence))


@pytest.mark.parametrize("ndim", [2, 3])
def test_layercam_as_tf_keras_vis_computed_it(ndim):
    a, g = random_evidence(ndim)
    expected = np.zeros((a.shape[0], *a.shape[2:]))
    for n in range(a.shape[0]):
        for k in range(a.shape[1]):
            expected[n] += np.maximum(g[n, k], 0).mean() * a[n, k]
    legacy = LayerCAM(legacy_mean_positive_grad=True)
    found = legacy.raw(Evidence(torch.from_numpy(a), torch.from_numpy(g))).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert legacy.label == "layercam(legacy_mean_positive_grad=True)"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"window": 0}, "window is a whole number from 1 on, not 0"),
        ({"pool": "median"}, "pool is one of 'mean', 'max', not 'median'"),
    ],
)
def test_xres_parameters_that_make_no_sense(options, sentence):
    with pytest.raises(MethodError, match=sentence):
        XResCAM(**options)


# --------------------------------------------------------------------------- guards


def test_plusplus_guards():
    a = torch.ones(1, 3, 2, 3)
    g = torch.zeros(1, 3, 2, 3)
    g[0, 1] = -0.5  # 2 + G sum A = 2 - 3 < 0
    g[0, 2] = 1e-25  # G^2 underflows float32: the plain formula gives 0/0
    found = GradCAMPlusPlus().raw(Evidence(a, g))
    assert torch.isfinite(found).all()
    torch.testing.assert_close(found, torch.full((1, 2, 3), 6 * 1e-25 / 2))


@pytest.mark.parametrize("g", [0.25, 3.0])
def test_plusplus_constant_gradient_closed_form(g):
    a = torch.rand(1, 1, 4, 6, generator=torch.Generator().manual_seed(0))
    G = torch.full_like(a, g)
    Z, total = 24, float(a.sum())
    plain = GradCAMPlusPlus().raw(Evidence(a, G))
    torch.testing.assert_close(plain[0], Z * g / (2 + g * total) * a[0, 0])
    normalised = GradCAMPlusPlus(normalize_alpha=True).raw(Evidence(a, G))
    torch.testing.assert_close(normalised[0], g * a[0, 0])


def test_plusplus_normalises_over_positive_gradients_alone():
    # sum A = 1: alpha = 1/(2 + G) = 1/3, 1/1.5, 1/2.5 at G = 1, -0.5, 0.5. Over the positive ones
    # alpha sums to 1/3 + 2/5 = 11/15; w = (1/3 * 1 + 2/5 * 0.5) / (11/15) = 8/11.
    a = torch.tensor([[[[0.25, 0.25, 0.5]]]])
    g = torch.tensor([[[[1.0, -0.5, 0.5]]]])
    found = GradCAMPlusPlus(normalize_alpha=True).raw(Evidence(a, g))
    torch.testing.assert_close(found, 8 / 11 * a[0])


def test_xgrad_gives_a_cancelling_channel_no_weight():
    a = torch.zeros(1, 2, 2, 2)
    a[0, 0] = torch.tensor([[1.0, -1.0], [1e-9, 0.0]])  # sums to rounding
    a[0, 1] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    found = XGradCAM().raw(Evidence(a, torch.ones_like(a)))
    torch.testing.assert_close(found[0], a[0, 1])


def test_gradient_family_is_linear_in_the_score():
    a, g = (torch.from_numpy(x) for x in random_evidence(2))
    for name in ("gradcam", "hirescam", "layercam", "xgradcam"):
        one, scaled = (METHODS[name].raw(Evidence(a, g * s)) for s in (1.0, 1e-3))
        torch.testing.assert_close(scaled, one * 1e-3)


# --------------------------------------------------------------------------- the table


def test_names_are_those_of_the_field():
    assert list(METHODS) == [
        "cam", "gradcam", "gradcam++", "smoothgradcam++", "xgradcam", "hirescam", "layercam",
        "xrescam", "eigencam", "eigengradcam", "scorecam", "faster-scorecam", "sscam", "iscam",
        "ablationcam", "liftcam", "fullgrad", "saliency", "smoothgrad", "occlusion", "rise",
        "random",
    ]  # fmt: skip
    assert GradCAMPlusPlus(normalize_alpha=True).label == "gradcam++(normalize_alpha=True)"


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [("gradcam+", "did you mean 'gradcam"), ("zzz", "there are cam"), ([], "No method is given")],
)
def test_unknown_method_is_named(wrong, sentence):
    with pytest.raises(MethodError, match=sentence.replace("+", r"\+")):
        as_methods(wrong)


def test_unknown_relu_is_named():
    with pytest.raises(MethodError, match="relu is one of 'sum', 'none', not 'per_channel'"):
        GradCAM(relu="per_channel")


def test_eigen_of_an_image_that_is_no_number_leaves_the_others():
    maps = torch.rand(3, 6, 4, 5, generator=torch.Generator().manual_seed(0))
    broken = maps.clone()
    broken[1, 0, 2, 3], broken[2, 1, 0, 0] = torch.nan, torch.inf
    found = principal_projection(broken)
    torch.testing.assert_close(found[0], principal_projection(maps)[0])
    assert found[1:].isnan().all()
