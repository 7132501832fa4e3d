"""Commands that show what there is: an image or model, layers, methods, architectures."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.failures import ExitCode, complain, guarded, sentence
from napari_cam.cli.opening import IMAGENET, is_sample, open_model, open_volume
from napari_cam.cli.options import (
    ArchitectureText,
    Axis4Text,
    ClassNamesText,
    SeriesText,
    SpacingText,
    TimeNumber,
)
from napari_cam.cli.terminal import show_notes
from napari_cam.errors import ModelError
from napari_cam.text_tables import fact_lines, text_table

if TYPE_CHECKING:
    from napari_cam.volumes.dicom.series import SeriesInfo
    from napari_cam.volumes.volume import Volume

# As models.files reads them; asking there would load torch before an image is shown.
MODEL_SUFFIXES = (".safetensors", ".pt2", ".pt", ".pth", ".th", ".ckpt", ".bin")


@guarded
def info(
    path: Annotated[
        list[str],
        typer.Argument(metavar="FILE", help="Images, DICOM folders, heatmaps or model files."),
    ],
    architecture: ArchitectureText = None,
    class_names: ClassNamesText = None,
    axis4: Axis4Text = None,
    time: TimeNumber = 0,
    spacing: SpacingText = None,
    series: SeriesText = None,
) -> ExitCode | None:
    """Show what image and model files hold, but not whom.

    Nothing that names a patient is printed. Of a DICOM folder with several series the series are
    listed; --series describes one.
    """
    failed = 0
    for number, name in enumerate(path):
        if number:
            typer.echo()
        try:
            if _is_model(name):
                _show_model(name, architecture, class_names)
            elif series is None and (found := _several_series(Path(name))):
                _show_series(found)
            else:
                _show_volume(Path(name), open_volume(Path(name), axis4, time, spacing, series))
        except Exception as error:
            said = sentence(error)
            if said is None or len(path) == 1:
                raise
            complain(said)
            failed += 1
    if not failed:
        return None
    return ExitCode.NAMED_ERROR if failed == len(path) else ExitCode.SOME_FAILED


@guarded
def layers(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="Model file, 'imagenet:resnet50', 'sample' or 'sample:segmentation'.",
        ),
    ],
    architecture: ArchitectureText = None,
    class_names: ClassNamesText = None,
    input_shape: Annotated[
        str | None, typer.Option(metavar="C,Y,X", help="Channels and size of one input: 3,224,224.")
    ] = None,
) -> ExitCode | None:
    """List the layers of a network that can be explained.

    The default one is marked: what enters global pooling, or a segmentation network's bottleneck.
    The layers of a segmentation network say their level: encoder, bottleneck or decoder.
    """
    from napari_cam.models.layers.candidates import candidate_layers

    loaded = open_model(model, architecture, class_names)
    rows = [
        (
            "*" if row.default else "",
            row.name,
            row.kind,
            row.channels,
            " x ".join(map(str, row.shape)),
            " x ".join(f"{step:g}" for step in row.stride),
            row.note,
        )
        for row in candidate_layers(loaded, _shape(input_shape))
    ]
    if not rows:
        raise ModelError("The network has no layer that holds a map, so it cannot be explained.")
    header = ("", "layer", "kind", "channels", "map", "stride", "note")
    typer.echo(text_table(header, rows, right=(3,)))
    return None


@guarded
def methods() -> ExitCode | None:
    """List the CAM methods."""
    from napari_cam.cams.methods.table import METHODS

    rows = [
        (name, method.title, ", ".join(sorted(method.needs)), method.reference)
        for name, method in METHODS.items()
    ]
    typer.echo(text_table(("name", "title", "needs", "reference"), rows))
    typer.echo()
    typer.echo(fact_lines({name: each.summary for name, each in METHODS.items()}, width=13))
    return None


@guarded
def architectures(
    word: Annotated[str, typer.Argument(metavar="[FILTER]", help="Part of a name or family.")] = "",
    timm: Annotated[
        bool, typer.Option("--timm", help="Also those that timm knows by name.")
    ] = False,
) -> ExitCode | None:
    """List the networks that can be built by name."""
    from napari_cam.models.architectures.table import ARCHITECTURES, timm_names

    wanted = word.lower()
    rows: list[tuple[Any, ...]] = [
        (row.name, row.family, row.source, row.input_size, row.reference)
        for row in ARCHITECTURES.values()
        if wanted in row.name.lower() or wanted in row.family.lower()
    ]
    if timm:
        rows += [(name, "", "timm", "", "") for name in timm_names(wanted)]
    if not rows:
        raise ModelError(f"No architecture's name holds '{word}'; try a shorter word, or --timm.")
    typer.echo(text_table(("name", "family", "source", "input", "reference"), rows, right=(3,)))
    return None


def _is_model(name: str) -> bool:
    if name.startswith(IMAGENET) or is_sample(name):
        return True
    return Path(name).suffix.lower() in MODEL_SUFFIXES


def _show_model(name: str, architecture: str | None, class_names: str | None) -> None:
    model = open_model(name, architecture, class_names)
    typer.echo(model.card.describe())
    typer.echo(fact_lines({"sha256": model.sha256}))


def _several_series(path: Path) -> list[SeriesInfo]:
    """Return the series of a DICOM folder or file, empty where there is nothing to choose."""
    if not path.is_dir() and not _is_dicom(path):
        return []
    from napari_cam.volumes.dicom.series import dicom_series

    found = dicom_series(path)
    return found if len(found) > 1 else []


def _is_dicom(path: Path) -> bool:
    from napari_cam.volumes.dicom.signature import HEAD_BYTES, is_dicom

    try:
        with path.open("rb") as file:
            return is_dicom(file.read(HEAD_BYTES))
    except (OSError, ValueError):
        return False  # reading it will say why


def _show_series(found: list[SeriesInfo]) -> None:
    """Print a table of series, and a sentence on each that cannot be read."""
    rows = [
        (
            each.number,
            each.modality,
            each.plane or "",
            f"{each.n_volumes} x {each.n_slices}" if each.n_volumes > 1 else each.n_slices,
            f"{each.size[0]} x {each.size[1]}",
            " x ".join(f"{size:.3g}" for size in each.spacing) if each.spacing else "",
            each.description,
            "no" if each.problem else "yes",
        )
        for each in found
    ]
    header = ("series", "kind", "plane", "slices", "size", "voxel (mm)", "description", "readable")
    typer.echo(text_table(header, rows, right=(0, 3)))
    show_notes(f"series {each.number}: {each.problem}" for each in found if each.problem)


def _show_volume(path: Path, volume: Volume) -> None:
    """Print an image's geometry and values; whom it shows is left out."""
    facts = {
        "shape": " x ".join(map(str, volume.shape)) + " (z, y, x)",
        "channels": ", ".join(volume.channel_names),
        "voxel size": " x ".join(f"{size:g}" for size in volume.spacing)
        + (" mm (z, y, x)" if volume.grid.units == "mm" else " (pixels)"),
        "orientation": volume.orientation or "none stated",
        "slices along": "zyx"[volume.stack_axis],
        "type": str(volume.values.dtype),
        "values": _range(volume),
        "made by": _origin(path),
    }
    typer.echo(fact_lines({title: fact for title, fact in facts.items() if fact}))
    show_notes(volume.notes)


def _range(volume: Volume) -> str:
    import numpy as np

    values = np.asarray(volume.values)
    finite = values[np.isfinite(values)]
    if finite.size == 0:
        return "none is a number"
    text = f"{finite.min():g} to {finite.max():g}, mean {finite.mean(dtype=np.float64):g}"
    missing = values.size - finite.size
    return f"{text}; {missing} of {values.size} are not finite" if missing else text


def _origin(path: Path) -> str:
    """Return what a sidecar says of a heatmap or mask, empty where there is none."""
    from napari_cam.files import read_sidecar
    from napari_cam.provenance import map_words, stamped

    facts = stamped(read_sidecar(path))  # empty for another program's file of that name
    source = facts.get("heatmap", facts)
    if "kind" not in facts or not isinstance(source, Mapping):
        return ""
    words = (facts["kind"], facts.get("rule"), *map_words(source))
    return ", ".join(str(word) for word in words if word)


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    parts = text.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise ModelError(f"'{text}' is no input shape; write channels and size as in 3,224,224.")
    return tuple(int(part) for part in parts)
