"""What the dock's jobs compute in another thread: heatmaps that grow. No Qt, no layers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.heatmap import Heatmap
from napari_cam.widgets.docks.cam.work.request import PixelSet, Request
from napari_cam.widgets.networks import LOOKING

if TYPE_CHECKING:
    from napari_cam.cams.explained_units import ExplainedUnits
    from napari_cam.cams.plan import Plan
    from napari_cam.models.loaded import LoadedModel
    from napari_cam.normalize import Normalize
    from napari_cam.volumes.volume import Volume

# While slices come in, heatmaps are rebuilt at most this often, and never for more than a fifth of
# the time.
_EVERY_S = 0.5
_SHARE = 5
_LONGEST_WAIT_S = 0.5  # nobody may be looking any more


@dataclass(frozen=True, eq=False)
class Result:
    """One heatmap as far as it has come.

    Attributes
    ----------
    parts
        What tells it apart: method, layer, target.
    title
        The method as people read it.
    heatmap
        The heatmap; slices that are not computed yet lie outside of it.
    logits
        (u, classes) the network's class scores, NaN where not computed.
    maps
        The raw maps it was made of, with those of the other heatmaps of its run; None where it was
        opened.
    segmentation
        Whether `logits` are shares of the image in which each class is predicted.
    """

    parts: tuple[str, str, str]
    title: str
    heatmap: Heatmap
    logits: NDArray[np.float32]
    maps: RawMaps | None = None
    segmentation: bool = False


@dataclass(frozen=True, eq=False)
class RawMaps:
    """What the network gave in one run, as far as it has come; small, as maps are coarse.

    Attributes
    ----------
    plan
        What was asked for.
    parts
        Batch after batch.
    """

    plan: Plan
    parts: tuple[ExplainedUnits, ...]

    def stretched(self, normalize: Normalize) -> Iterator[tuple[Result, ...]]:
        """Yield the heatmaps under a normalisation, without asking the network again."""
        from napari_cam.cams.build_heatmaps import build_heatmaps

        plan = self.plan
        maps = build_heatmaps(plan, self.parts, normalize)
        n_classes = self.parts[0].logits.shape[1]
        logits = np.full((plan.prepared.n_units, n_classes), np.nan, np.float32)
        for part in self.parts:
            logits[list(part.units)] = part.logits
        yield tuple(
            Result(
                (key.method.label, str(key.layer), key.target.label),
                key.method.title,
                heatmap,
                logits,
                self,
                self.parts[0].segmentation,
            )
            for key, heatmap in maps.items()
        )


@dataclass(frozen=True, eq=False)
class Progress:
    """How far a run is.

    Attributes
    ----------
    done, total
        Units.
    seconds
        Since the first forward pass began.
    results
        Heatmaps of all finished units; None where they were not rebuilt this time.
    notes
        Sentences on what had to be decided, and what is to be known of the finished heatmaps.
    finished
        Whether this is the last news.
    shown
        Set it once `results` are on screen: the run waits for that, because a window that draws
        while Python works in another thread stands still for several times as long.
    """

    done: int
    total: int
    seconds: float
    results: tuple[Result, ...] | None
    notes: tuple[str, ...] = ()
    finished: bool = False
    shown: threading.Event = field(default_factory=threading.Event)


def run_request(
    model: LoadedModel,
    volume: Volume,
    request: Request,
    units: tuple[int, ...] | None,
    first: int | None,
    cancelled: threading.Event,
) -> Iterator[Progress]:
    """Explain, and yield heatmaps as they grow, the unit `first` before all others.

    Parameters
    ----------
    model, volume
        The network and what it is shown.
    request
        What is asked; its `model` and `image` are not used.
    units
        Which units; None for all.
    first
        The unit on screen.
    cancelled
        Once set, what is finished is built and the run ends.
    """
    from napari_cam.cams.plan import RunOptions, plan_explanation

    if model.card.spatial_ndim == 3:
        units = first = None
    plan = plan_explanation(
        model.sliced_along(request.axis),
        volume,
        list(request.methods),
        _target(request),
        list(request.layers) or None,
        RunOptions(units, first, request.device, request.precision),
    )
    total, begun, built, cost = len(plan.units), time.perf_counter(), -np.inf, 0.0
    yield Progress(0, total, 0.0, None, plan.prepared.notes)
    parts: list[ExplainedUnits] = []
    done = 0
    for part in _one_at_a_time(plan.run()):
        parts.append(part)
        done += len(part.units)
        now = time.perf_counter()
        if cancelled.is_set() or done == total:
            break
        results = None
        if now - built > max(_EVERY_S, _SHARE * cost):
            results = _build(plan, parts, request)
            built = time.perf_counter()
            cost = built - now
        news = Progress(done, total, time.perf_counter() - begun, results)
        yield news
        if results is not None:
            news.shown.wait(_LONGEST_WAIT_S)
    results = _build(plan, parts, request)
    notes = tuple(dict.fromkeys(r.heatmap.note for r in results if r.heatmap.note))
    yield Progress(done, total, time.perf_counter() - begun, results, notes, finished=True)


def _target(request: Request) -> Any:
    """Return what is explained: a class, or one over a set of pixels."""
    from napari_cam.cams.targets.region_score import RegionScore
    from napari_cam.cams.targets.regions import Labelled

    region: Any = request.region
    if region is None:
        return request.class_id
    if isinstance(region, PixelSet):
        region = Labelled(region.labels, region.number)
    return RegionScore(request.class_id, region)


def _one_at_a_time(batches: Iterator[ExplainedUnits]) -> Iterator[ExplainedUnits]:
    """Yield the batches of a run, none of which is computed while another network looks."""
    while True:
        with LOOKING:
            part = next(batches, None)
        if part is None:
            return
        yield part


def _build(plan: Plan, parts: Sequence[ExplainedUnits], request: Request) -> tuple[Result, ...]:
    # Heatmaps stay longer than the network that they came from.
    return next(RawMaps(plan.without_network(), tuple(parts)).stretched(request.normalize))
