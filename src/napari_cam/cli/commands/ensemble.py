"""``napari-cam ensemble``: mask or heatmap files made into one mask, or heatmaps into one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.commands.mask import overlap
from napari_cam.cli.failures import ExitCode, guarded
from napari_cam.cli.folders import check_results, extension_like, output_folder
from napari_cam.cli.opening import open_mask
from napari_cam.cli.options import (
    AtLeast,
    BoxTexts,
    EmptyText,
    OperatorText,
    OutFolder,
    Overwrite,
    TiedVotesText,
    TiesText,
    UnitAxisText,
)
from napari_cam.cli.parsing import parse_boxes, parse_unit_axis
from napari_cam.cli.terminal import show_notes
from napari_cam.errors import MaskError
from napari_cam.files import read_sidecar
from napari_cam.grid import check_same_place
from napari_cam.masks.choices import EMPTY, MEAN, OPERATORS
from napari_cam.names import ResultNames
from napari_cam.provenance import map_words
from napari_cam.text_tables import text_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cam.heatmap import Heatmap
    from napari_cam.volumes.volume import Volume


@guarded
def ensemble(
    member: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="Mask files, or heatmap files that explain wrote."),
    ],
    out: OutFolder,
    operator: OperatorText = "and",
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="How heatmaps are cut, as in 'napari-cam mask': one for all, or one for each "
            "heatmap in order. otsu if none is named.",
        ),
    ] = None,
    at_least: AtLeast = False,
    weights: Annotated[
        str | None,
        typer.Option(metavar="W,W,...", help="For --operator mean: a weight for each heatmap."),
    ] = None,
    ties: TiesText = "first",
    empty: EmptyText = "keep",
    tied_votes: TiedVotesText = "out",
    unit_axis: UnitAxisText = None,
    box: BoxTexts = None,
    consensus: Annotated[
        bool,
        typer.Option(
            "--consensus", help="Also write which share of the members votes, and their spread."
        ),
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mask file to compare with; what is not 0 counts."),
    ] = None,
    overwrite: Overwrite = False,
) -> ExitCode | None:
    """Combine several masks into one.

    Heatmaps are cut into masks first. The table compares the ensemble with its members. Members
    are recorded by what made them, never by their files' names.
    """
    opened = _opened(member)
    with output_folder(out) as folder:
        if operator == MEAN:
            _mean(opened, weights, empty, folder, overwrite)
            return None
        if weights is not None:
            raise MaskError("Weights are for --operator mean; masks have none.")
        masks = _cut(opened, rule or ["otsu"], not at_least)
        options: dict[str, Any] = {
            "ties": ties,
            "empty": empty,
            "tied_votes": tied_votes,
            "unit_axis": parse_unit_axis(unit_axis),
        }
        _combine(
            opened, masks, operator, options, box or [], consensus, folder, overwrite, reference
        )
    return None


class _Opened:
    """A member's file: a heatmap, or a mask with what its sidecar says."""

    def __init__(self, number: int, path: Path) -> None:
        from napari_cam.volumes.heatmap_files import read_heatmap

        self.heatmap: Heatmap | None = None
        self.mask: NDArray[np.bool_] | None = None
        self.facts = read_sidecar(path)
        self.volume: Volume
        kind = self.facts.get("kind")
        if kind == "heatmap" or (kind is None and _has_fractions(path)):
            self.heatmap, self.volume = read_heatmap(path)
            self.facts = dict(self.heatmap.provenance)
        else:
            from napari_cam.cli.opening import open_volume

            self.volume = open_volume(path)
            self.mask = open_mask(path, self.volume.grid, "mask")
        self.name = " ".join([f"{number}:", *_words(self.facts)]).rstrip(":")


def _opened(paths: list[Path]) -> list[_Opened]:
    if len(paths) < 2:
        raise MaskError("An ensemble has at least two members; name more files.")
    opened = [_Opened(number, path) for number, path in enumerate(paths, start=1)]
    first = opened[0].volume.grid
    for path, each in zip(paths, opened, strict=True):
        check_same_place(str(path), each.volume.grid, str(paths[0]), first, MaskError)
    return opened


def _has_fractions(path: Path) -> bool:
    """Whether a file without a sidecar holds numbers between integers, as masks do not."""
    import numpy as np

    from napari_cam.cli.opening import open_volume

    values = np.asarray(open_volume(path).values)
    return values.dtype.kind == "f" and not np.array_equal(values, np.rint(values))


def _words(facts: Mapping[str, Any]) -> list[str]:
    """Return what made a member, in a few words: method, layer, class, rule."""
    heatmap = facts.get("heatmap")
    words = (*map_words(heatmap if isinstance(heatmap, Mapping) else facts), facts.get("rule"))
    return [word for word in words if isinstance(word, str) and word]


def _cut(opened: list[_Opened], rules: list[str], strict: bool) -> dict[str, Any]:
    """Return the masks by member, heatmaps cut by their rule."""
    from napari_cam.masks.binarize import binarize

    n_heatmaps = sum(each.heatmap is not None for each in opened)
    if len(rules) not in (1, n_heatmaps):
        raise MaskError(
            f"There are {len(rules)} rules for {n_heatmaps} heatmaps; give one, or one for each."
        )
    left = iter(rules if len(rules) == n_heatmaps else rules * n_heatmaps)
    return {
        each.name: each.mask if each.heatmap is None else binarize(each.heatmap, next(left), strict)
        for each in opened
    }


def _combine(
    opened: list[_Opened],
    masks: dict[str, Any],
    operator: str,
    options: dict[str, Any],
    box: list[str],
    consensus: bool,
    folder: Path,
    overwrite: bool,
    reference: Path | None,
) -> None:
    """Combine masks, write what came out, and print how it compares with its members."""
    import napari_cam as nc
    from napari_cam.volumes.writing import write_volume

    like = opened[0].volume
    names = ResultNames()
    extension = extension_like(like)
    truth = None if reference is None else open_mask(reference, like.grid, "reference")
    made = nc.combine(
        masks,
        OPERATORS.checked(operator),
        box=parse_boxes(box, lambda path: open_mask(path, like.grid, "box")),
        grid=like.grid,
        **options,
    )
    arrays: dict[str, tuple[Any, Mapping[str, Any]]] = {
        f"ensemble_{made.operator}": (made.mask, _facts(made.provenance, opened))
    }
    if made.probability is not None:
        record = {**_facts(made.provenance, opened), "kind": "probability"}
        arrays["ensemble_probability"] = (made.probability, record)
    if consensus:
        agreed = nc.consensus(masks)
        for part in ("share", "spread"):
            record = {**_facts(agreed.provenance, opened), "kind": f"consensus {part}"}
            arrays[f"consensus_{part}"] = (getattr(agreed, part), record)
    files = {stem: folder / names.take(stem.split("_"), extension) for stem in arrays}
    check_results(files.values(), overwrite)
    for stem, (values, facts) in arrays.items():
        write_volume(files[stem], values, like=like, provenance=facts, overwrite=overwrite)
    rows = []
    for name, mask in masks.items():
        found = mask["mask"] if isinstance(mask, Mapping) else mask
        rows.append((name, *_row(found, truth)))
    rows.append((files[f"ensemble_{made.operator}"].name, *_row(made.mask, truth)))
    show_notes([note for each in opened for note in each.volume.notes])
    header = ("mask", "voxels", *(("IoU", "Dice") if truth is not None else ()))
    typer.echo(text_table(header, rows, right=range(1, len(header))))


def _row(mask: Any, truth: Any) -> tuple[str, ...]:
    compared = () if truth is None else overlap(mask, truth)
    return (str(int(mask.sum())), *compared)


def _facts(provenance: Mapping[str, Any], opened: list[_Opened]) -> dict[str, Any]:
    """Return a record in which members that were masks say what their own files said."""
    from napari_cam.provenance import stamped

    members = [
        {**({} if each.mask is None else stamped(each.facts)), **known}
        for each, known in zip(opened, provenance["members"], strict=True)
    ]
    return {**provenance, "members": members}


def _mean(
    opened: list[_Opened], weights: str | None, empty: str, folder: Path, overwrite: bool
) -> None:
    """Write the mean of heatmaps."""
    from napari_cam.masks.ensembles.mean_heatmap import mean_heatmap
    from napari_cam.volumes.writing import write_volume

    if any(each.heatmap is None for each in opened):
        raise MaskError("A mean is taken of heatmaps, but one of the files is a mask.")
    maps = {each.name: each.heatmap for each in opened if each.heatmap is not None}
    given: Any = None if weights is None else weights.split(",")
    made = mean_heatmap(maps, given, empty=EMPTY.checked(empty))
    like = opened[0].volume
    file = folder / ResultNames().take(("heatmap", MEAN), extension_like(like))
    check_results([file], overwrite)
    write_volume(file, made, like=like, overwrite=overwrite)
    show_notes([*(note for each in opened for note in each.volume.notes), made.note])
    shares = [f"{each['weight']:.3f}" for each in made.provenance["members"]]
    rows = [*zip(maps, shares, strict=True), (file.name, "")]
    typer.echo(text_table(("heatmap", "weight"), rows, right=(1,)))
