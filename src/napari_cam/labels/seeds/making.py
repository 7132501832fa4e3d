"""Seeds made from heatmaps: each votes for and against its class, and the votes become labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_cam import checks
from napari_cam.errors import MaskError
from napari_cam.grid import Grid, check_same_place
from napari_cam.heatmap import Heatmap
from napari_cam.labels.choices import CONFLICTS, NEGATIVES, Conflict, Negatives
from napari_cam.labels.classes import BACKGROUND, FIRST_CLASS, UNLABELLED, LabelClasses
from napari_cam.labels.seeds.seeds import Seeds
from napari_cam.labels.seeds.votes import Vote, Voting, as_rule
from napari_cam.masks.rules import ThresholdRule
from napari_cam.normalize import Renormalize
from napari_cam.provenance import stamp


def make_seeds(
    heatmaps: Heatmap | Mapping[str, Heatmap | Sequence[Heatmap]],
    high: ThresholdRule | str | float = 0.6,
    low: ThresholdRule | str | float = 0.2,
    *,
    conflict: Conflict = "ignore",
    votes: float = 1.0,
    gate: bool = True,
    negatives: Negatives = "background",
    normalize: Renormalize = "volume",
    foreground: NDArray[np.bool_] | None = None,
    outside: Negatives = "background",
    strict: bool = True,
    classes: LabelClasses | None = None,
) -> Seeds:
    """Make seeds from heatmaps: classes above a high cut, background below a low cut.

    Voxels between the two cuts, where the blurred boundaries of heatmaps lie, stay unlabelled, and
    training ignores them. A voxel is background if every class is absent there.

    A unit without evidence (flat, all-negative or NaN map) stays unlabelled, unless the network
    predicts another class for it; then `negatives` applies.

    Parameters
    ----------
    heatmaps
        By class name: one heatmap, or several (from other methods, layers or networks) that vote. A
        single heatmap takes its class name from its target.
    high, low
        Numbers from 0 to 1, threshold rules, or the texts of rules. Rules compute their statistics
        from the foreground of the units that pass the gate.
    conflict
        What to do with a voxel that is above the high cut for several classes: "ignore" leaves it
        unlabelled, "highest" gives it to the class with the highest mean heatmap there. Ties stay
        unlabelled.
    votes
        Share of a class's heatmaps (above 0, at most 1) that must agree before a voxel counts as
        present or absent. If both reach this share, the voxel counts as neither. A heatmap that is
        undecided at a voxel supports neither.
    gate
        Whether to apply the network's prediction: a slice (or 3D volume) for which the network
        predicts another class then gets no label of this class. Heatmaps that do not state which
        class they explain always pass.
    negatives
        What such a slice counts as for this class: "background" or "unlabelled".
    normalize
        "volume" (slices with little evidence are not stretched), "unit", or "none" to use heatmaps
        as they are.
    foreground
        (z, y, x) bool, the tissue; None for everywhere.
    outside
        The label of voxels outside the foreground, if the network saw them: "background" or
        "unlabelled".
    strict
        True for > high and < low; False for >= and <=.
    classes
        Codes and colours of the classes, looked up by name; code 1 must be the background. None
        assigns codes from 2 up, in the order of the heatmaps.

    Raises
    ------
    MaskError
        If the heatmaps lie on different grids, one map explains several classes, low is above high,
        a class has no heatmap or no code, or an option is unknown.

    Examples
    --------
    >>> import napari_cam as nc
    >>> volume, model = nc.load_sample_volume(), nc.load_sample_model()
    >>> heatmap = nc.explain_one(model, volume, "gradcam", "damaged")
    >>> seeds = nc.make_seeds(heatmap, high=0.6, low=0.2, foreground=nc.foreground(volume))
    >>> seeds.classes.names
    ('background', 'damaged')
    >>> sorted(seeds.voxels)  # number of voxels of each
    ['background', 'damaged', 'unlabelled']
    """
    by_class = _by_class(heatmaps)
    table = LabelClasses.of_seeds(tuple(by_class)) if classes is None else classes
    codes = {name: _code(name, table) for name in by_class}
    voting = Voting(as_rule(high, "high"), as_rule(low, "low"), gate, negatives, normalize, strict)
    CONFLICTS.checked(conflict)
    NEGATIVES.checked(outside, "What lies outside of the foreground")
    _check_votes(votes)
    grid = _common_grid(by_class)
    tissue = _checked_foreground(foreground, grid)
    found = {
        name: [voting.vote(each, tissue, name) for each in members]
        for name, members in by_class.items()
    }
    seen = np.logical_or.reduce(
        [vote.heatmap.inside for members in found.values() for vote in members]
    )
    labels = _labels(found, codes, conflict, votes, tissue)
    if tissue is not None:
        labels[~tissue] = UNLABELLED
        if outside == "background":
            labels[~tissue & seen] = BACKGROUND
    return Seeds(
        labels,
        table,
        grid,
        stamp(
            kind="seeds",
            high=voting.high.name,
            low=voting.low.name,
            strict=strict,
            conflict=conflict,
            votes=votes,
            gate=gate,
            negatives=negatives,
            normalize=normalize,
            foreground=tissue is not None,
            outside=outside,
            unit_axis=next(iter(found.values()))[0].heatmap.unit_axis,
            classes=table.to_json(),
            made_of={name: [vote.facts for vote in members] for name, members in found.items()},
            notes=_notes(found, gate),
        ),
    )


def _by_class(heatmaps: Any) -> dict[str, list[Heatmap]]:
    """Return the heatmaps of each class, in the order of their codes."""
    if isinstance(heatmaps, Heatmap):
        heatmaps = {str(heatmaps.provenance.get("target") or "foreground"): heatmaps}
    if not isinstance(heatmaps, Mapping) or not heatmaps:
        raise MaskError(
            f"Seeds are made of a Heatmap or of heatmaps by class, not {type(heatmaps).__name__}; "
            "make one with explain."
        )
    classes: dict[str, list[Heatmap]] = {}
    for name, given in heatmaps.items():
        members = [given] if isinstance(given, Heatmap) else list(given)
        if not members or not all(isinstance(each, Heatmap) for each in members):
            raise MaskError(f"The class '{name}' has no heatmaps; give at least one.")
        classes[str(name)] = members
    return classes


def _code(name: str, table: LabelClasses) -> int:
    if BACKGROUND not in table.codes:
        raise MaskError(f"The table of classes has no background, whose code is {BACKGROUND}.")
    code = table.code_of(name)
    if code < FIRST_CLASS:
        raise MaskError(
            f"'{name}' is the background in the table of classes, so that nothing can be seeded "
            f"as it; give it a code from {FIRST_CLASS} on."
        )
    return code


def _check_votes(votes: Any) -> None:
    checks.number(votes, "The share of votes", MaskError, above=0, most=1)


def _common_grid(classes: Mapping[str, list[Heatmap]]) -> Grid:
    first, *others = [(name, each) for name, members in classes.items() for each in members]
    for name, other in others:
        known = f"that for '{first[0]}'"
        check_same_place(f"The heatmap for '{name}'", other.grid, known, first[1].grid, MaskError)
    return first[1].grid


def _checked_foreground(foreground: Any, grid: Grid) -> NDArray[np.bool_] | None:
    if foreground is None:
        return None
    return checks.mask(np.asarray(foreground), "The foreground", MaskError, grid.shape)


def _labels(
    found: Mapping[str, list[Vote]],
    codes: Mapping[str, int],
    conflict: Conflict,
    votes: float,
    tissue: NDArray[np.bool_] | None,
) -> NDArray[np.uint8]:
    """Return the codes (z, y, x) of what the classes' heatmaps agree on."""
    shape = next(iter(found.values()))[0].present.shape
    absent = np.ones(shape, bool)
    owner = np.zeros(shape, np.uint8)  # of a class that is seen there
    seen = np.zeros(shape, np.uint8)  # how many classes are seen there
    heights = _Heights(shape) if conflict == "highest" and len(found) > 1 else None
    for name, members in found.items():
        here = _agreed([vote.present for vote in members], votes)
        not_here = _agreed([vote.absent for vote in members], votes)
        here, not_here = here & ~not_here, not_here & ~here
        if tissue is not None:
            here &= tissue
        absent &= not_here
        seen += here
        owner[here if heights is None else heights.higher(here, members)] = codes[name]
    owner[(seen > 1) & (True if heights is None else heights.tied)] = UNLABELLED
    owner[absent] = BACKGROUND
    return owner


class _Heights:
    """Which class's map is the highest so far at each voxel."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.best = np.full(shape, -np.inf, np.float32)
        self.tied = np.zeros(shape, bool)

    def higher(self, here: NDArray[np.bool_], members: Sequence[Vote]) -> NDArray[np.bool_]:
        """Take in a class that is seen `here`; return where it surpasses all before it."""
        height = np.asarray(
            np.mean([vote.heatmap.values for vote in members], axis=0, dtype=np.float32)
        )
        higher = here & (height > self.best)
        self.tied = (self.tied & ~higher) | (here & (height == self.best))
        self.best[higher] = height[higher]
        return np.asarray(higher)


def _agreed(flags: Sequence[NDArray[np.bool_]], votes: float) -> NDArray[np.bool_]:
    """Return where at least a share `votes` of the flags is True."""
    needed = int(np.ceil(votes * len(flags) - 1e-9))
    if needed == len(flags):
        return np.asarray(np.logical_and.reduce(flags))
    count = np.zeros(flags[0].shape, np.min_scalar_type(len(flags)))
    for flag in flags:
        count += flag
    return np.asarray(count >= needed)


def _notes(found: Mapping[str, list[Vote]], gate: bool) -> list[str]:
    """Return sentences on what the gate did, and where it could do nothing."""
    notes = []
    for name, members in found.items():
        explained = max(int(each.heatmap.explained.sum()) for each in members)
        rejected = max(int(each.rejected.sum()) for each in members)
        if rejected and explained > 1:
            notes.append(
                f"In {rejected} of {explained} slices the network predicts another class than "
                f"'{name}', so that none of it is seeded there."
            )
        elif rejected:
            notes.append(
                f"The network predicts another class than '{name}', so that none of it is seeded."
            )
        if gate and any((each.heatmap.class_index < 0).all() for each in members):
            notes.append(
                f"A heatmap for '{name}' does not say which class it explains, so that the "
                "predicted class could not be asked for."
            )
    return notes
