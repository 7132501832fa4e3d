"""From heatmaps to masks: the only place where a heatmap is compared with a cut."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_cam.errors import MaskError
from napari_cam.heatmap import Heatmap, Maps, label_of, parts_of
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
        (u,) float32 by mask key, one cut per unit; NaN where the unit has an empty mask because it
        holds no evidence, or no varying values to take a statistic of.
    strict
        True where a voxel must exceed its cut (>), False where reaching it is enough (>=).
    foreground
        (z, y, x) bool, where masks may lie; None for wherever the network saw.
    provenance
        What all masks have in common, as plain JSON.
    """

    heatmaps: Maps[Any, Heatmap]
    rules: Maps[Any, ThresholdRule]
    cuts: Maps[Any, NDArray[np.float32]]
    strict: bool
    foreground: NDArray[np.bool_] | None
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __getitem__(self, key: Any) -> NDArray[np.bool_]:
        """Compute the mask under `key`, or the only one whose parts a plain string names."""
        heatmap = self.heatmaps[key]
        cuts = heatmap.per_unit(self.cuts[key])
        above = np.greater if self.strict else np.greater_equal
        mask: NDArray[np.bool_] = above(heatmap.values, cuts)  # never true of a NaN
        mask &= heatmap.inside
        if self.foreground is not None:
            mask &= self.foreground
        return mask

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
        return {
            **self.provenance,
            "rule": rule.name,
            "scope": rule.scope,
            "cuts": [None if np.isnan(cut) else float(cut) for cut in self.cuts[key]],
            "heatmap": dict(self.heatmaps[key].provenance),
        }


def binarize(
    heatmaps: Heatmap | Mapping[Any, Heatmap],
    rule: ThresholdRule | str | Sequence[ThresholdRule | str],
    strict: bool = True,
    foreground: NDArray[np.bool_] | None = None,
) -> MaskSet:
    """Cut heatmaps into masks.

    A voxel lies in the mask where its value exceeds its unit's cut, the network saw it
    (``heatmap.inside``) and it is foreground. Statistics (quantiles, Otsu) are taken over these
    voxels only, of units with evidence only. A unit without evidence has an empty mask under every
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
        (z, y, x) bool, where masks may lie and statistics are taken; None for everywhere.

    Returns
    -------
    MaskSet
        The masks by key.

    Raises
    ------
    MaskError
        Where the rule does not suit a heatmap's scale, or the foreground its shape.
    """
    maps = _by_key(heatmaps)
    rules = _rules(rule)
    foreground = _checked(foreground)
    single = isinstance(rule, (ThresholdRule, str))
    sources: dict[Any, Heatmap] = {}
    used: dict[Any, ThresholdRule] = {}
    cuts: dict[Any, NDArray[np.float32]] = {}
    for name, heatmap in maps.items():
        _check_fit(foreground, heatmap, label_of(name))
        samples = _samples(heatmap, foreground)
        for each in rules:
            _check_scale(each, heatmap, label_of(name))
            key = name if single else MaskKey(name, each)
            sources[key], used[key], cuts[key] = heatmap, each, _cuts(each, samples)
    return MaskSet(
        heatmaps=Maps(sources),
        rules=Maps(used),
        cuts=Maps(cuts),
        strict=strict,
        foreground=foreground,
        provenance=stamp(kind="mask", strict=strict, foreground=foreground is not None),
    )


def _by_key(heatmaps: Any) -> Mapping[Any, Heatmap]:
    maps = {ONLY: heatmaps} if isinstance(heatmaps, Heatmap) else heatmaps
    if not isinstance(maps, Mapping) or not all(isinstance(h, Heatmap) for h in maps.values()):
        raise MaskError(
            f"binarize takes a Heatmap or heatmaps by name, not {type(heatmaps).__name__}; "
            "make one with explain."
        )
    if not maps:
        raise MaskError("There are no heatmaps to cut; explain at least one method first.")
    return maps


def _rules(rule: Any) -> list[ThresholdRule]:
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


def _checked(foreground: Any) -> NDArray[np.bool_] | None:
    """Return a copy of the foreground, which masks made later can rely on."""
    if foreground is None:
        return None
    if not isinstance(foreground, np.ndarray) or foreground.dtype != np.bool_:
        kind = getattr(foreground, "dtype", type(foreground).__name__)
        raise MaskError(
            f"The foreground must be a boolean array, not {kind}; "
            "say what is foreground, as in labels > 0."
        )
    copy = foreground.copy()
    copy.setflags(write=False)
    return copy


def _check_fit(foreground: NDArray[np.bool_] | None, heatmap: Heatmap, name: str) -> None:
    if foreground is not None and foreground.shape != heatmap.values.shape:
        raise MaskError(
            f"The foreground has shape {foreground.shape} but the heatmap '{name}' "
            f"{heatmap.values.shape}; give both on one grid."
        )


def _check_scale(rule: ThresholdRule, heatmap: Heatmap, name: str) -> None:
    if rule.needs_unit_scale and heatmap.kind != "unit":
        raise MaskError(
            f"{rule.name} needs a heatmap normalised to [0, 1] but '{name}' is {heatmap.kind}; "
            "normalise it, or cut it with a quantile or Otsu."
        )


def _samples(heatmap: Heatmap, foreground: NDArray[np.bool_] | None) -> list[NDArray[np.float32]]:
    """Return for each unit the values (m,) that statistics may use, none for an invalid unit."""
    allowed = heatmap.inside if foreground is None else heatmap.inside & foreground
    if heatmap.unit_axis is None:
        values, allowed = heatmap.values[None], allowed[None]
    else:
        values = np.moveaxis(heatmap.values, heatmap.unit_axis, 0)
        allowed = np.moveaxis(allowed, heatmap.unit_axis, 0)
    samples = (
        value[use & valid] for value, use, valid in zip(values, allowed, heatmap.valid, strict=True)
    )
    return [sample[np.isfinite(sample)] for sample in samples]


def _cuts(rule: ThresholdRule, samples: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return one cut per unit (u,), NaN for units without any value to judge."""
    if rule.scope == "volume":
        common = rule.cut(np.concatenate(samples))
        chosen = [common if sample.size else np.nan for sample in samples]
    else:
        chosen = [rule.cut(sample) if sample.size else np.nan for sample in samples]
    cuts = np.array(chosen, dtype=np.float32)
    cuts.setflags(write=False)
    return cuts
