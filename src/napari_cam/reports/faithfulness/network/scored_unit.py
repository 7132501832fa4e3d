"""One unit as the network takes it, and the scores that the network gives to variants of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_cam.cams.network.optimized import choose_runner
from napari_cam.cams.network.rescoring import Make, Rescorer
from napari_cam.cams.network.tap import run_again
from napari_cam.cams.raw import as_input
from napari_cam.cams.targets.region_score import bind_units
from napari_cam.cams.targets.scores import Target
from napari_cam.models.device import exact_float32, on_device
from napari_cam.models.hooks import INPUT, LayerRef
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.prepared import PreparedVolume

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ScoredUnit:
    """A unit, and one score of it that the network gives.

    Attributes
    ----------
    image
        (c, *s) the unit as the network takes it, on the device that it runs on.
    start
        Its score, unchanged.
    """

    image: Tensor = field(repr=False)
    start: float
    _rescorer: Rescorer = field(repr=False)

    def scores(self, make: Make, count: int) -> Floats:
        """Return the scores (count,) of variants of the unit, a few at a time.

        Where memory runs out, chunks halve. Class and pixel set are those of the unchanged unit.

        Parameters
        ----------
        make
            Takes numbers (m,) of variants and returns them, (m, c, *s).
        """
        with torch.no_grad(), exact_float32():
            found = self._rescorer.score_inputs(make, count, 0)
        return np.asarray(found.double().cpu().numpy(), dtype=np.float64)


def scored_unit(
    model: LoadedModel,
    prepared: PreparedVolume,
    unit: int,
    targets: Sequence[Target],
    device: torch.device,
) -> tuple[ScoredUnit, ...]:
    """Return a unit with each of several scores of it; the network is left as it was.

    Parameters
    ----------
    model, prepared, unit
        The network, the volume as it sees it, and which unit.
    targets
        Which scores.
    device
        Where it runs.
    """
    module = on_device(model.module, device)
    batch = as_input(torch.from_numpy(prepared.batch([unit])).to(device), module)
    bound = bind_units(targets, prepared, [unit])
    with exact_float32():
        runner = choose_runner(module, batch)
        output = run_again(module, batch)
        found = []
        for target in targets:
            scored = bound.get(target, target).read(output)
            # Variants are read by `again`: of a region the mean, whatever the score itself is.
            start = scored.again(output, torch.zeros(1, dtype=torch.long, device=output.device))
            fixed = replace(scored, scores=start.detach())
            rescorer = Rescorer(module, batch, LayerRef(INPUT), batch, fixed, faster=runner.module)
            found.append(ScoredUnit(batch[0], float(start), rescorer))
    return tuple(found)


def unstable(model: LoadedModel, batch: NDArray[np.float32], device: torch.device) -> float:
    """Return how far two runs in eval mode differ, relative to the largest output.

    A network that draws random numbers in eval mode (dropout called as a function) gives other
    maps each time.

    Parameters
    ----------
    batch
        (n, c, *s) as the network takes it.
    """
    module = on_device(model.module, device)
    images = as_input(torch.from_numpy(batch).to(device), module)
    outputs = []
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), exact_float32():
        for seed in (1, 2):
            torch.manual_seed(seed)
            outputs.append(run_again(module, images).double())
    largest = max(float(output.abs().max()) for output in outputs)
    return float((outputs[0] - outputs[1]).abs().max()) / largest if largest > 0 else 0.0
