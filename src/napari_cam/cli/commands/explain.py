"""``napari-cam explain``: heatmaps of an image, as files."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.failures import ExitCode, guarded
from napari_cam.cli.folders import check_results, output_folder
from napari_cam.cli.opening import open_mask, open_model, open_region, open_volume
from napari_cam.cli.options import (
    ArchitectureText,
    Axis4Text,
    ClassNamesText,
    DeviceText,
    FileFormat,
    ForegroundPath,
    ModelText,
    OutFolder,
    Overwrite,
    PreparationText,
    ScoreText,
    SeriesText,
    SpacingText,
    TimeNumber,
)
from napari_cam.cli.parsing import SLICES, parse_slices
from napari_cam.cli.terminal import progress, show_notes
from napari_cam.errors import PreparationError
from napari_cam.names import ResultNames
from napari_cam.normalize import NORMALIZE, SCALE
from napari_cam.text_tables import text_table

if TYPE_CHECKING:
    from napari_cam.cams.explained_units import ExplainedUnits
    from napari_cam.cams.keys import MapKey
    from napari_cam.cams.plan import Plan
    from napari_cam.cams.windows import Windows
    from napari_cam.heatmap import Heatmap
    from napari_cam.models.loaded import LoadedModel
    from napari_cam.volumes.volume import Volume


@guarded
def explain(
    path: Annotated[
        Path,
        typer.Argument(
            metavar="IMAGE", help="Image: DICOM (folder or file), NIfTI, TIFF, PNG, JPEG, NumPy."
        ),
    ],
    model: ModelText,
    out: OutFolder,
    method: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="CAM method, gradcam if none is named; may be given several times."
        ),
    ] = None,
    class_id: Annotated[
        list[str] | None,
        typer.Option(
            "--class",
            "--target",
            metavar="CLASS",
            help="Class by name or number, else the predicted one; several times.",
        ),
    ] = None,
    region: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PIXELS",
            help="Segmentation networks: whose pixels' score is explained: predicted, all, p>0.5, "
            "component, component:Z,Y,X, point:Z,Y,X, box:Z:Z,Y:Y,X:X, a mask file or "
            "LABELS.nii.gz:2; several times.",
        ),
    ] = None,
    within: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="Where regions are cut off: a slice, box or mask file."),
    ] = None,
    score: ScoreText = "logit",
    layer: Annotated[
        list[str] | None,
        typer.Option(metavar="LAYER", help="Target layer, see 'napari-cam layers'; several times."),
    ] = None,
    fused: Annotated[
        list[str] | None,
        typer.Option(
            metavar="LAYERS", help="One map out of several layers: LAYER1+LAYER2; several times."
        ),
    ] = None,
    slices: Annotated[
        str | None, typer.Option(metavar="SLICES", help=f"Slices to explain: {SLICES}.")
    ] = None,
    normalize: Annotated[
        str,
        typer.Option(metavar="HOW", help=f"What is stretched to [0, 1]: {NORMALIZE.words}."),
    ] = "unit",
    scale: Annotated[
        str, typer.Option(metavar="HOW", help="minmax, or max, which keeps zero at zero.")
    ] = "minmax",
    foreground: ForegroundPath = None,
    device: DeviceText = "auto",
    precision: Annotated[
        str, typer.Option(metavar="TYPE", help="auto (float32), float32, bfloat16 or float16.")
    ] = "auto",
    batch_size: Annotated[
        str, typer.Option(metavar="N", help="Slices per pass through the network, or auto.")
    ] = "auto",
    optimize: Annotated[
        bool,
        typer.Option(
            help="Run a folded private copy of the network, which gives the same maps sooner."
        ),
    ] = True,
    windows: Annotated[
        str | None,
        typer.Option(
            metavar="PIXELS",
            help="For networks trained on patches: size of the windows through which they see "
            "the image, such as 96 or 64,96,96.",
        ),
    ] = None,
    window_overlap: Annotated[
        float, typer.Option(metavar="SHARE", help="Share of a window that its neighbour shows too.")
    ] = 0.5,
    window_weights: Annotated[
        str, typer.Option(metavar="HOW", help="gaussian, or constant.")
    ] = "gaussian",
    window_margin: Annotated[
        int, typer.Option(metavar="PIXELS", help="Pixels along a window's edges that do not count.")
    ] = 0,
    architecture: ArchitectureText = None,
    class_names: ClassNamesText = None,
    preparation: PreparationText = None,
    axis4: Axis4Text = None,
    time: TimeNumber = 0,
    spacing: SpacingText = None,
    series: SeriesText = None,
    file_format: Annotated[
        FileFormat, typer.Option("--format", help="Format of the heatmaps.")
    ] = FileFormat.NIFTI,
    overwrite: Overwrite = False,
) -> ExitCode | None:
    """Write heatmaps, which show where a network looked.

    One file per method, layer and class, on the image's own grid, with a JSON file beside it that
    says how it was made. Files are named by what was computed, never by the image.
    """
    from napari_cam.cams.build_heatmaps import build_heatmaps
    from napari_cam.cams.plan import RunOptions, plan_explanation
    from napari_cam.volumes.writing import write_volume

    stretched = NORMALIZE.checked(normalize), SCALE.checked(scale)
    with output_folder(out) as folder:
        volume = open_volume(path, axis4, time, spacing, series)
        mask = None if foreground is None else open_mask(foreground, volume.grid, "foreground")
        network = open_model(model, architecture, class_names, preparation)
        plan = plan_explanation(
            network,
            volume,
            method or "gradcam",
            _targets(volume, network, class_id, region, within, score),
            _layers(layer, fused),
            RunOptions(
                device=device,
                precision=precision,
                batch_size=int(batch_size) if batch_size.isdecimal() else batch_size,
                optimize=optimize,
                windows=_windows(windows, window_overlap, window_weights, window_margin),
            ),
        )
        if slices is not None:
            plan = replace(plan, units=parse_slices(slices, plan.prepared.n_units))
        keys = list(dict.fromkeys(plan.keys))
        files = dict(zip(keys, _files(keys, folder, file_format), strict=True))
        check_results(files.values(), overwrite)
        maps = build_heatmaps(plan, _run(plan), *stretched, mask)
        for key, heatmap in maps.items():
            write_volume(files[key], heatmap, like=volume, overwrite=overwrite)
    show_notes(
        [
            *volume.notes,
            *plan.prepared.notes,
            *(note for each in maps.values() for note in each.notes),
        ]
    )
    rows = [_row(key, heatmap, plan, files[key]) for key, heatmap in maps.items()]
    typer.echo(
        text_table(("method", "layer", "class", "score", "predicted", "no evidence", "file"), rows)
    )
    return None


def _run(plan: Plan) -> list[ExplainedUnits]:
    """Run a plan to its end, with a bar that counts its units."""
    unit = "volume" if plan.prepared.unit_axis is None else "slice"
    parts = []
    with progress(len(plan.units), unit) as advance:
        for part in plan.run():
            parts.append(part)
            advance(len(part.units))
    return parts


def _windows(size: str | None, overlap: float, weights: str, margin: int) -> Windows | None:
    """Return how the image is cut into windows, None where it is shown whole."""
    from napari_cam.cams.windows import Windows

    if size is None:
        if (overlap, weights, margin) != (0.5, "gaussian", 0):
            raise PreparationError("Windows need their size; give it with --windows, such as 96.")
        return None
    parts = [part.strip() for part in size.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise PreparationError(
            f"--windows takes whole numbers of pixels such as 96 or 64,96,96, not '{size}'."
        )
    chosen: Any = weights
    return Windows(tuple(map(int, parts)), overlap, chosen, margin)


def _targets(
    volume: Volume,
    model: LoadedModel,
    class_id: list[str] | None,
    region: list[str] | None,
    within: str | None,
    score: str,
) -> list[Any]:
    """Return what is explained: every class in every region."""
    from napari_cam.cams.targets.region_score import RegionScore
    from napari_cam.cams.targets.scores import ClassScore
    from napari_cam.errors import TargetError

    names = model.card.class_names
    wanted: list[str] = class_id or ["predicted"]
    classes = [None if word == "predicted" and word not in names else word for word in wanted]
    how: Any = score
    if model.card.task == "segmentation":
        limit = None if within is None else open_region(within, volume.grid)
        regions = [open_region(text, volume.grid) for text in region or ["predicted"]]
        return [RegionScore(each, place, limit, how) for place in regions for each in classes]
    if region or within:
        raise TargetError(
            "Regions are for segmentation networks, and this is a classifier; leave out --region "
            "and --within."
        )
    return [ClassScore(each, how) for each in classes]


def _layers(layers: list[str] | None, fused: list[str] | None) -> list[Any] | None:
    """Return the layers asked for, None where the network's default is."""
    from napari_cam.cams.keys import Fused

    wanted = [*(layers or ()), *(Fused(text.split("+")) for text in fused or ())]
    return wanted or None


def _files(keys: list[MapKey], folder: Path, file_format: FileFormat) -> list[Path]:
    names = ResultNames()
    return [folder / names.take(("heatmap", *key.parts), file_format.extension) for key in keys]


def _row(key: MapKey, heatmap: Heatmap, plan: Plan, file: Path) -> tuple[str, ...]:
    units = list(plan.units)
    empty = int((~heatmap.valid[units]).sum())
    return (
        *key.parts,
        _span(heatmap.score[units].tolist()),
        _choices(heatmap.predicted_index[units].tolist(), plan.model.card.class_names),
        f"{empty} of {len(units)}",
        file.name,
    )


def _span(scores: list[float]) -> str:
    low, high = min(scores), max(scores)
    return f"{low:.3g}" if len(scores) == 1 else f"{low:.3g} to {high:.3g}"


def _choices(predicted: list[int], class_names: tuple[str, ...]) -> str:
    """Return the classes the network chose, the most frequent first: "damaged 9, healthy 13"."""
    counted = Counter(predicted).most_common()
    words = [
        (class_names[index] if index < len(class_names) else f"class {index}")
        + (f" {count}" if len(predicted) > 1 else "")
        for index, count in counted[:3]
    ]
    return ", ".join(words) + (", ..." if len(counted) > 3 else "")
