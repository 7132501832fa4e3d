"""What a report is asked for, as plain values, and what it is made from. No Qt, no layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_cam.grid import Grid
from napari_cam.heatmap import Heatmap
from napari_cam.masks.rules import ThresholdRule
from napari_cam.reports.cases.map_names import MapName
from napari_cam.volumes.volume import Volume
from napari_cam.widgets.docks.reports.work.aligning import SourceMap
from napari_cam.widgets.layers.foregrounds import Tissue

if TYPE_CHECKING:
    from napari_cam.widgets.networks import Network

Kind = Literal["overlap", "agreement", "faithfulness"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class NetworkFile:
    """A network to load: "sample", "sample:segmentation" or a path, and the architecture named."""

    source: str
    architecture: str | None = None


@dataclass(frozen=True, eq=False)
class ReportRequest:
    """Everything that a report is made from.

    Attributes
    ----------
    kind
        Which report.
    maps
        What is judged, by name.
    volume
        The image.
    grid, unit_axis
        Where its voxels lie, and along which axis of (z, y, x) its slices do.
    reference, foreground
        What the maps are compared with, and where voxels count; None for none and everywhere.
    rules, headline
        Thresholds, and which is shown first.
    strict, empty, soft, surfaces
        As in :func:`napari_cam.reference_report`.
    network
        For faithfulness: the network that made the maps, or where to load it from.
    most_units
        For faithfulness: how many slices the network is asked about.
    trained
        Whether the network was trained on this subject; None where that is not known.
    device, precision
        Where a network runs.
    """

    kind: Kind
    maps: Mapping[MapName, SourceMap]
    volume: Volume
    grid: Grid
    unit_axis: int
    reference: SourceMap | None = None
    foreground: SourceMap | Tissue | None = None
    rules: tuple[ThresholdRule, ...] = ()
    headline: ThresholdRule | None = None
    strict: bool = True
    empty: float = np.nan
    soft: bool = True
    surfaces: bool = True
    network: Network | NetworkFile | None = None
    most_units: int = 8
    trained: bool | None = None
    device: str = "auto"
    precision: str = "auto"


@dataclass(frozen=True, eq=False)
class ReportInput:
    """What a report is made from, all on the image's grid.

    Attributes
    ----------
    request
        What was asked for.
    maps
        The heatmaps and masks by the names that the report's table has.
    reference, foreground
        (z, y, x) bool, None where there was none.
    """

    request: ReportRequest
    maps: Mapping[MapName, Any] = field(repr=False)
    reference: Mask | None = field(default=None, repr=False)
    foreground: Mask | None = field(default=None, repr=False)

    @property
    def headline(self) -> str:
        """Name of the threshold that is shown first."""
        rule = self.request.headline
        return "" if rule is None else rule.name

    @property
    def rules(self) -> Mapping[str, ThresholdRule]:
        """The thresholds by name."""
        headline = self.request.headline
        both = (*self.request.rules, *(() if headline is None else (headline,)))
        return {rule.name: rule for rule in both}

    def unit_axis_of(self, name: MapName | None = None) -> int | None:
        """Return along which axis of (z, y, x) the units of a map lie, None for one unit.

        Without a name, or of a mask, that of the first heatmap there is.
        """
        item = None if name is None else self.maps.get(name)
        for each in (item, *self.maps.values()):
            if isinstance(each, Heatmap):
                return each.unit_axis
        return self.request.unit_axis
