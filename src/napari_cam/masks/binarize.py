"""From heatmaps to masks: the only place where a heatmap is compared with a cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cam.heatmap import Heatmap, Maps, label_of, parts_of
from napari_cam.masks.arguments import (
    ONLY as ONLY,
)
from napari_cam.masks.arguments import (
    check_fit,
    foreground_by_key,
    heatmaps_by_key,
    rules_asked,
)
from napari_cam.masks.cleanup import Cleanup, clean
from napari_cam.masks.cuts import cohort_cut, cut_facts, cuts_of, with_cut
from napari_cam.masks.rules import ThresholdRule
from napari_cam.provenance import stamp


class MaskKey(NamedTuple):
    """Which mask, where several rules were asked for: a map's key and a rule."""

    heatmap: Any
    rule: ThresholdRule

    @property
    def parts(self) -> tuple[str, ...]:
        """The words that a plain string may find the mask by."""
        return (*parts_of(self.heatmap), self.rule.name)


@dataclass(frozen=True, eq=False, repr=False)
class MaskSet(Mapping[Any, NDArray[np.bool_]]):
    """Masks by key; each is computed when it is asked for and not kept.

    ``masks["gradcam"]`` or ``masks["gradcam / otsu"]`` finds a mask as in
    :class:`napari_cam.heatmap.Maps`. Each mask is (z, y, x) bool on its heatmap's grid.

    Attributes
    ----------
    heatmaps
        What was cut, by mask key.
    rules
        Which rule chose the cuts, by mask key.
    cuts
        (u,) float32 by mask key, one cut per unit; of a local rule (z, y, x), one per voxel. NaN
        where the mask is empty because there is no evidence, or no varying values to take a
        statistic of.
    strict
        True where a voxel must exceed its cut (>), False where reaching it is enough (>=).
    foreground
        (z, y, x) bool, where masks may lie; by mask key where each heatmap has its own; None for
        wherever the network saw.
    cleanup
        What is done to each mask after the cut; None for nothing.
    provenance
        What all masks have in common, as plain JSON.
    """

    heatmaps: Maps[Any, Heatmap]
    rules: Maps[Any, ThresholdRule]
    cuts: Maps[Any, NDArray[np.float32]]
    strict: bool
    foreground: NDArray[np.bool_] | Mapping[Any, NDArray[np.bool_]] | None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    cleanup: Cleanup | None = None

    def __getitem__(self, key: Any) -> NDArray[np.bool_]:
        """Compute the mask under `key`, or the only one whose parts a plain string names."""
        heatmap, cuts = self.heatmaps[key], self.cuts[key]
        above = np.greater if self.strict else np.greater_equal
        each = cuts if cuts.ndim == 3 else heatmap.per_unit(cuts)
        mask: NDArray[np.bool_] = above(heatmap.values, each)  # never true of a NaN
        foreground = self.foreground_of(key)
        allowed = heatmap.inside if foreground is None else heatmap.inside & foreground
        mask &= allowed
        if self.cleanup is None:
            return mask
        allowed = allowed & np.isfinite(heatmap.values) & heatmap.per_unit(with_cut(heatmap, cuts))
        return clean(mask, heatmap.grid, self.cleanup, heatmap.unit_axis, allowed)

    def foreground_of(self, key: Any) -> NDArray[np.bool_] | None:
        """Return (z, y, x) bool where the mask under `key` may lie; None for everywhere."""
        if isinstance(self.foreground, Mapping):
            return self.foreground.get(key)
        return self.foreground

    def __contains__(self, key: object) -> bool:
        """Whether ``masks[key]`` gives a mask, without computing it."""
        return key in self.cuts

    def __iter__(self) -> Iterator[Any]:
        return iter(self.cuts)

    def __len__(self) -> int:
        return len(self.cuts)

    # A Mapping compares item by item, which for arrays is neither cheap nor a truth value.
    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"MaskSet({', '.join(label_of(key) for key in self)})"

    def provenance_of(self, key: Any) -> dict[str, Any]:
        """Return what made the mask under `key`: its rule, cuts and heatmap, as plain JSON."""
        rule = self.rules[key]
        made = {
            **self.provenance,
            "rule": rule.name,
            "scope": rule.scope,
            "cuts": cut_facts(self.cuts[key]),
            "foreground": self.foreground_of(key) is not None,
            "heatmap": dict(self.heatmaps[key].provenance),
        }
        if rule.scope == "cohort":
            made["cohort"] = len({id(heatmap) for heatmap in self.heatmaps.values()})
        return made


def binarize(
    heatmaps: Heatmap | Mapping[Any, Heatmap],
    rule: ThresholdRule | str | Sequence[ThresholdRule | str],
    strict: bool = True,
    foreground: NDArray[np.bool_] | Mapping[Any, NDArray[np.bool_]] | None = None,
    cleanup: Cleanup | None = None,
) -> MaskSet:
    """Cut heatmaps into masks.

    A voxel lies in the mask where its value exceeds its cut, the network saw it
    (``heatmap.inside``) and it is foreground. Statistics (quantiles, Otsu) are taken over these
    voxels only, of units with evidence only: of each unit, of the volume, or of all the heatmaps
    together, as the rule's scope says. A unit without evidence has an empty mask under every
    rule. Cuts are rounded to the heatmap's float32, so that a value equal to a cut is not above it.

    Parameters
    ----------
    heatmaps
        One heatmap (its mask is called "mask"), or heatmaps by key.
    rule
        How to choose the cut, or its text ("otsu", "quantile:0.9"). With several rules each mask's
        key is the pair (map's key, rule).
    strict
        True for > (Kang et al. 2021, eq. 3), False for >= (Syed et al. 2023).
    foreground
        (z, y, x) bool, where masks may lie and statistics are taken; None for everywhere. Where
        heatmaps lie on grids of their own: one for each, by the heatmap's key.
    cleanup
        What to do to each mask after the cut; None for nothing.

    Returns
    -------
    MaskSet
        The masks by key.

    Raises
    ------
    MaskError
        Where the rule does not suit a heatmap's scale, or the foreground or clean-up its shape.
    """
    maps, rules = heatmaps_by_key(heatmaps), rules_asked(rule)
    limits = foreground_by_key(foreground, maps)
    check_fit(maps, rules, limits, cleanup)
    single = isinstance(rule, (ThresholdRule, str))
    pooled = [(heatmap, limits.get(name)) for name, heatmap in maps.items()]
    common = {each: cohort_cut(each, pooled) for each in rules if each.scope == "cohort"}
    asked = {
        name if single else MaskKey(name, each): (name, each) for name in maps for each in rules
    }
    cuts = {
        name: cuts_of(rules, heatmap, limits.get(name), common) for name, heatmap in maps.items()
    }
    return MaskSet(
        heatmaps=Maps({key: maps[name] for key, (name, _) in asked.items()}),
        rules=Maps({key: each for key, (_, each) in asked.items()}),
        cuts=Maps({key: cuts[name][each] for key, (name, each) in asked.items()}),
        strict=strict,
        foreground=Maps({key: limits[name] for key, (name, _) in asked.items() if name in limits})
        if isinstance(foreground, Mapping)
        else next(iter(limits.values()), None),
        provenance=stamp(
            kind="mask",
            strict=strict,
            foreground=bool(limits),
            cleanup=None if cleanup is None else cleanup.to_json(),
        ),
        cleanup=cleanup,
    )
