"""A case as the network sees it: its image, its maps, and which units are asked about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.plan import as_volume
from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.prepared import PreparedVolume
from napari_cam.reports.cases.case import Case
from napari_cam.reports.cases.cut_maps import hard
from napari_cam.reports.cases.map_names import MapName
from napari_cam.units import any_by_unit, by_unit
from napari_cam.volumes.volume import Volume

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ExplainedCase:
    """One image with its heatmaps, and what is known of it.

    Attributes
    ----------
    subject
        Name.
    volume, prepared
        The image, and as the network sees it.
    maps
        Name -> heatmap.
    keys
        Name -> what the heatmap was called by, from which it can be computed again.
    units
        Which units are asked about.
    foreground, reference
        (z, y, x) bool, None where not known.
    """

    subject: str
    volume: Volume = field(repr=False)
    prepared: PreparedVolume = field(repr=False)
    maps: dict[MapName, Heatmap] = field(repr=False)
    keys: dict[MapName, Any] = field(repr=False)
    units: tuple[int, ...]
    foreground: Mask | None = field(default=None, repr=False)
    reference: Mask | None = field(default=None, repr=False)

    def unit_of(self, array: NDArray[Any], unit: int) -> NDArray[Any]:
        """Return what of an array (z, y, x) belongs to a unit."""
        part: NDArray[Any] = by_unit(array, self.prepared.unit_axis)[unit]
        return part

    def by_class(self, name: MapName) -> dict[int, list[int]]:
        """Return class -> the units in which a map explains it."""
        found: dict[int, list[int]] = {}
        for unit in self.units:
            found.setdefault(int(self.maps[name].class_index[unit]), []).append(unit)
        return found


def explained(
    case: Case, model: LoadedModel, units: Sequence[int] | None, most_units: int
) -> ExplainedCase:
    """Return a case as the network sees it.

    Parameters
    ----------
    case, model
        What is judged, and the network that its heatmaps explain.
    units, most_units
        As in :func:`napari_cam.faithfulness_report`.

    Raises
    ------
    ReportError
        Where the image is missing, or heatmaps and masks do not go with it.
    """
    if case.image is None:
        raise ReportError(
            f"The image of '{case.subject}' is not given, which the network is asked about; give "
            "Case(maps, image=...)."
        )
    volume = as_volume(case.image)
    maps: dict[MapName, Heatmap] = {}
    keys: dict[MapName, Any] = {}
    for name, key, item in case.keyed():
        if not isinstance(item, Heatmap):
            raise ReportError(
                f"Subject '{case.subject}' has a mask where a heatmap is expected, '{name.label}'."
            )
        if item.values.shape != volume.shape:
            raise ReportError(
                f"The heatmap of subject '{case.subject}' has shape {item.values.shape} but the "
                f"volume {volume.shape}; give the volume that it explains."
            )
        maps[name], keys[name] = item, key
    prepared = model.card.bind(volume)
    for name, heatmap in maps.items():
        if heatmap.unit_axis != prepared.unit_axis:
            raise ReportError(
                f"'{name.label}' of '{case.subject}' has its units along axis {heatmap.unit_axis} "
                f"but the network takes them along {prepared.unit_axis}; give the network that "
                "the map explains."
            )
    chosen = units_of(next(iter(maps.values())), units, most_units)
    _check_classes(maps, chosen, prepared.n_units, case.subject)
    inside = prepared.foreground if case.foreground is None else case.foreground
    truth = None if case.reference is None else hard(case.reference_values())
    return ExplainedCase(case.subject, volume, prepared, maps, keys, chosen, inside, truth)


def units_of(heatmap: Heatmap, units: Sequence[int] | None, most: int) -> tuple[int, ...]:
    """Return the units that hold evidence, first of all those whose class is predicted."""
    if units is not None:
        return tuple(int(unit) for unit in units)
    looked_at = any_by_unit(heatmap.inside, heatmap.unit_axis)
    usable = looked_at & heatmap.valid & (heatmap.class_index >= 0)
    predicted = usable & (heatmap.predicted_index == heatmap.class_index)
    places = np.flatnonzero(predicted if predicted.any() else usable)
    if len(places) > most:
        places = places[np.round(np.linspace(0, len(places) - 1, most)).astype(int)]
    return tuple(places.tolist())


def _check_classes(
    maps: dict[MapName, Heatmap], units: Sequence[int], n_units: int, subject: str
) -> None:
    """Raise unless all maps explain one and the same class in each unit: floors have no own."""
    for unit in units:
        if not 0 <= unit < n_units:
            raise ReportError(
                f"There is no unit {unit} of subject '{subject}'; they are 0 to {n_units - 1}."
            )
        classes = {int(heatmap.class_index[unit]) for heatmap in maps.values()}
        if min(classes) < 0:
            raise ReportError(
                f"Unit {unit} of subject '{subject}' was not explained for a class by every map; "
                "choose others, or explain it."
            )
        if len(classes) > 1:
            raise ReportError(
                f"The maps of subject '{subject}' explain different classes in unit {unit}; give "
                "the maps of one class at a time."
            )
