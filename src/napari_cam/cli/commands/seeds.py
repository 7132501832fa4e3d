"""``napari-cam seeds``: heatmap files made into labels to be edited and trained on."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.failures import ExitCode, guarded
from napari_cam.cli.folders import check_results, extension_like, output_folder
from napari_cam.cli.opening import open_mask, open_volume
from napari_cam.cli.options import ClassTable, ForegroundPath, OutFolder, Overwrite, SeriesText
from napari_cam.cli.parsing import matching
from napari_cam.cli.terminal import show_notes
from napari_cam.errors import MaskError
from napari_cam.labels.choices import CONFLICTS, NEGATIVES, REFINEMENTS
from napari_cam.names import ResultNames
from napari_cam.normalize import RENORMALIZE
from napari_cam.text_tables import text_table

if TYPE_CHECKING:
    from napari_cam.heatmap import Heatmap
    from napari_cam.labels.seeds.seeds import Seeds
    from napari_cam.volumes.volume import Volume


@guarded
def seeds(
    heatmap: Annotated[
        list[str],
        typer.Argument(
            metavar="[CLASS=]HEATMAP",
            help="Heatmap files of one image that explain wrote, with the class's name where it "
            "is not the one in their record; several of one class vote.",
        ),
    ],
    out: OutFolder,
    high: Annotated[
        str,
        typer.Option(metavar="CUT", help="A class lies above: a number from 0 to 1, or a rule."),
    ] = "0.6",
    low: Annotated[
        str,
        typer.Option(metavar="CUT", help="Background lies below: a number from 0 to 1, or a rule."),
    ] = "0.2",
    at_least: Annotated[
        bool, typer.Option("--at-least", help="Keep values equal to the cuts: >= and <=.")
    ] = False,
    conflict: Annotated[
        str,
        typer.Option(
            metavar="HOW",
            help=f"Where several classes are seen: {CONFLICTS.words}, which is the class of the "
            "higher heatmap.",
        ),
    ] = "ignore",
    votes: Annotated[
        float,
        typer.Option(
            metavar="SHARE", help="Share of a class's heatmaps that must agree: 1 is all."
        ),
    ] = 1.0,
    gate: Annotated[
        bool,
        typer.Option(help="Seed nothing where the network predicts another class."),
    ] = True,
    negatives: Annotated[
        str,
        typer.Option(
            metavar="WHAT",
            help=f"What slices are for which another class is predicted: {NEGATIVES.words}.",
        ),
    ] = "background",
    normalize: Annotated[
        str,
        typer.Option(
            metavar="HOW", help=f"What is stretched to [0, 1] first: {RENORMALIZE.words}."
        ),
    ] = "volume",
    foreground: ForegroundPath = None,
    outside: Annotated[
        str,
        typer.Option(metavar="WHAT", help=f"What lies outside the foreground: {NEGATIVES.words}."),
    ] = "background",
    classes: ClassTable = None,
    refine: Annotated[
        str | None,
        typer.Option(
            metavar="HOW",
            help="Follow the edges of --image: random-walker grows the seeds, guided smooths the "
            "heatmaps first.",
        ),
    ] = None,
    image: Annotated[
        Path | None,
        typer.Option(metavar="IMAGE", help="The image that was explained, for --refine."),
    ] = None,
    series: SeriesText = None,
    per: Annotated[
        str | None,
        typer.Option(metavar="WHAT", help="Refine per slice or per volume; as explained if none."),
    ] = None,
    beta: Annotated[
        float, typer.Option(metavar="N", help="Random walker: how much an edge hinders.")
    ] = 10.0,
    certainty: Annotated[
        float,
        typer.Option(metavar="P", help="Random walker: label where a class is likelier than this."),
    ] = 0.5,
    radius: Annotated[
        float, typer.Option(metavar="MM", help="Guided filter: half the width of the window.")
    ] = 2.0,
    epsilon: Annotated[
        float, typer.Option(metavar="N", help="Guided filter: what variance counts as flat.")
    ] = 0.1,
    overwrite: Overwrite = False,
) -> ExitCode | None:
    """Make labels to edit and train on.

    Writes labels (0 unlabelled, 1 background, 2 and up the classes) on the heatmaps' grid, a
    table of the classes (CSV) and a JSON file that says how they were made.
    """
    from napari_cam.labels.classes import LabelClasses
    from napari_cam.labels.seeds.making import make_seeds
    from napari_cam.volumes.writing import write_volume

    maps = _read(heatmap)
    names = tuple(dict.fromkeys(name for name, _ in maps.heatmaps))
    extension = extension_like(maps.like)
    tissue = None if foreground is None else open_mask(foreground, maps.like.grid, "foreground")
    refining = _Refining(
        refine, image, series, tissue, _settings(per, beta, certainty, radius, epsilon)
    )
    codes = None if classes is None else LabelClasses.read_csv(classes)
    with output_folder(out) as folder:
        path = folder / ResultNames().take(("seeds", *names), extension)
        listed = path.with_name(path.name.removesuffix(extension) + ".csv")
        check_results([path, listed], overwrite)
        source = refining.source(maps.like)
        found = make_seeds(
            refining.heatmaps(maps.by_class(), source),
            high,
            low,
            conflict=CONFLICTS.checked(conflict),
            votes=votes,
            gate=gate,
            negatives=NEGATIVES.checked(negatives),
            normalize=RENORMALIZE.checked(normalize),
            foreground=tissue,
            outside=NEGATIVES.checked(outside, "What lies outside of the foreground"),
            strict=not at_least,
            classes=codes,
        )
        found = refining.seeds(found, source)
        facts = found.provenance
        write_volume(path, found.labels, maps.like, provenance=facts, overwrite=overwrite)
        found.classes.write_csv(listed, overwrite=overwrite)
    show_notes([*maps.notes, *found.notes])
    typer.echo(
        text_table(("code", "class", "voxels", "share", "volume"), _rows(found), right=(0, 2, 3, 4))
    )
    typer.echo(f"\n{path.name}, {listed.name}")
    return None


@dataclass(frozen=True, eq=False)
class _Maps:
    """The heatmaps that were read, with their classes, and the file to write results like."""

    heatmaps: list[tuple[str, Heatmap]]
    like: Volume
    notes: list[str | None]

    def by_class(self) -> dict[str, list[Heatmap]]:
        found: dict[str, list[Heatmap]] = {}
        for name, heatmap in self.heatmaps:
            found.setdefault(name, []).append(heatmap)
        return found


def _read(given: Sequence[str]) -> _Maps:
    """Read heatmaps "FILE" and "CLASS=FILE"; the class is that of the record where none is said."""
    from napari_cam.volumes.heatmap_files import read_heatmap

    heatmaps: list[tuple[str, Heatmap]] = []
    notes: list[str | None] = []
    like: Volume | None = None
    for text in given:
        name, equals, file = text.partition("=")
        if not equals or os.path.exists(text):
            name, file = "", text
        for path in matching(Path(file)):
            heatmap, volume = read_heatmap(path)
            like = volume if like is None else like
            target = heatmap.provenance.get("target")
            said = name.strip() or (target if isinstance(target, str) else "")
            if not said:
                raise MaskError(
                    f"{path} does not say which class it explains; write CLASS={path.name}."
                )
            heatmaps.append((said, heatmap))
            notes += [*volume.notes, heatmap.note]
    if like is None:
        raise MaskError("There are no heatmaps to make seeds of; give at least one file.")
    return _Maps(heatmaps, like, notes)


def _settings(
    per: str | None, beta: float, certainty: float, radius: float, epsilon: float
) -> dict[str, Any]:
    return {
        "per": per,
        "beta": beta,
        "certainty": certainty,
        "radius": radius,
        "epsilon": epsilon,
    }


@dataclass(frozen=True, eq=False)
class _Refining:
    """Whether and how the edges of the image are followed."""

    method: str | None
    image: Path | None
    series: str | None
    foreground: Any
    settings: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.method is not None:
            REFINEMENTS.checked(self.method)
        if (self.method is None) != (self.image is None):
            raise MaskError(
                "--refine and --image go together: the edges are those of the image that was "
                "explained."
            )

    def source(self, like: Volume) -> Volume | None:
        """Read the image, on the grid of the heatmaps where either states no place in a patient."""
        if self.image is None:
            return None
        volume = open_volume(self.image, series=self.series)
        placed = volume.grid.orientation is not None and like.grid.orientation is not None
        if not placed and volume.shape == like.shape:
            return replace(volume, grid=like.grid)
        return volume

    def heatmaps(
        self, by_class: dict[str, list[Heatmap]], source: Volume | None
    ) -> dict[str, list[Heatmap]]:
        from napari_cam.labels.seeds.refine import refine

        if source is None or self.method != "guided":
            return by_class
        options = {"method": self.method, "foreground": self.foreground, **self.settings}
        return {
            name: [refine(source, each, **options) for each in members]
            for name, members in by_class.items()
        }

    def seeds(self, found: Seeds, source: Volume | None) -> Seeds:
        from napari_cam.labels.seeds.refine import refine

        if source is None or self.method != "random-walker":
            return found
        options = {"method": self.method, "foreground": self.foreground, **self.settings}
        return refine(source, found, **options)


def _rows(found: Seeds) -> list[tuple[str, ...]]:
    """Return code, name, voxels, share and volume of each class and of what is unlabelled."""
    codes = {each.name: str(each.code) for each in found.classes}
    rows: list[tuple[str, ...]] = []
    for name, voxels in found.voxels.items():
        millilitres = voxels * found.grid.voxel_volume / 1000
        volume = f"{millilitres:.3g} mL" if found.grid.units == "mm" else "-"
        share = f"{voxels / found.labels.size:.1%}"
        rows.append((codes.get(name, "0"), name, str(voxels), share, volume))
    return rows
