"""A network whose answer is known, and what every method must find in it, from its definition.

Each of three channels of the picture holds things of one kind: boxes of class 0, a box of class 1,
and a neutral one. A map of the network holds the mean over two pixels each way of what one channel
shows above a threshold, and the scores are linear in these maps. So activations and gradients are
known in closed form, and all else follows in NumPy.
"""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

GAINS = np.array([1.0, 0.9, 0.8])
THRESHOLD = 0.4
WEIGHTS = np.array([[2.0, -1.0, 0.0], [-0.2, 1.5, 0.0], [-0.25, -0.5, 0.75]])
BIASES = np.array([0.02, 0.01, 0.05])


class KnownNetwork(nn.Module):
    """(n, 3, *s) -> (n, 3), or (n, 3, *s) for segmentation; the maps are those of `maps`."""

    def __init__(self, task: str, ndim: int) -> None:
        super().__init__()
        conv, pool = (nn.Conv2d, nn.AvgPool2d) if ndim == 2 else (nn.Conv3d, nn.AvgPool3d)
        self.task = task
        self.detect = conv(3, 3, 1)
        self.relu = nn.ReLU()
        self.maps = pool(2)
        self.head = nn.Linear(3, 3) if task == "classification" else conv(3, 3, 1)
        self.up = nn.Upsample(scale_factor=2, mode="nearest")
        with torch.no_grad():
            for layer, matrix, bias in (
                (self.detect, np.diag(GAINS), np.full(3, -THRESHOLD)),
                (self.head, WEIGHTS, BIASES),
            ):
                layer.weight.copy_(torch.from_numpy(matrix).reshape(layer.weight.shape))
                layer.bias.copy_(torch.from_numpy(bias))

    def forward(self, x: Tensor) -> Tensor:
        maps = self.maps(self.relu(self.detect(x)))
        if self.task == "classification":
            return self.head(maps.flatten(2).mean(2))
        return self.up(self.head(maps))


def places(ndim: int) -> dict[str, np.ndarray]:
    """Return where things are, each (2, *s) bool: the second picture is the first turned over."""
    corners = {"one": (2, 2), "two": (6, 10), "other": (2, 10), "neutral": (6, 4)}
    found = {}
    for name, (row, column) in corners.items():
        mask = np.zeros((10, 16) if ndim == 2 else (8, 10, 16), bool)
        box = (slice(row, row + 4), slice(column, column + 4))
        mask[box if ndim == 2 else (slice(2, 6), *box)] = True
        found[name] = np.stack([mask, np.flip(mask, -1)])
    return found | {0: found["one"] | found["two"], 1: found["other"]}


def pictures(ndim: int) -> np.ndarray:
    """Return (2, 3, *s) float32: faint noise, and things between 0.8 and 1."""
    at = places(ndim)
    random = np.random.default_rng(5)
    size = at["one"].shape[1:]
    values = random.uniform(0, 0.1, (2, 3, *size))
    for channel, names in enumerate((("one", "two"), ("other",), ("neutral",))):
        for name in names:
            shown = random.uniform(0.8, 1.0, (2, *size))
            values[:, channel] = np.where(at[name], shown, values[:, channel])
    return values.astype(np.float32)


class Answer:
    """Everything that is known of one picture x (3, *s), a class and a set of pixels (*s)."""

    def __init__(self, x: np.ndarray, class_index: int, region: np.ndarray | None) -> None:
        self.x = x.astype(np.float64)
        self.weights, self.bias = WEIGHTS[class_index], BIASES[class_index]
        self.class_index = class_index
        self.region = region
        self.A = self.activations(self.x)
        places = self.A[0].size
        # How often each place counts in the score: everywhere alike, or as its pixels lie in M.
        self.summed = np.full(self.A.shape[1:], 1 / places) if region is None else cells(region)
        self.mean = self.summed / self.summed.sum()
        self.G = self.weights.reshape(3, *(1,) * (x.ndim - 1)) * self.summed

    def activations(self, x: np.ndarray) -> np.ndarray:
        shown = np.maximum(over(GAINS, x) * x - THRESHOLD, 0)
        return np.stack([cells(each) for each in shown]) / 2 ** (x.ndim - 1)

    def score(self, x: np.ndarray) -> float:
        """Return y(x), the mean over the set of pixels."""
        return self.score_of(self.activations(x))

    def score_of(self, A: np.ndarray) -> float:
        return float((self.evidence(A) * self.mean).sum() + self.bias)

    def evidence(self, A: np.ndarray) -> np.ndarray:
        return np.tensordot(self.weights, A, 1)

    def raw(self, name: str) -> np.ndarray:
        """Return the map of a method by its definition."""
        return getattr(self, "_" + name.replace("++", "_plus").replace("-", "_"))()

    def _cam(self) -> np.ndarray:
        return self.evidence(self.A)

    def _gradcam(self) -> np.ndarray:
        return np.tensordot([each.mean() for each in self.G], self.A, 1)

    def _gradcam_plus(self, scale: float = 1.0) -> np.ndarray:
        weights = []
        for a, g in zip(self.A, self.G * scale, strict=True):
            alpha = np.divide(g**2, 2 * g**2 + g**3 * a.sum(), where=g != 0, out=np.zeros_like(g))
            weights.append((alpha * np.maximum(g, 0)).sum())
        return np.tensordot(weights, self.A, 1)

    def _smoothgradcam_plus(self) -> np.ndarray:
        # Noise in the picture changes no gradient here; the score is the mean over the region.
        return self._gradcam_plus(1 / self.summed.sum())

    def _xgradcam(self) -> np.ndarray:
        weights = [(g * a).sum() / a.sum() for a, g in zip(self.A, self.G, strict=True)]
        return np.tensordot(weights, self.A, 1)

    def _hirescam(self) -> np.ndarray:
        return (self.G * self.A).sum(0)

    def _layercam(self) -> np.ndarray:
        return (np.maximum(self.G, 0) * self.A).sum(0)

    def _xrescam(self) -> np.ndarray:
        pooled = np.zeros_like(self.G)
        for corner in product(*(range(0, n, 2) for n in self.A.shape[1:])):
            box = (slice(None), *(slice(start, start + 2) for start in corner))
            pooled[box] = self.G[box].mean(axis=tuple(range(1, self.A.ndim)), keepdims=True)
        return (pooled * self.A).sum(0)

    def _eigencam(self) -> np.ndarray:
        return first_component(self.A)

    def _eigengradcam(self) -> np.ndarray:
        return first_component(self.G * self.A)

    def _ablationcam(self) -> np.ndarray:
        whole = self.score_of(self.A)
        lost = []
        for k in range(3):
            without = self.A.copy()
            without[k] = 0
            lost.append(whole - self.score_of(without))
        return np.tensordot(lost, self.A, 1)

    def _liftcam(self) -> np.ndarray:
        share = [w * (a * self.mean).sum() for w, a in zip(self.weights, self.A, strict=True)]
        return np.tensordot(share, self.A, 1)

    def _scorecam(self, steps: int = 1) -> np.ndarray:
        dark = self.score(np.zeros_like(self.x))
        weights = []
        for a in self.A:
            mask = enlarged(a, self.x.shape[1:])
            mask = (mask - mask.min()) / (mask.max() - mask.min())
            rises = [self.score(self.x * mask * n / steps) - dark for n in range(1, steps + 1)]
            weights.append(np.mean(rises))
        return np.tensordot(weights, self.A, 1)

    _faster_scorecam = _scorecam

    def _iscam(self) -> np.ndarray:
        return self._scorecam(10)

    def _slopes(self) -> np.ndarray:
        """Return what the score gains for each unit above the threshold, (3, *s)."""
        weights = over(self.weights, self.x) * wide(self.mean)
        return weights / 2 ** (self.x.ndim - 1) * (over(GAINS, self.x) * self.x > THRESHOLD)

    def _saliency(self) -> np.ndarray:
        return np.abs(over(GAINS, self.x) * self._slopes()).max(0)

    def _fullgrad(self) -> np.ndarray:
        slopes = self._slopes()
        terms = [over(GAINS, self.x) * slopes * self.x, -THRESHOLD * slopes]
        total = sum(stretched(term).sum(0) for term in terms)
        if self.region is not None:  # the biases of the head have places, too
            head = self.bias * self.mean
            if np.ptp(head):
                total = total + enlarged(stretched(head), self.x.shape[1:])
        return total

    def _occlusion(self) -> np.ndarray:
        """Windows of 4, every 2 pixels; what is covered loses its evidence and nothing else."""
        evidence = wide(self.evidence(self.A) * self.mean) / 2 ** (self.x.ndim - 1)
        total, times = np.zeros_like(evidence), np.zeros_like(evidence)
        for corner in product(*(range(0, n - 3, 2) for n in evidence.shape)):
            box = tuple(slice(start, start + 4) for start in corner)
            total[box] += evidence[box].sum()
            times[box] += 1
        return total / times


def over(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    return values.reshape(3, *(1,) * (like.ndim - 1))


def cells(values: np.ndarray) -> np.ndarray:
    """Return the sum over two pixels each way."""
    for axis in range(values.ndim):
        first, second = (np.take(values, range(n, values.shape[axis], 2), axis) for n in (0, 1))
        values = first.astype(np.float64) + second
    return values


def wide(values: np.ndarray) -> np.ndarray:
    for axis in range(values.ndim):
        values = values.repeat(2, axis)
    return values


def enlarged(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    mode = "bilinear" if len(size) == 2 else "trilinear"
    return F.interpolate(torch.from_numpy(values)[None, None], size=size, mode=mode)[0, 0].numpy()


def stretched(term: np.ndarray) -> np.ndarray:
    size = np.abs(term)
    return (size - size.min()) / (size.max() - size.min())


def first_component(maps: np.ndarray) -> np.ndarray:
    matrix = maps.reshape(3, -1).T
    projection = matrix @ np.linalg.svd(matrix, full_matrices=False)[2][0]
    sign = 1 if projection @ matrix.mean(1) >= 0 else -1
    return sign * projection.reshape(maps.shape[1:])
