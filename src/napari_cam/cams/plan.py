"""One explanation, planned once and run unit by unit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral
from operator import index
from typing import Any, SupportsIndex

import torch

from napari_cam import checks
from napari_cam.cams.explained_units import ExplainedUnits
from napari_cam.cams.keys import AnyLayer, Layer, MapKey, as_layers, asks_the_network, layers_of
from napari_cam.cams.methods.base import CamMethod
from napari_cam.cams.methods.table import AnyMethod, as_methods
from napari_cam.cams.network.optimized import forget_runner
from napari_cam.cams.network.tap import widen
from napari_cam.cams.raw import BatchCams, as_input, compute
from napari_cam.cams.stitching import compute_in_windows
from napari_cam.cams.targets.arguments import as_targets
from napari_cam.cams.targets.region_score import bind_units, shares
from napari_cam.cams.targets.scores import AnyTarget, Target, class_logits
from napari_cam.cams.windows import Windows, first_window
from napari_cam.errors import DeviceError, ModelError, PreparationError, VolumeError
from napari_cam.heatmap import Maps
from napari_cam.models.device import (
    choose_device,
    choose_precision,
    is_out_of_memory,
    on_device,
    release_memory,
)
from napari_cam.models.layers.levels import TINY, is_tiny
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.prepared import PreparedVolume
from napari_cam.volumes.volume import Volume

# Units per forward pass where the user leaves it open; halved when memory runs out.
_AUTO_BATCH = {("cpu", 2): 8, ("cpu", 3): 1, ("cuda", 2): 32, ("cuda", 3): 1}


@dataclass(frozen=True, eq=False)
class RunOptions:
    """Which units are explained, where and how; parameters of :func:`napari_cam.explain`.

    Attributes
    ----------
    first
        The unit that comes alone and before all others.
    """

    units: Sequence[int] | None = None
    first: int | None = None
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | str = "auto"
    windows: Windows | int | Sequence[int] | None = None
    optimize: bool = True


_AS_THEY_ARE = RunOptions()


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything an explanation needs, checked and resolved before the first forward pass.

    Attributes
    ----------
    model, volume, prepared
        Who looks, at what, and how the volume becomes the network's input.
    methods, targets, layers
        What to compute, as objects.
    units
        Which units, in the order in which they come.
    device, precision, batch_size
        Where and how it runs; with windows `batch_size` counts these.
    windows
        How units are cut where the network is shown them piece by piece.
    optimize
        Whether a folded private copy of the network may run in its place.
    """

    model: LoadedModel
    volume: Volume
    prepared: PreparedVolume
    methods: tuple[CamMethod, ...]
    targets: tuple[Target, ...]
    layers: tuple[Layer, ...]
    units: tuple[int, ...]
    device: torch.device
    precision: str
    batch_size: int
    autocast: torch.dtype | None = field(default=None, repr=False)
    windows: Windows | None = None
    optimize: bool = True

    @property
    def keys(self) -> list[MapKey]:
        """Return the key of every map that will come."""
        return [
            MapKey(method, layer, target)
            for target in self.targets
            for method in self.methods
            for layer in layers_of(method, self.layers)
        ]

    def without_network(self) -> Plan:
        """Return what heatmaps are built with, so that they need not keep the network alive."""
        return replace(self, model=replace(self.model, module=torch.nn.Identity()))

    def run(self) -> Iterator[ExplainedUnits]:
        """Yield batch after batch; closing the generator cancels, what was yielded stays good.

        The batch size halves whenever memory runs out, and the same units are tried again.

        Raises
        ------
        DeviceError
            Where not even one unit fits into memory.
        """
        waiting = list(self.units)
        size = self.batch_size
        optimize = self.optimize
        while waiting:
            # The first unit is the one asked for: it comes alone, as soon as it can.
            alone = self.windows is not None or len(waiting) == len(self.units)
            units = tuple(waiting[: 1 if alone else size])
            cams = self._try(units, size, optimize)
            if cams is None:
                tried = len(units) if self.windows is None else size
                size = max(1, tried // 2)
                release_memory(self.device)
                if tried == 1 and not optimize:
                    raise self._too_large()
                if tried == 1:
                    optimize = False  # the copy of the weights is gone by now
                continue
            waiting = waiting[len(units) :]
            yield self._on_host(units, cams, size)

    def _too_large(self) -> DeviceError:
        if self.windows is not None:
            return DeviceError(
                f"One window of {self.windows.size} pixels does not fit into the memory of "
                f"{self.device}; use smaller windows, device='cpu' or bfloat16."
            )
        return DeviceError(
            f"One unit of shape {self.prepared.input_shape} does not fit into the memory of "
            f"{self.device}; use device='cpu', bfloat16, smaller input, or windows."
        )

    def _try(self, units: tuple[int, ...], size: int, optimize: bool) -> BatchCams | None:
        """Return the maps of `units`, None where memory ran out; `size` windows at once."""
        module = None
        try:
            module = on_device(self.model.module, self.device)
            batch = torch.from_numpy(self.prepared.batch(units))
            asked = (self.methods, self.targets, self.layers, self.autocast, optimize)
            bound = bind_units(self.targets, self.prepared, units)
            if self.windows is not None:
                return compute_in_windows(module, batch, self.windows, *asked, bound, size)
            return compute(module, as_input(batch.to(self.device), module), *asked, bound)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if optimize and module is not None and len(units) == 1:
                forget_runner(module)
            return None

    def _on_host(self, units: tuple[int, ...], cams: BatchCams, size: int) -> ExplainedUnits:
        segmentation = cams.output.ndim > 2
        logits = shares(cams.output) if segmentation else class_logits(cams.output)
        names = self.model.card.class_names
        if names and len(names) != logits.shape[1]:
            raise ModelError(
                f"The network tells {logits.shape[1]} classes apart but has {len(names)} class "
                "names; give one name per class when it is loaded or wrapped."
            )
        return ExplainedUnits(
            units,
            Maps({key: value.float().cpu().numpy() for key, value in cams.maps.items()}),
            {target: read.class_index.cpu().numpy() for target, read in cams.scored.items()},
            {target: read.scores.float().cpu().numpy() for target, read in cams.scored.items()},
            logits.float().cpu().numpy(),
            size,
            {
                target: read.pixels.cpu().numpy()
                for target, read in cams.scored.items()
                if read.pixels is not None
            },
            segmentation,
            _notes(cams, segmentation),
            cams.path,
        )


def _notes(cams: BatchCams, segmentation: bool) -> tuple[str, ...]:
    notes = [cams.note] if cams.note else []
    if segmentation:
        sizes = {(str(key.layer), tuple(each.shape[1:])) for key, each in cams.maps.items()}
        notes += [
            f"The map of '{layer}' has only {' x '.join(map(str, shape))} places, {TINY}."
            for layer, shape in sorted(sizes)
            if is_tiny(shape)
        ]
    return tuple(notes)


def plan_explanation(
    model: LoadedModel,
    volume_or_array: Any,
    methods: AnyMethod | Sequence[AnyMethod] = "gradcam",
    targets: AnyTarget | Sequence[AnyTarget] = None,
    layers: AnyLayer | Sequence[AnyLayer] | None = None,
    options: RunOptions = _AS_THEY_ARE,
) -> Plan:
    """Check and resolve everything; see :func:`napari_cam.explain` for the parameters."""
    _check_model(model)
    volume = as_volume(volume_or_array)
    chosen_methods = as_methods(methods)
    chosen_targets = as_targets(targets, model)
    place = choose_device(options.device)
    autocast = choose_precision(options.precision, place)
    prepared = model.card.bind(volume)
    wanted = _order(options.units, options.first, prepared.n_units)
    bind_units(chosen_targets, prepared, wanted[:1])  # a region that does not fit is refused now
    cut = Windows.of(options.windows)
    if cut is not None:
        cut.shape(model.card.spatial_ndim)
    given: Any = layers
    asked = list(given) if isinstance(given, Iterator) else given  # it is looked at twice
    images = torch.zeros(0)
    if asks_the_network(asked, model):
        example = torch.from_numpy(prepared.batch(wanted[:1]))
        if cut is not None:
            example = first_window(example, cut)
        images = as_input(example, model.module)
    chosen_layers = as_layers(asked, model, model.module, images, chosen_methods)
    return Plan(
        model=model,
        volume=volume,
        prepared=prepared,
        methods=tuple(chosen_methods),
        targets=tuple(chosen_targets),
        layers=tuple(chosen_layers),
        units=wanted,
        device=place,
        precision="float32" if options.precision == "auto" else options.precision,
        batch_size=_batch_size(options.batch_size, place, model.card.spatial_ndim),
        autocast=autocast,
        windows=cut,
        optimize=bool(options.optimize),
    )


def _check_model(model: Any) -> None:
    if not isinstance(model, LoadedModel):
        raise ModelError(
            f"A {type(model).__name__} has no card that says how images are prepared for it; "
            "give what load_model or wrap_model returns."
        )


def as_volume(volume_or_array: Any) -> Volume:
    """Return a volume as it is, an array or tensor (y, x) or (z, y, x) wrapped as one."""
    if isinstance(volume_or_array, (str, os.PathLike)):
        raise VolumeError("A path is no image yet; give what read_volume returns for it.")
    if isinstance(volume_or_array, Volume):
        return volume_or_array
    if isinstance(volume_or_array, torch.Tensor):
        volume_or_array = widen(volume_or_array.detach()).cpu()
    return Volume.from_array(volume_or_array)


def _order(units: Any, first: Any, n_units: int) -> tuple[int, ...]:
    """Return the units to explain, the asked-for one in front."""
    if isinstance(units, Integral):
        raise PreparationError(
            f"units is a list of slice numbers; for slice {units} write [{units}]."
        )
    given = range(n_units) if units is None else units
    wanted = list(given) if isinstance(given, Iterable) else [given]
    for unit in [*wanted, *([] if first is None else [first])]:
        if isinstance(unit, bool) or not isinstance(unit, SupportsIndex):
            # A mask of slices would pass for slices 0 and 1.
            raise PreparationError(f"Slices are given by their numbers, not {unit!r}.")
        if not 0 <= index(unit) < n_units:
            raise PreparationError(
                f"There is no slice {unit}; the volume has {n_units}, 0 to {n_units - 1}."
            )
    if not wanted:
        raise PreparationError("No slices are asked for; name at least one.")
    if first is not None:
        wanted = [first, *(unit for unit in wanted if unit != first)]
    return tuple(dict.fromkeys(map(index, wanted)))


def _batch_size(batch_size: Any, device: torch.device, spatial_ndim: int) -> int:
    if batch_size == "auto":
        return _AUTO_BATCH.get((device.type, spatial_ndim), 1 if spatial_ndim == 3 else 8)
    wanted = "'auto' or a positive integer"
    return checks.whole(batch_size, "batch_size", DeviceError, least=1, wanted=wanted)
