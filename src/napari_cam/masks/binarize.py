"""From heatmaps to masks: the only place where a heatmap is compared with a cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.heatmap import Heatmap, Maps, label_of, parts_of
from napari_cam.masks.cleanup import Cleanup, check_touching, clean
from napari_cam.masks.cuts import cohort_cut, cut_facts, cuts_of, with_cut
from napari_cam.masks.rules import FORMS, ThresholdRule, rule_from_text
from napari_cam.provenance import stamp

ONLY = "mask"  # the name of the mask of a single heatmap, which has no key of its own


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
    """Masks by key; each mask is computed on access and not kept in memory.

    ``masks["gradcam"]`` or ``masks["gradcam / otsu"]`` finds a mask as in
    :class:`napari_cam.heatmap.Maps`. Each mask is (z, y, x) bool on its heatmap's grid.

    Attributes
    ----------
    heatmaps
        The heatmap behind each mask, by mask key.
    rules
        The rule that chose the cuts, by mask key.
    cuts
        (u,) float32 by mask key: one cut per unit. A local rule gives (z, y, x), one cut per voxel.
        NaN marks an empty mask: the unit has no evidence, or no varying values to compute a
        statistic from.
    strict
        True if a voxel must exceed its cut (>), False if it may also equal it (>=).
    foreground
        (z, y, x) bool, the voxels that masks may contain. A mapping by mask key if each heatmap has
        its own. None allows every voxel that the network saw.
    cleanup
        The clean-up applied to each mask after the cut; None for none.
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
        """Return (z, y, x) bool, the voxels that the mask `key` may contain; None for all."""
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
        """Return how the mask `key` was made (rule, cuts and heatmap), as plain JSON."""
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
    """Threshold heatmaps to make masks.

    A voxel belongs to the mask if its value exceeds the cut, the network saw it
    (``heatmap.inside``) and it is foreground. Rules that need a statistic (quantiles, Otsu) compute
    it from voxels that the network saw and that are foreground, and only from units with evidence.
    The rule's scope sets whether this is done per unit, per volume, or over all heatmaps together.
    A unit without evidence gets an empty mask under every rule. Cuts are rounded to the heatmap's
    float32, so a value equal to a cut is not above it.

    Parameters
    ----------
    heatmaps
        One heatmap (its mask is called "mask"), or heatmaps by key.
    rule
        How to choose the cut: a rule, or its text ("otsu", "quantile:0.9"). With several rules,
        each mask's key is the pair (heatmap key, rule).
    strict
        True for > (Kang et al. 2021, eq. 3), False for >= (Syed et al. 2023).
    foreground
        (z, y, x) bool. Masks contain these voxels only, and statistics use them only. None for all
        voxels. If the heatmaps lie on different grids, pass one foreground per heatmap, by heatmap
        key.
    cleanup
        The clean-up to apply to each mask after the cut; None for none.

    Returns
    -------
    MaskSet
        The masks by key.

    Raises
    ------
    MaskError
        If the rule does not suit a heatmap's scale, or if the foreground or the clean-up does not
        match its shape.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> maps = nc.explain(model, volume, ["gradcam", "layercam"], "damaged")
    >>> masks = nc.binarize(maps, "otsu", foreground=nc.foreground(volume))
    >>> masks["gradcam"].shape, masks["gradcam"].dtype
    ((22, 96, 128), dtype('bool'))
    >>> masks.cuts["gradcam"].shape  # one cut per slice
    (22,)
    """
    maps, rules = _heatmaps_by_key(heatmaps), _rules_asked(rule)
    limits = _foreground_by_key(foreground, maps)
    _check_fit(maps, rules, limits, cleanup)
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


def _heatmaps_by_key(heatmaps: Any) -> Mapping[Any, Heatmap]:
    """Return the heatmaps by key, a single one as `ONLY`.

    Raises
    ------
    MaskError
        Where there are none, or they are something else.
    """
    maps = {ONLY: heatmaps} if isinstance(heatmaps, Heatmap) else heatmaps
    if not isinstance(maps, Mapping) or not all(isinstance(h, Heatmap) for h in maps.values()):
        raise MaskError(
            f"binarize takes a Heatmap or heatmaps by name, not {type(heatmaps).__name__}; "
            "make one with explain."
        )
    if not maps:
        raise MaskError("There are no heatmaps to cut; explain at least one method first.")
    return maps


def _rules_asked(rule: Any) -> list[ThresholdRule]:
    """Return the rules, read where they are texts.

    Raises
    ------
    MaskError
        Where there are none, or one is no rule.
    """
    asked = [rule] if isinstance(rule, str) or not isinstance(rule, Sequence) else rule
    rules = [rule_from_text(each) if isinstance(each, str) else each for each in asked]
    for each in rules:
        if not isinstance(each, ThresholdRule):
            raise MaskError(
                f"{each!r} is no threshold rule; give one such as Otsu() or Fixed(0.5), "
                f"or its text: {FORMS}."
            )
    if not rules:
        raise MaskError("There is no threshold rule to cut with; give at least one.")
    return rules


def _foreground_by_key(
    foreground: Any, maps: Mapping[Any, Heatmap]
) -> dict[Any, NDArray[np.bool_]]:
    """Return copies of the foregrounds, which masks made later can rely on; none for everywhere.

    Raises
    ------
    MaskError
        Where one is no boolean array, or belongs to no heatmap.
    """
    if foreground is None:
        return {}
    if not isinstance(foreground, Mapping):
        copy = _copy(foreground)
        return dict.fromkeys(maps, copy)
    strange = [key for key in foreground if key not in list(maps)]
    if strange:
        raise MaskError(
            f"There is a foreground for '{label_of(strange[0])}' but no heatmap of that key; "
            f"there are {', '.join(label_of(key) for key in maps)}."
        )
    return {key: _copy(given) for key, given in foreground.items() if given is not None}


def _copy(foreground: Any) -> NDArray[np.bool_]:
    copy = checks.mask(foreground, "The foreground", MaskError).copy()
    copy.setflags(write=False)
    return copy


def _check_fit(
    maps: Mapping[Any, Heatmap],
    rules: Sequence[ThresholdRule],
    foregrounds: Mapping[Any, NDArray[np.bool_]],
    cleanup: Cleanup | None,
) -> None:
    """Raise where heatmaps, rules, foregrounds and clean-up do not suit each other.

    Raises
    ------
    MaskError
        Where a shape or a scale differs.
    """
    if cleanup is not None and not isinstance(cleanup, Cleanup):
        raise MaskError(
            f"A clean-up is a Cleanup, as in Cleanup(fill_holes=True), not {cleanup!r}."
        )
    for key, heatmap in maps.items():
        foreground = foregrounds.get(key)
        if foreground is not None and foreground.shape != heatmap.values.shape:
            raise MaskError(
                f"The foreground has shape {foreground.shape} but the heatmap '{label_of(key)}' "
                f"{heatmap.values.shape}; give both on one grid."
            )
        for rule in rules:
            _check_scale(rule, heatmap, label_of(key))
        if cleanup is not None:
            check_touching(cleanup, heatmap.grid)
    if any(rule.scope == "cohort" for rule in rules):
        _check_one_scale(maps)


def _check_scale(rule: ThresholdRule, heatmap: Heatmap, name: str) -> None:
    if rule.needs_unit_scale and heatmap.kind != "unit":
        raise MaskError(
            f"{rule.name} needs a heatmap normalised to [0, 1] but '{name}' is {heatmap.kind}; "
            "normalise it, or cut it with a quantile or Otsu."
        )


def _check_one_scale(maps: Mapping[Any, Heatmap]) -> None:
    kinds = {heatmap.kind: label_of(key) for key, heatmap in maps.items()}
    if len(kinds) > 1:
        named = " and ".join(f"'{name}' is {kind}" for kind, name in kinds.items())
        raise MaskError(
            f"A cut for the whole cohort needs heatmaps on one scale, but {named}; "
            "explain all with the same normalize, or cut each by itself."
        )
