"""What is to be judged: volumes with their maps, and which units of them are asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam.cams.plan import as_volume
from napari_cam.errors import ReportError
from napari_cam.heatmap import Heatmap
from napari_cam.models.loaded import LoadedModel
from napari_cam.models.preparation.prepared import PreparedVolume
from napari_cam.reports.cases import MapName, apart, name_of
from napari_cam.units import any_by_unit, by_unit
from napari_cam.volumes.volume import Volume

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Case:
    """One volume, its maps, and what is known of it.

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


def cases_of(
    model: LoadedModel,
    volume: Any,
    heatmaps: Any,
    foreground: Any,
    reference: Any,
    units: Sequence[int] | None,
    most_units: int,
) -> list[Case]:
    """Return the cases; see :func:`napari_cam.faithfulness_report` for the parameters.

    Raises
    ------
    ReportError
        Where volumes, heatmaps and masks do not go together.
    """
    several = isinstance(volume, Mapping)
    volumes = dict(volume) if several else {"volume": volume}
    if not volumes:
        raise ReportError("No volume is given.")
    cases = []
    for subject, each in volumes.items():
        own = as_volume(each)
        given = _of(heatmaps, subject, several, "heatmap")
        if given is None:
            raise ReportError(f"Subject '{subject}' has no heatmap.")
        maps, keys = _maps(given, str(subject), own)
        prepared = model.card.bind(own)
        inside = _mask(_of(foreground, subject, several, "foreground"), own, "foreground")
        if inside is None:
            inside = prepared.foreground
        truth = _mask(_of(reference, subject, several, "reference"), own, "reference")
        first = next(iter(maps.values()))
        chosen = _units(first, prepared, units, most_units)
        _check_classes(maps, chosen, prepared.n_units, str(subject))
        if chosen:
            cases.append(Case(str(subject), own, prepared, maps, keys, chosen, inside, truth))
    if not cases:
        raise ReportError(
            "No unit of any heatmap holds evidence for the explained class, so there is nothing "
            "to judge."
        )
    names = set(cases[0].maps)
    if any(set(case.maps) != names for case in cases):
        raise ReportError("The subjects have different maps; give the same ones for each.")
    return cases


def _of(given: Any, subject: Any, several: bool, what: str) -> Any:
    if given is None or not several:
        return given
    if not isinstance(given, Mapping) or subject not in given:
        raise ReportError(f"Subject '{subject}' has no {what}; give one for every subject.")
    return given[subject]


def _maps(
    given: Any, subject: str, volume: Volume
) -> tuple[dict[MapName, Heatmap], dict[MapName, Any]]:
    by_key = given if isinstance(given, Mapping) else {None: given}
    maps: dict[MapName, Heatmap] = {}
    keys: dict[MapName, Any] = {}
    for key, heatmap in by_key.items():
        if not isinstance(heatmap, Heatmap):
            raise ReportError(
                f"Subject '{subject}' has a {type(heatmap).__name__} where a heatmap is expected."
            )
        if heatmap.values.shape != volume.shape:
            raise ReportError(
                f"The heatmap of subject '{subject}' has shape {heatmap.values.shape} but the "
                f"volume {volume.shape}; give the volume that it explains."
            )
        name = name_of("map" if key is None else key, heatmap)
        if name in maps:
            name = apart(name, key, heatmap, maps)
        maps[name], keys[name] = heatmap, key
    if not maps:
        raise ReportError(f"Subject '{subject}' has no heatmap.")
    return maps, keys


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


def _mask(given: Any, volume: Volume, what: str) -> Mask | None:
    if given is None:
        return None
    mask = np.asarray(given)
    if mask.dtype != np.bool_ or mask.shape != volume.shape:
        raise ReportError(
            f"The {what} holds {mask.dtype} of shape {mask.shape}; give True and False on the "
            f"volume's grid {volume.shape}."
        )
    return mask


def _units(
    heatmap: Heatmap, prepared: PreparedVolume, units: Sequence[int] | None, most: int
) -> tuple[int, ...]:
    """Return the units that hold evidence, first of all those whose class is predicted."""
    if units is not None:
        return tuple(int(unit) for unit in units)
    explained = any_by_unit(heatmap.inside, prepared.unit_axis)
    usable = explained & heatmap.valid & (heatmap.class_index >= 0)
    predicted = usable & (heatmap.predicted_index == heatmap.class_index)
    places = np.flatnonzero(predicted if predicted.any() else usable)
    if len(places) > most:
        places = places[np.round(np.linspace(0, len(places) - 1, most)).astype(int)]
    return tuple(places.tolist())
