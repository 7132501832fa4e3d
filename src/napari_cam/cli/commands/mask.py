"""``napari-cam mask``: heatmap files cut into masks, measured, and compared with a reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from napari_cam.cli.failures import ExitCode, complain, guarded, sentence
from napari_cam.cli.folders import check_results, extension_like, output_folder
from napari_cam.cli.opening import open_foreground, open_mask
from napari_cam.cli.options import (
    AtLeast,
    ClosingLength,
    ConnectivityText,
    FillHoles,
    LargestOnly,
    OpeningLength,
    OutFolder,
    Overwrite,
    PerText,
    SmallestPiece,
    TouchingPath,
)
from napari_cam.cli.parsing import matching
from napari_cam.cli.terminal import show_notes
from napari_cam.errors import MaskError
from napari_cam.names import ResultNames
from napari_cam.provenance import map_words
from napari_cam.text_tables import text_table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_cam.grid import Grid
    from napari_cam.heatmap import Heatmap
    from napari_cam.masks.binarize import MaskSet
    from napari_cam.masks.cleanup import Cleanup
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
            help="fixed:0.5, 255:200, quantile:0.9, area:0.1, otsu, li, triangle, yen or "
            "local-otsu:15 (mm); with :volume or :cohort one cut for all slices or for all "
            "heatmaps; several times. otsu if none is named.",
        ),
    ] = None,
    at_least: AtLeast = False,
    reference: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Mask file to compare with; what is not 0 counts. Once, or for each heatmap.",
        ),
    ] = None,
    foreground: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WHAT",
            help="Where masks may lie: a mask file, or kmeans, otsu or nonzero, the tissue of "
            "--image (kmeans:slice: of each slice). Once, or for each heatmap.",
        ),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="The explained image, where --foreground looks for its tissue. Once, or for "
            "each heatmap.",
        ),
    ] = None,
    gate: Annotated[
        bool,
        typer.Option(
            "--gate", help="Leave slices empty for which the network predicts another class."
        ),
    ] = False,
    opening_mm: OpeningLength = 0.0,
    closing_mm: ClosingLength = 0.0,
    fill_holes: FillHoles = False,
    touching: TouchingPath = None,
    smallest: SmallestPiece = 0.0,
    largest_only: LargestOnly = False,
    per: PerText = "volume",
    connectivity: ConnectivityText = "faces",
    overwrite: Overwrite = False,
) -> ExitCode | None:
    """Cut heatmaps into masks and measure them.

    Masks lie on the heatmaps' grid and have a JSON file beside them. The table says which share of
    what the network saw they cover, and with a reference how well they agree.
    """
    from napari_cam.masks.cleanup import Cleanup
    from napari_cam.masks.rules import rule_from_text

    cleanup: dict[str, Any] = {
        "opening_mm": opening_mm,
        "closing_mm": closing_mm,
        "fill_holes": fill_holes,
        "smallest": smallest,
        "largest_only": largest_only,
        "per": per,
        "connectivity": connectivity,
    }
    Cleanup(**cleanup)  # says what is wrong before anything is read
    cutting = _Cutting(
        rules=tuple(rule_from_text(text) for text in rule or ("otsu",)),
        strict=not at_least,
        cleanup=cleanup,
        touching=touching,
        gate=gate,
        overwrite=overwrite,
    )
    paths = [each for path in heatmap for each in matching(path)]
    given = {"reference": reference, "foreground": foreground, "image": image}
    columns = [_for_each(name, each or [], len(paths)) for name, each in given.items()]
    if image and not foreground:
        raise MaskError("--image is where --foreground looks; say which, as --foreground kmeans.")
    asked = [_Asked(*row) for row in zip(paths, *columns, strict=True)]
    with output_folder(out) as folder:
        rows = cutting.cut(asked, folder)
    show_notes(cutting.notes)
    header = ("mask", "rule", "coverage", "volume", *(("IoU", "Dice") if reference else ()))
    typer.echo(text_table(header, rows, right=range(2, len(header))))
    return ExitCode.SOME_FAILED if cutting.failed else None


def _for_each(option: str, given: Sequence[Any], n: int) -> list[Any]:
    """Return what was given for each of `n` heatmaps: its own, the same for all, or None."""
    if len(given) not in (0, 1, n):
        raise MaskError(
            f"--{option} is given {len(given)} times for {n} heatmaps; give it once, or once for "
            "each in their order."
        )
    return list(given) if len(given) == n else [given[0] if given else None] * n


Rows = list[tuple[str, ...]]


@dataclass(frozen=True)
class _Asked:
    """A heatmap file, and what else was given for it."""

    path: Path
    reference: Path | None
    foreground: str | None
    image: Path | None


class _Key(NamedTuple):
    """A heatmap among others, whose file may have been named twice."""

    place: int
    name: str

    @property
    def parts(self) -> tuple[str, ...]:
        """How messages name it."""
        return (self.name,)


@dataclass(frozen=True, eq=False)
class _Opened:
    """A heatmap that was read, with what belongs to it."""

    path: Path
    heatmap: Heatmap
    volume: Volume
    foreground: NDArray[np.bool_] | None
    reference: NDArray[np.bool_] | None
    made: dict[str, Any]


@dataclass
class _Cutting:
    """What is done with every heatmap.

    Attributes
    ----------
    rules, strict, cleanup, touching, gate, overwrite
        As the command's options say.
    notes
        What is to be told at the end.
    failed
        How many heatmaps could not be cut.
    """

    rules: tuple[ThresholdRule, ...]
    strict: bool
    cleanup: Mapping[str, Any]
    touching: Path | None
    gate: bool
    overwrite: bool
    notes: list[str | None] = field(default_factory=list)
    failed: int = 0
    _names: ResultNames = field(default_factory=ResultNames)

    def cut(self, asked: Sequence[_Asked], folder: Path) -> Rows:
        """Write the masks of all heatmaps and return the rows of the table.

        Raises
        ------
        MaskError
            Where none could be cut.
        """
        if any(rule.scope == "cohort" for rule in self.rules):
            # A cut for all would be another one without those that cannot be read.
            return self._write([self._open(each) for each in asked], folder)
        rows: Rows = []
        for each in asked:
            try:
                rows += self._write([self._open(each)], folder)
            except Exception as error:
                said = sentence(error)
                if said is None or len(asked) == 1:
                    raise
                complain(said)
                self.failed += 1
        if not rows:
            raise MaskError(f"None of the {self.failed} heatmaps could be cut.")
        return rows

    def _open(self, asked: _Asked) -> _Opened:
        from napari_cam.heatmap import where_predicted
        from napari_cam.volumes.heatmap_files import read_heatmap

        heatmap, volume = read_heatmap(asked.path)
        foreground, made = None, dict[str, Any](gate=self.gate)
        if asked.foreground is not None:
            tissue = open_foreground(asked.foreground, asked.image, heatmap)
            foreground = tissue.mask
            made["foreground"] = tissue.made
            self.notes.append(tissue.note)
        if self.gate:
            predicted = where_predicted(heatmap)
            foreground = predicted if foreground is None else foreground & predicted
        path = asked.reference
        reference = None if path is None else open_mask(path, heatmap.grid, "reference")
        self.notes += [*volume.notes, heatmap.note]
        return _Opened(asked.path, heatmap, volume, foreground, reference, made)

    def _write(self, opened: Sequence[_Opened], folder: Path) -> Rows:
        """Cut heatmaps together, write their masks, and return the rows of the table."""
        from napari_cam.masks.binarize import MaskKey, binarize

        cleanups = [self._cleanup(each.heatmap.grid) for each in opened]  # equal, if they fit
        alone = len(opened) == 1  # files of several subjects are often called alike
        keys = [
            _Key(n, each.path.name if alone else str(each.path)) for n, each in enumerate(opened)
        ]
        masks = binarize(
            {key: each.heatmap for key, each in zip(keys, opened, strict=True)},
            self.rules,
            self.strict,
            {
                key: each.foreground
                for key, each in zip(keys, opened, strict=True)
                if each.foreground is not None
            },
            cleanups[0],
        )
        files = [[folder / self._name(each, rule) for rule in self.rules] for each in opened]
        check_results([path for paths in files for path in paths], self.overwrite)
        return [
            self._write_one(each, masks, MaskKey(keys[n], rule), path)
            for n, each in enumerate(opened)
            for rule, path in zip(self.rules, files[n], strict=True)
        ]

    def _cleanup(self, grid: Grid) -> Cleanup | None:
        """Return the clean-up of masks on `grid`, None where there is nothing to do."""
        from napari_cam.masks.cleanup import Cleanup

        path = self.touching
        touching = None if path is None else open_mask(path, grid, "mask to be touched")
        return Cleanup(**self.cleanup, touching=touching) or None

    def _write_one(self, opened: _Opened, masks: MaskSet, key: Any, path: Path) -> tuple[str, ...]:
        from napari_cam.volumes.writing import write_volume

        found = masks[key]
        facts = {**masks.provenance_of(key), **opened.made}
        write_volume(path, found, like=opened.volume, provenance=facts, overwrite=self.overwrite)
        row = (path.name, masks.rules[key].name, *_size(found, opened.heatmap))
        if opened.reference is None:
            return row
        seen = opened.heatmap.inside
        if unseen := int((opened.reference & ~seen).sum()):
            self.notes.append(
                f"{unseen} of {int(opened.reference.sum())} voxels of the reference lie where the "
                "network did not look, and are left out of IoU and Dice."
            )
        return (*row, *overlap(found[seen], opened.reference[seen]))

    def _name(self, opened: _Opened, rule: ThresholdRule) -> str:
        words = filter(None, map_words(opened.heatmap.provenance))
        return self._names.take(("mask", rule.name, *words), extension_like(opened.volume))


def overlap(found: NDArray[np.bool_], reference: NDArray[np.bool_]) -> tuple[str, str]:
    """Return IoU and Dice of two masks as text, "-" where both are empty."""
    from napari_cam.masks.counts import counts

    counted = counts(found, reference)
    return _number(counted.iou()), _number(counted.dice())


def _number(value: NDArray[np.float64]) -> str:
    return "-" if isnan(value) else f"{float(value):.3f}"


def _size(found: NDArray[np.bool_], heatmap: Heatmap) -> tuple[str, str]:
    """Return which share of what the network saw a mask covers, and its size in the patient."""
    from napari_cam.masks.size import mask_size

    size = mask_size(found, heatmap)
    ml = size.millilitres
    return f"{size.share:.1%}", f"{size.voxels} px" if ml is None else f"{ml:.3g} mL"
