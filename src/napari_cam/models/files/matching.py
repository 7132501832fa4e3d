"""Weights and networks brought together: names matched, sizes inferred, misfits listed."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from napari_cam.errors import ModelError
from napari_cam.models.architectures.building import outline
from napari_cam.models.architectures.table import ARCHITECTURES, Architecture
from napari_cam.models.files.checkpoints import Weights


@dataclass(frozen=True, eq=False)
class Matched:
    """A file's weights under the names of a network.

    Attributes
    ----------
    weights
        What the network is to take.
    ignored
        Names in the file that do not belong to the network: everything beside the part in which
        the network was found, and heads that only training uses.
    prefixes
        Beginnings of names under which the file holds the whole network; the first was taken.
    """

    weights: Weights
    ignored: tuple[str, ...]
    prefixes: tuple[str, ...]


def match_names(
    weights: Weights, expected: Iterable[str], training_only: Sequence[str] = ()
) -> Matched:
    """Rename a file's weights as a network names them.

    Wrappers put beginnings before all names (``module.`` DataParallel, ``_orig_mod.`` compile,
    ``model.`` and ``net.`` training frameworks). One is taken off only where the names then match.

    Parameters
    ----------
    weights
        As the file names them.
    expected
        Names in the network.
    training_only
        Beginnings of names to leave out.
    """
    names = set(expected)
    for rename in _RENAMES:
        renamed = {rename(key): tensor for key, tensor in weights.items()}
        if max(_prefixes(renamed, names).values()) > max(_prefixes(weights, names).values()):
            weights = renamed
    counts = _prefixes(weights, names)
    prefix = max(counts, key=lambda beginning: counts[beginning])
    whole = tuple(key for key, count in counts.items() if count == len(names))
    inside, ignored = {}, []
    for key, tensor in weights.items():
        name = key.removeprefix(prefix)
        if key.startswith(prefix) and not name.startswith(tuple(training_only)):
            inside[name] = tensor
        else:
            ignored.append(key)
    return Matched(inside, tuple(ignored), whole)


def _without_wrappers(key: str) -> str:
    return re.sub(r"(^|\.)(?:module|_orig_mod)\.", r"\1", key)


def _joined_densenet_numbers(key: str) -> str:
    # torchvision's DenseNet weights still bear the names of 2017 (norm.1); today it is norm1.
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", key)


_RENAMES: tuple[Callable[[str], str], ...] = (_without_wrappers, _joined_densenet_numbers)


def _prefixes(weights: Weights, names: set[str]) -> dict[str, int]:
    """Return the beginnings with which some of `names` are found, and how many each finds."""
    probes = sorted(names, key=lambda name: (name.endswith("num_batches_tracked"), name))[:3]
    candidates = [""]
    for key in weights:
        candidates += [key[: -len(name)] for name in probes if key.endswith(f".{name}")]
    return {
        prefix: sum(prefix + name in weights for name in names)
        for prefix in dict.fromkeys(candidates)
    }


def fill(module: nn.Module, weights: Weights, path: object, target: str) -> None:
    """Load `weights` into `module`, all or, where anything does not fit, nothing.

    Parameters
    ----------
    module
        A network, or the :func:`~napari_cam.models.architectures.building.outline` of one, whose
        parameters then become the given tensors.
    weights
        Under the network's names. Numbers are converted to the network's type (half and bfloat16
        to float32).
    path, target
        What the error calls the file and the network.

    Raises
    ------
    ModelError
        Where names are unknown or missing, shapes differ, or numbers are not finite.
    """
    expected = module.state_dict()
    problems = list(_problems(weights, expected))
    if problems:
        raise ModelError(
            f"The weights in {path} do not fit {target}: {'; '.join(problems)}; name the "
            "architecture, with its options and channels, that they were trained in."
        )
    check_numbers(weights, path)
    state: OrderedDict[str, Tensor] = OrderedDict(
        (name, tensor.to(expected[name].dtype)) for name, tensor in weights.items()
    )
    # Some networks (MNASNet) read from here which of their versions the names belong to.
    setattr(state, "_metadata", getattr(expected, "_metadata", {}))  # noqa: B010
    on_meta = any(tensor.is_meta for tensor in expected.values())
    module.load_state_dict(state, strict=False, assign=on_meta)


def _problems(weights: Weights, expected: Mapping[str, Any]) -> Iterator[str]:
    shapes = {name: tuple(t.shape) for name, t in expected.items() if isinstance(t, Tensor)}
    unknown = [name for name in weights if name not in shapes]
    missing = list(_missing(weights, shapes))
    differing = [
        f"{name} ({_shape(tensor)} in the file, {shapes[name]} in the network)"
        for name, tensor in weights.items()
        if name in shapes and _shape(tensor) != shapes[name]
    ]
    for word, names in (("unknown", unknown), ("missing", missing), ("different shape", differing)):
        if names:
            more = ", ..." if len(names) > 3 else ""
            yield f"{len(names)} {word}: {', '.join(names[:3])}{more}"


def _missing(weights: Weights, expected: Iterable[str]) -> Iterator[str]:
    # Older files do not count batches, and no output depends on the count.
    for name in expected:
        if name not in weights and not name.endswith("num_batches_tracked"):
            yield name


def _shape(tensor: Tensor) -> tuple[int, ...]:
    return tuple(tensor.shape)


def check_numbers(weights: Mapping[str, Tensor], path: object) -> None:
    """Raise a :class:`ModelError` where weights are quantised, NaN or infinite."""
    quantised = [name for name, tensor in weights.items() if tensor.is_quantized]
    if quantised:
        raise ModelError(
            f"The weights in {path} are quantised ({quantised[0]}), which gradients cannot pass; "
            "use the network from before quantisation."
        )
    bad = [
        name
        for name, tensor in weights.items()
        if tensor.is_floating_point() and not _is_finite(tensor)
    ]
    if bad:
        raise ModelError(
            f"The weights in {path} hold NaN or infinity in {len(bad)} places, first in {bad[0]}; "
            "the training diverged or the file is damaged, use an earlier checkpoint."
        )


def _is_finite(tensor: Tensor) -> bool:
    # A sum is several times as fast as asking every number, and not finite if one of them is not.
    return bool(torch.isfinite(tensor.sum())) or bool(torch.isfinite(tensor).all())


@dataclass(frozen=True)
class Sizes:
    """What weights say about the network they belong to.

    Attributes
    ----------
    n_classes
        Outputs; None where the weights hold no classification head.
    in_channels
        Channels of the input.
    spatial_ndim
        2 or 3.
    """

    n_classes: int | None
    in_channels: int
    spatial_ndim: Literal[2, 3]


def find_sizes(
    row: Architecture, weights: Weights, spatial_ndim: int | None = None, **options: Any
) -> Sizes:
    """Return the sizes in which an architecture takes these weights.

    Parameters
    ----------
    row
        The architecture.
    weights
        As their file names them.
    spatial_ndim
        2 or 3; None finds out where the architecture leaves it open.
    **options
        What the architecture is built with.

    Notes
    -----
    Which tensor grows with the classes, and which with the channels, is found by building the
    network's outline with one more of them, so that it holds for every architecture.
    """
    ndim = spatial_ndim or _spatial_ndim(row, weights)
    plain = outline(row, 3, 3, ndim, **options)
    more_classes = outline(row, 4, 3, ndim, **options)
    more_channels = outline(row, 3, 4, ndim, **options)
    fitted = match_names(weights, plain.state_dict(), row.training_only).weights
    classes = _growing(plain, more_classes, fitted)
    channels = _growing(plain, more_channels, fitted)
    return Sizes(classes, channels or 3, 3 if ndim == 3 else 2)


def _spatial_ndim(row: Architecture, weights: Weights) -> int:
    if len(row.spatial_ndims) == 1:
        return row.spatial_ndims[0]
    return 3 if any(tensor.ndim == 5 for tensor in weights.values()) else 2


def _growing(plain: nn.Module, more: nn.Module, fitted: Weights) -> int | None:
    """Return the length of the first axis that is one longer in `more`: which one, kinds differ."""
    larger = more.state_dict()
    for name, tensor in plain.state_dict().items():
        found = fitted.get(name)
        if found is None or found.ndim != tensor.ndim:
            continue
        pairs = zip(_shape(tensor), _shape(larger[name]), strict=True)
        grown = [axis for axis, (small, large) in enumerate(pairs) if large == small + 1]
        if len(grown) == 1:
            return found.shape[grown[0]]
    return None


def guess_architecture(weights: Weights) -> str | None:
    """Return the architecture of the table whose weights bear these names and shapes, if any.

    The head and the first convolution may have other sizes. The first member of a family is asked
    for all, so that not every network has to be outlined.
    """
    families: dict[tuple[str, str], bool] = {}
    for row in ARCHITECTURES.values():
        if not row.available:
            continue
        family = (row.family, row.reference)
        if families.get(family, True):
            expected = outline(row, 3, 3, row.spatial_ndims[0]).state_dict()
            fitted = match_names(weights, expected, row.training_only).weights
            families.setdefault(family, len(fitted.keys() & expected.keys()) > len(expected) // 8)
            if _alike(fitted, expected):
                return row.name
    return None


def _alike(fitted: Weights, expected: Mapping[str, Tensor]) -> bool:
    if list(_missing(fitted, expected)) or fitted.keys() - expected.keys():
        return False
    differing = sum(_shape(fitted[name]) != _shape(expected[name]) for name in fitted)
    return differing <= 3  # head weight, head bias, first convolution
