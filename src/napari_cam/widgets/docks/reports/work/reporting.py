"""What the dock's job computes in another thread: the report. No Qt, no layers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.widgets.docks.reports.work.presenting import FinishedReport, present
from napari_cam.widgets.docks.reports.work.request import NetworkFile, ReportInput, ReportRequest
from napari_cam.widgets.layers.foregrounds import Tissue
from napari_cam.widgets.networks import LOOKING, load_network

if TYPE_CHECKING:
    from napari_cam.models.loaded import LoadedModel
    from napari_cam.reports.cases.case import Case
    from napari_cam.reports.page.report import Report

_SUBJECT = "1"  # the table never says whose image it is
_NOBODY = (
    "Whether the network was trained on this subject is not known: the image does not say whose "
    "it is."
)


class Cancelled(ReportError):
    """The user has thought better of it."""


@dataclass(eq=False)
class Progress:
    """How far a report is; the job writes, the window looks now and then.

    Attributes
    ----------
    done, total
        Steps; `total` is 0 while nobody knows.
    what
        What is being done.
    cancelled
        Once set, the job ends at its next step.
    """

    done: int = 0
    total: int = 0
    what: str = "Beginning …"
    cancelled: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.perf_counter)

    def check(self) -> None:
        """End the job where it was cancelled.

        Raises
        ------
        Cancelled
            Then.
        """
        if self.cancelled.is_set():
            raise Cancelled("Cancelled; the report before it stays.")

    def tick(self) -> None:
        """Note that a step is done."""
        self.done += 1
        self.check()

    def reach(self, done: int, total: int) -> None:
        """Note how many steps of how many are done."""
        self.done, self.total = done, total
        self.check()


def run_report(request: ReportRequest, progress: Progress) -> Iterator[FinishedReport]:
    """Yield the report.

    Raises
    ------
    NapariCamError
        Where what is asked for does not go together, or the job was cancelled.
    """
    progress.what = "Reading layers …"
    maps = {}
    for name, source in request.maps.items():
        maps[name] = source.aligned(request.grid, request.unit_axis)
        progress.check()
    reference = request.reference
    truth = None if reference is None else reference.aligned(request.grid, request.unit_axis)
    within = _foreground(request)
    progress.check()
    given = ReportInput(request, maps, truth, within)
    make = _faithfulness if request.kind == "faithfulness" else _of_masks
    report = make(given, progress)
    progress.check()
    yield present(report, given)


def _foreground(request: ReportRequest) -> Any:
    asked = request.foreground
    if asked is None or isinstance(asked, Tissue):
        return None if asked is None else asked.mask()
    return asked.aligned(request.grid, request.unit_axis)


def _case(given: ReportInput, subject: str) -> Case:
    from napari_cam.reports.cases.case import Case

    request = given.request
    return Case(
        dict(given.maps),
        None if request.kind == "agreement" else given.reference,
        subject,
        foreground=given.foreground,
        image=request.volume,
        unit_axis=request.unit_axis,
        grid=request.grid,
    )


def _of_masks(given: ReportInput, progress: Progress) -> Report:
    """Return the report on overlap or agreement: heatmaps are cut, and their masks compared."""
    from napari_cam.reports.agreement.report import agreement_report
    from napari_cam.reports.overlap.report import reference_report

    request = given.request
    overlap = request.kind == "overlap"
    progress.what = "Comparing the maps with each other …"
    if overlap:
        progress.what = "Comparing with the reference …"
    progress.total = len(given.maps)
    case = _case(given, _SUBJECT)
    asked: dict[str, Any] = {
        "thresholds": request.rules,
        "headline": request.headline or request.rules[0],
        "strict": request.strict,
        "empty": request.empty,
        "tick": progress.tick,
    }
    if not overlap:
        return agreement_report(case, ranks=request.soft, **asked)
    return reference_report(
        case,
        soft=request.soft,
        surfaces=request.surfaces,
        trained_on=lambda _subject: request.trained,
        **asked,
    )


def _faithfulness(given: ReportInput, progress: Progress) -> Report:
    from napari_cam.widgets.threads.beside_opengl import garbage_waits, load_triton_apart

    load_triton_apart()
    with garbage_waits():
        from napari_cam.reports.faithfulness.report import faithfulness_report

    request = given.request
    progress.what = "Loading the network …"
    model = _sliced(_network(request), given)
    _check_network(model, given)
    progress.check()
    progress.what = "Asking the network …"
    subject = request.volume.identity.subject
    report = faithfulness_report(
        _case(given, subject or _SUBJECT),
        model,
        most_units=request.most_units,
        device=request.device,
        progress=progress.reach,
    )
    units = report.table["subject"] != ""
    table = report.table.assign(subject=np.where(units, _SUBJECT, ""))
    notes = report.notes if subject else (_NOBODY, *report.notes[1:])
    return replace(report, table=table, notes=notes)


def _network(request: ReportRequest) -> LoadedModel:
    """Return a network of this report's own, as another dock may be looking through it."""
    found = request.network
    if found is None:
        raise ReportError("Faithfulness asks the network that made the maps; open it.")
    if isinstance(found, NetworkFile):
        loading = load_network(found.source, found.architecture, request.device, request.precision)
        return next(loading).model
    with LOOKING:
        return replace(found.model, module=deepcopy(found.model.module))


def _sliced(model: LoadedModel, given: ReportInput) -> LoadedModel:
    """Return the network with its slices across the axis that the maps have them."""
    axis = given.unit_axis_of()
    volume = given.request.volume
    return model if model.unit_axis(volume) == axis else model.sliced_along(axis)


def _check_network(model: LoadedModel, given: ReportInput) -> None:
    for name, heatmap in given.maps.items():
        if not isinstance(heatmap, Heatmap):
            raise ReportError(
                f"'{name.label}' is a mask; faithfulness is a matter of heatmaps: untick it."
            )
        if given.request.maps[name].places is not None:
            raise ReportError(
                f"'{name.label}' lies on {given.request.maps[name].item.grid.described()} but "  # type: ignore[union-attr]
                f"the image on {given.request.grid.described()}; faithfulness asks about the "
                "very image that was explained: untick it."
            )
        stated = heatmap.provenance.get("model")
        known = stated.get("sha256") if isinstance(stated, Mapping) else None
        if known and known != model.sha256:
            raise ReportError(
                f"'{name.label}' was made by another network (weights {known[:8]}…) than the one "
                f"chosen ({model.sha256[:8]}…); open that one, or untick the map."
            )
