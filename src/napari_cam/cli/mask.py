"""``napari-cam mask``: heatmap files cut into masks, measured, and compared with a reference."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cam.cli.failures import ExitCode, complain, guarded, sentence
from napari_cam.cli.folders import check_results, output_folder
from napari_cam.cli.names import ResultNames
from napari_cam.cli.opening import open_mask
from napari_cam.cli.options import ForegroundPath, OutFolder, Overwrite
from napari_cam.cli.terminal import show_notes, table
from napari_cam.errors import MaskError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cam.heatmap import Heatmap
    from napari_cam.masks.rules import ThresholdRule
    from napari_cam.volumes.volume import Volume


@guarded
def mask(
    heatmap: Annotated[
        list[Path], typer.Argument(metavar="HEATMAP", help="Heatmap files that explain wrote.")
    ],
    out: OutFolder,
    rule: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="otsu, fixed:0.5, quantile:0.9, 255:200, otsu:volume; several times. "
            "otsu if none is named.",
        ),
    ] = None,
    at_least: Annotated[
        bool, typer.Option("--at-least", help="Keep values equal to the cut: >= in place of >.")
    ] = False,
    reference: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Mask file to compare with; what is not 0 counts."),
    ] = None,
    foreground: ForegroundPath = None,
    gate: Annotated[
        bool,
        typer.Option(
            "--gate", help="Leave slices empty for which the network predicts another class."
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> ExitCode | None:
    """Cut heatmaps into masks and measure them.

    Masks lie on the heatmaps' grid and have a JSON file beside them. The table says which share of
    what the network saw they cover, and with a reference how well they agree.
    """
    from napari_cam.masks.rules import rule_from_text

    rules = tuple(rule_from_text(text) for text in rule or ("otsu",))
    names = ResultNames()
    cutting = _Cutting(rules, not at_least, reference, foreground, gate, overwrite, names)
    heatmap = [each for path in heatmap for each in matching(path)]
    rows: list[tuple[str, ...]] = []
    notes: list[str | None] = []
    failed = 0
    with output_folder(out) as folder:
        for path in heatmap:
            try:
                rows += cutting.cut(path, folder, notes)
            except Exception as error:
                said = sentence(error)
                if said is None or len(heatmap) == 1:
                    raise
                complain(said)
                failed += 1
        if not rows:
            raise MaskError(f"None of the {failed} heatmaps could be cut.")
    show_notes(notes)
    header = ("mask", "rule", "coverage", "volume", *(("IoU", "Dice") if reference else ()))
    typer.echo(table(header, rows, right=range(2, len(header))))
    return ExitCode.SOME_FAILED if failed else None


def matching(path: Path) -> list[Path]:
    """Return the files that a pattern names: not every shell looks them up itself."""
    if os.path.exists(path) or not glob.has_magic(str(path)):
        return [path]
    return [Path(name) for name in sorted(glob.glob(str(path)))] or [path]


@dataclass(frozen=True)
class _Cutting:
    """What is done with every heatmap."""

    rules: tuple[ThresholdRule, ...]
    strict: bool
    reference: Path | None
    foreground: Path | None
    gate: bool
    overwrite: bool
    names: ResultNames

    def cut(self, path: Path, folder: Path, notes: list[str | None]) -> list[tuple[str, ...]]:
        """Write the masks of one heatmap, add what is to be noted, return the rows of the table."""
        from napari_cam.masks.binarize import binarize
        from napari_cam.masks.gate import where_predicted
        from napari_cam.volumes.heatmap_files import read_heatmap
        from napari_cam.volumes.writing import write_volume

        heatmap, volume = read_heatmap(path)
        foreground = self._mask(self.foreground, volume, "foreground")
        if self.gate:
            predicted = where_predicted(heatmap)
            foreground = predicted if foreground is None else foreground & predicted
        reference = self._mask(self.reference, volume, "reference")
        masks = binarize({path.name: heatmap}, self.rules, self.strict, foreground)
        extension = ".tif" if volume.source.format == "tiff" else ".nii.gz"
        words = _words(heatmap)
        files = {
            key: folder / self.names.take(("mask", masks.rules[key].name, *words), extension)
            for key in masks
        }
        check_results(files.values(), self.overwrite)
        seen = heatmap.inside
        rows = []
        for key, file in files.items():
            found = masks[key]
            facts = {**masks.provenance_of(key), "gate": self.gate}
            write_volume(file, found, like=volume, provenance=facts, overwrite=self.overwrite)
            compared = () if reference is None else overlap(found[seen], reference[seen])
            rows.append((file.name, masks.rules[key].name, *_size(found, heatmap), *compared))
        notes += [*volume.notes, heatmap.note]
        if reference is not None and (unseen := int((reference & ~seen).sum())):
            notes.append(
                f"{unseen} of {int(reference.sum())} voxels of the reference lie where the network "
                "did not look, and are left out of IoU and Dice."
            )
        return rows

    def _mask(self, path: Path | None, volume: Volume, what: str) -> NDArray[np.bool_] | None:
        return None if path is None else open_mask(path, volume.grid, what)


def overlap(found: NDArray[np.bool_], reference: NDArray[np.bool_]) -> tuple[str, str]:
    """Return IoU and Dice of two masks as text, "-" where both are empty."""
    from napari_cam.masks.counts import counts

    counted = counts(found, reference)
    return _number(counted.iou()), _number(counted.dice())


def _number(value: NDArray[np.float64]) -> str:
    return "-" if isnan(value) else f"{float(value):.3f}"


def _words(heatmap: Heatmap) -> tuple[str, ...]:
    """Return what the heatmap is of, for the mask's name: method, layer, class."""
    facts = heatmap.provenance
    method = facts.get("method")
    named = (
        method.get("name") if isinstance(method, Mapping) else method,
        facts.get("layer"),
        facts.get("target"),
    )
    return tuple(word for word in named if isinstance(word, str))


def _size(found: NDArray[np.bool_], heatmap: Heatmap) -> tuple[str, str]:
    """Return which share of what the network saw a mask covers, and its size in the patient."""
    from napari_cam.masks.size import mask_size

    size = mask_size(found, heatmap)
    ml = size.millilitres
    return f"{size.share:.1%}", f"{size.voxels} px" if ml is None else f"{ml:.3g} mL"
