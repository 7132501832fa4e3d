"""What a report compares: the maps of one subject, what they should show, and where to look."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pandas import NA

from napari_cam.errors import ReportError
from napari_cam.grid import Grid, check_same_place
from napari_cam.heatmap import Heatmap
from napari_cam.reports.cases.map_names import Map, MapName, apart, name_of
from napari_cam.volumes.volume import Volume


@dataclass(frozen=True, eq=False)
class Case:
    """One subject: its maps and what to compare them with.

    Attributes
    ----------
    maps
        Heatmaps, or boolean masks (z, y, x) that are compared unchanged, by :class:`MapName` or any
        other key. They may be loaded on access, because a report needs only one at a time.
    reference
        (z, y, x): boolean, 0 and 1, or the share of each voxel in [0, 1] that belongs to the
        reference (above 0.5 counts as inside); or a :class:`Volume`, whose grid is checked too.
        None if there is no reference; then only agreement can be reported.
    subject
        Identifier of the subject. Metrics treat two cases of one subject as two volumes; resampling
        treats them as one group.
    group
        Group that is resampled as a whole and kept in one fold, such as the fish of two fillets.
        Empty for the subject itself.
    class_name
        Kind of case, reported separately: a type of tumour, a freezing protocol.
    foreground
        (z, y, x) bool, the voxels that count; None for every voxel that the network saw.
    correct
        (u,) bool or one bool, whether the network classified the units correctly. None takes it
        from the heatmap: correct means that the network predicts the explained class in the units
        that contain some of the reference, and in no others.
    image
        Image to show below the maps.
    unit_axis
        Array axis along which the units of plain masks lie; None for one unit. Heatmaps know
        theirs.
    grid
        Grid of plain masks; with a grid in mm, distances and volumes can be computed.
    """

    maps: Mapping[Any, Map]
    reference: Any = field(default=None, repr=False)
    subject: str = "1"
    group: str = ""
    class_name: str = ""
    foreground: NDArray[np.bool_] | None = field(default=None, repr=False)
    correct: Any = field(default=None, repr=False)
    image: Volume | None = field(default=None, repr=False)
    unit_axis: int | None = 0
    grid: Grid | None = None

    def __post_init__(self) -> None:
        maps: Any = self.maps
        if isinstance(maps, (Heatmap, np.ndarray)):
            maps = {"map": maps}
            object.__setattr__(self, "maps", maps)
        if not isinstance(maps, Mapping) or not len(maps):
            raise ReportError(
                f"The subject '{self.subject}' has no maps; give heatmaps or masks by name."
            )
        object.__setattr__(self, "subject", word_of(self.subject))
        object.__setattr__(self, "group", word_of(self.group) or self.subject)
        object.__setattr__(self, "class_name", word_of(self.class_name))
        if self.foreground is not None and np.asarray(self.foreground).dtype != np.bool_:
            raise ReportError(
                f"The foreground of '{self.subject}' is not boolean; say what is foreground, as in "
                "labels > 0."
            )

    def named(self) -> Iterator[tuple[MapName, Map]]:
        """Yield each map with its name, one at a time, after checking it against the reference.

        Raises
        ------
        ReportError
            If a map lies on another grid than the reference or the foreground.
        """
        for name, _, item in self.keyed():
            yield name, item

    def keyed(self) -> Iterator[tuple[MapName, Any, Map]]:
        """Yield each map with its name and its original key; like :meth:`named`."""
        taken: set[MapName] = set()
        naming = getattr(self.maps, "name_of", name_of)  # files know what a table calls them
        for key in self.maps:
            item: Any = self.maps[key]
            if not isinstance(item, (Heatmap, np.ndarray)) or (
                isinstance(item, np.ndarray) and item.dtype != np.bool_
            ):
                kind = getattr(item, "dtype", type(item).__name__)
                raise ReportError(
                    f"The map '{key}' of '{self.subject}' is {kind}; give a Heatmap, or a mask of "
                    "booleans."
                )
            name = naming(key, item)
            if name in taken:
                name = apart(name, key, item, taken)
            taken.add(name)
            self._check_grid(name, item)
            yield name, key, item

    def _check_grid(self, name: MapName, item: Map) -> None:
        grid = item.grid if isinstance(item, Heatmap) else self.grid
        shape = item.values.shape if isinstance(item, Heatmap) else item.shape
        if len(shape) != 3 or 0 in shape:
            raise ReportError(
                f"'{name.label}' of '{self.subject}' has shape {shape}; give a map (z, y, x) of "
                "one voxel or more, a single slice as (1, y, x)."
            )
        other = self.reference.grid if isinstance(self.reference, Volume) else None
        if grid is not None and other is not None:
            what = f"'{name.label}' of '{self.subject}'"
            check_same_place(what, grid, "its reference", other, ReportError, strict=False)
        for what, array in (("reference", self.reference), ("foreground", self.foreground)):
            found = getattr(array, "shape", None)
            if found is not None and tuple(found) != shape:
                raise ReportError(
                    f"'{name.label}' of '{self.subject}' has shape {shape} (z, y, x) but the "
                    f"{what} {tuple(found)}; resample one of them first."
                )

    def reference_values(self) -> NDArray[np.float32] | NDArray[np.bool_]:
        """Return the reference as booleans, or as shares in [0, 1] if it was given so.

        Raises
        ------
        ReportError
            If there is no reference, or it contains several labels or other numbers.
        """
        if self.reference is None:
            raise ReportError(f"The subject '{self.subject}' has no reference to compare with.")
        given = self.reference.values if isinstance(self.reference, Volume) else self.reference
        values = np.asarray(given)
        if values.ndim != 3:
            raise ReportError(
                f"The reference of '{self.subject}' has {values.ndim} axes, not (z, y, x)."
            )
        if values.dtype == np.bool_:
            return values
        if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
            raise ReportError(
                f"The reference of '{self.subject}' holds what is no number; give True and False, "
                "or shares in [0, 1]."
            )
        if values.min() < 0 or values.max() > 1:
            raise ReportError(
                f"The reference of '{self.subject}' holds numbers from {values.min():g} to "
                f"{values.max():g}; say which label is meant, as in labels == 2."
            )
        if np.issubdtype(values.dtype, np.integer) or bool(np.isin(values, (0, 1)).all()):
            return np.asarray(values != 0)
        return np.asarray(values, dtype=np.float32)


def word_of(value: Any) -> str:
    """Return a name as text, "" for what a table leaves out: subjects of no group share none."""
    return "" if value is None or value is NA or value != value else str(value)


def as_cases(cases: Any, **facts: Any) -> Iterable[Case]:
    """Return what a report was given as cases.

    Parameters
    ----------
    cases
        A heatmap, a mask, maps by name, a case, or any iterable of cases.
    facts
        Reference, foreground and so on of what is no case yet; those of cases are their own.

    Raises
    ------
    ReportError
        Where `cases` is none of these, or facts are given beside cases.
    """
    told = {name: value for name, value in facts.items() if value is not None}
    if isinstance(cases, (Heatmap, np.ndarray, Mapping)):
        return [Case(cases, **told)]  # type: ignore[arg-type]
    if told:
        raise ReportError(
            f"Each case has its own {next(iter(told))}; give it there, as in Case(maps, "
            f"{next(iter(told))}=...)."
        )
    if isinstance(cases, Case):
        return [cases]
    if isinstance(cases, Iterable) and not isinstance(cases, (str, bytes)):
        return _checked(cases)
    raise ReportError(
        f"A report takes heatmaps, masks or cases, not {type(cases).__name__}; "
        "give Case(maps, reference) for each subject."
    )


def _checked(cases: Iterable[Any]) -> Iterator[Case]:
    empty = True
    for case in cases:
        if not isinstance(case, Case):
            raise ReportError(
                f"A report takes cases, not {type(case).__name__}; give Case(maps, reference)."
            )
        empty = False
        yield case
    if empty:
        raise ReportError("There are no cases to report on; give at least one.")
