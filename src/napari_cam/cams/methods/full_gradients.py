"""FullGrad: the gradients at the input and at every bias, as one map of the input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from napari_cam.cams.methods.base import CamMethod, Evidence, Space, rescorer_of
from napari_cam.cams.methods.implicit_biases import implicit_bias
from napari_cam.cams.network.chunks import in_chunks
from napari_cam.cams.network.enlarge import enlarge
from napari_cam.cams.network.operations import (
    first_tensor,
    handled,
    in_graph,
    is_linear,
    name_of,
)
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.cams.network.tap import tap_input
from napari_cam.errors import MethodError
from napari_cam.models.hooks import INPUT, LayerRef, is_spatial

# Images per pass; their whole graph is kept while they are differentiated.
_CHUNK = 4

# The terms may miss the score by this share of it, and by rounding.
TOLERANCE = 0.01
_ROUNDING = 1e-5


@dataclass(frozen=True)
class FullGrad(CamMethod):
    """FullGrad: psi(x dy/dx) + sum over biases and channels of psi(b dy/db).

    Srinivas and Fleuret 2019 (arXiv:1905.00780). psi takes magnitudes, stretches them to [0, 1]
    over all channels of an image together and enlarges them to the input's size. Biases are those
    of convolutions and the implicit ones of norms and smooth activations; biases without places
    (linear layers) take part in the completeness check alone: the terms, before psi, must add up
    to the score within 1 %.
    """

    name: ClassVar[str] = "fullgrad"
    title: ClassVar[str] = "FullGrad"
    reference: ClassVar[str] = "Srinivas and Fleuret 2019, arXiv:1905.00780"
    summary: ClassVar[str] = "gradients at the input and at every bias of the network"
    needs: ClassVar[frozenset[str]] = frozenset({"rescoring"})
    reads_modules: ClassVar[bool] = True
    space: ClassVar[Space] = "input"

    def raw(self, evidence: Evidence) -> Tensor:
        """Return psi(x dy/dx) + sum psi(b dy/db)."""
        rescorer = rescorer_of(evidence)
        batch = rescorer.batch
        maps = evidence.activations.new_zeros((len(batch), *batch.shape[2:]))

        def fill(numbers: Tensor) -> None:
            found = full_gradients(rescorer, numbers)
            check_completeness(found)
            maps[numbers] = found.map.to(maps.dtype)

        in_chunks(fill, len(batch), _CHUNK, batch.device)
        return maps


def check_completeness(found: FullGradients) -> None:
    """Refuse a decomposition whose terms do not add up to the score.

    Raises
    ------
    MethodError
        Where they miss it by more than 1 %; names the operations at fault.
    """
    if found.complete:
        return
    share = float((found.error / found.score.abs()).nan_to_num(posinf=float("inf")).max())
    names = ", ".join(f"'{name}'" for name in found.uncovered)
    cause = f"it holds {names}" if names else "it holds something that is no torch function"
    raise MethodError(
        f"FullGrad's terms miss the score of this network by {100 * share:.3g} %: {cause}, whose "
        "implicit bias is not known; choose another method."
    )


@dataclass(frozen=True, eq=False)
class FullGradients:
    """The decomposition of each image's score.

    Attributes
    ----------
    map
        (m, *s) psi of the input's term and of every spatial bias term, added up.
    score
        (m,) the explained score.
    total
        (m,) sum of all unprocessed terms; equals `score`.
    magnitude
        (m,) sum of their magnitudes.
    uncovered
        Names of the operations met whose implicit bias is not known.
    """

    map: Tensor
    score: Tensor
    total: Tensor
    magnitude: Tensor
    uncovered: tuple[str, ...]

    @property
    def error(self) -> Tensor:
        """(m,) how far the terms miss the score."""
        return (self.total - self.score).abs()

    @property
    def complete(self) -> bool:
        """Whether the terms of every image add up to its score within `TOLERANCE`."""
        limit = TOLERANCE * self.score.abs() + _ROUNDING * self.magnitude
        return not bool((self.error > limit).any())  # NaN is no evidence, and no failure


def full_gradients(rescorer: Rescorer, numbers: Tensor) -> FullGradients:
    """Decompose the scores of images `numbers` (m,) of the rescorer's batch."""
    images = rescorer.batch[numbers]
    terms = _Terms(images)
    with_biases = _Biases(terms)
    tapped = tap_input(rescorer.module, images, around=handled(with_biases))
    with handled(with_biases):
        scores = rescorer.scored.again(tapped.output, numbers)
    leaf = tapped.activations[LayerRef(INPUT)]
    (gradient,) = tapped.differentiate(scores, [leaf])
    if gradient is not None:
        terms.add(leaf.detach() * gradient)
    return FullGradients(
        terms.map, scores.detach(), terms.total, terms.magnitude, tuple(with_biases.uncovered)
    )


def psi(term: Tensor, shape: torch.Size) -> Tensor:
    """Return a term (m, k, *f) as a map (m, *shape) that can be seen.

    Its magnitude, stretched to [0, 1] over all channels and places of an image together, enlarged
    and summed over channels. A term that is the same everywhere is no picture, and gives 0.
    """
    flat = term.abs().flatten(1)
    low, high = flat.amin(1, keepdim=True), flat.amax(1, keepdim=True)
    span = torch.where(high > low, high - low, torch.inf)
    unit = ((flat - low) / span).reshape(term.shape)
    return enlarge(unit.sum(1), shape)


class _Terms:
    """Adds up terms as they come; none is kept."""

    def __init__(self, images: Tensor) -> None:
        dtype = torch.promote_types(images.dtype, torch.float32)
        self._images = images
        self.map = images.new_zeros((len(images), *images.shape[2:]), dtype=dtype)
        self.total = images.new_zeros(len(images), dtype=dtype)
        self.magnitude = torch.zeros_like(self.total)

    def add(self, term: Tensor) -> None:
        term = term.to(self.map.dtype)
        flat = term.reshape(len(self.total), -1)
        self.total += flat.sum(1)
        self.magnitude += flat.abs().sum(1)
        ndim = self._images.ndim - 2
        if is_spatial(term, ndim) and len(term) == len(self.total):
            self.map += psi(term, self._images.shape[2:])


class _Biases:
    """Makes the network's calls, and has each bias meet the gradient that comes to it."""

    def __init__(self, terms: _Terms) -> None:
        self._terms = terms
        self._uncovered: dict[str, None] = {}

    @property
    def uncovered(self) -> list[str]:
        return list(self._uncovered)

    def __call__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # First the bias: the call may write into what it is made from.
        name = name_of(function)
        with torch.no_grad():
            known, bias = implicit_bias(name, function, args, kwargs)
        linear = is_linear(name, args, kwargs)
        result = function(*args, **kwargs)
        if not (known or linear) and in_graph(result):
            self._uncovered[name] = None
        if bias is not None and isinstance(result, Tensor) and result.requires_grad:
            if result._is_view() and result is not first_tensor(args, kwargs):  # noqa: SLF001
                result = result.clone()  # a view written into forgets who listens to it
            result.register_hook(self._meets(bias))  # type: ignore[no-untyped-call]
        return result

    def _meets(self, bias: Tensor) -> Callable[[Tensor], None]:
        def hook(gradient: Tensor) -> None:
            # Where no gradient comes, an infinite bias (a masked class) adds nothing.
            self._terms.add(torch.where(gradient == 0, 0.0, bias * gradient))

        return hook
