"""``napari-cam demo``: the whole job on a volume whose truth is known."""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_cam.cli.failures import ExitCode, guarded
from napari_cam.cli.folders import check_results, output_folder
from napari_cam.cli.options import Overwrite
from napari_cam.cli.terminal import show_notes
from napari_cam.text_tables import text_table

if TYPE_CHECKING:
    from napari_cam.sample.demo.classification import DemoFiles, DemoResults
    from napari_cam.sample.demo.folder import DemoFolder
    from napari_cam.sample.demo.segmentation import RegionResults
    from napari_cam.sample.demo.segmentation_files import RegionFiles


_FOLDER = Path("napari-cam-demo")
_QT = ("PyQt6", "PySide6", "PyQt5", "PySide2")


@guarded
def demo(
    out: Annotated[
        Path | None,
        typer.Option(
            *("--out", "-o"),
            metavar="FOLDER",
            help=f"Folder to write to; {_FOLDER} (or {_FOLDER}-segmentation) if not given.",
        ),
    ] = None,
    segmentation: Annotated[
        bool, typer.Option("--segmentation", help="A U-Net in place of the classifier.")
    ] = False,
    overwrite: Overwrite = False,
    window: Annotated[
        bool, typer.Option("--window", help="Open the results in napari, where there is a display.")
    ] = False,
) -> ExitCode | None:
    """Try everything on a sample volume whose truth is known.

    A synthetic MRI of a fish fillet with freezing damage, and a small network that tells damaged
    slices from healthy ones: heatmaps of several methods, masks, overlap with the truth, a picture.
    With --segmentation a small U-Net that outlines the damage, and what it looked at: class by
    class, for several sets of pixels, and level by level.
    A folder that an earlier demo made is filled anew.
    """
    if segmentation:
        _segmentation(out or _FOLDER.with_name(f"{_FOLDER}-segmentation"), overwrite, window)
    else:
        _classification(out or _FOLDER, overwrite, window)
    return None


def _classification(out: Path, overwrite: bool, window: bool) -> None:
    from napari_cam.sample.demo.classification import KIND, DemoFiles, compute_demo
    from napari_cam.sample.demo.folder import is_demo

    with (
        output_folder(out) as folder,
        output_folder(folder / "heatmaps"),
        output_folder(folder / "masks"),
    ):
        overwrite = overwrite or is_demo(folder, KIND)
        results = compute_demo()
        files = DemoFiles.plan(folder, results.maps)
        check_results(files.images, overwrite)
        files.write(results, overwrite)
    _report(results, files)
    if window:
        key = next(key for key in files.heatmaps if key.method.name == "gradcam")
        _open(files, heatmap=files.heatmaps[key], mask=files.masks[key])


def _segmentation(out: Path, overwrite: bool, window: bool) -> None:
    from napari_cam.sample.demo.folder import is_demo
    from napari_cam.sample.demo.segmentation import TARGET, TITLES, compute_regions
    from napari_cam.sample.demo.segmentation_files import KIND, RegionFiles

    with output_folder(out) as folder, output_folder(folder / "heatmaps"):
        overwrite = overwrite or is_demo(folder, KIND)
        results = compute_regions()
        files = RegionFiles.plan(folder, results)
        check_results(files.images, overwrite)
        files.write(results, overwrite)
    _report_regions(results, files)
    if window:
        key = next(
            key
            for key in results.by_class
            if key.method.name == "hirescam" and key.target.label == TARGET
        )
        _open(
            files,
            heatmap=files.heatmaps[key],
            mask=files.labels,
            heatmap_name=f"{TITLES['hirescam']} ({TARGET})",
            mask_name="prediction",
            truth_name="truth",
        )


def _open(files: DemoFolder, **shown: Any) -> None:
    """Show the results in napari, or say why not."""
    reason = no_window_because()
    if reason is not None:
        typer.echo(f"\nNo window: {reason}. Everything is in {files.folder}.")
        return
    texts = {name: str(what) for name, what in shown.items()}
    open_window("show_demo", volume=str(files.volume), truth=str(files.truth), **texts)


def no_window_because() -> str | None:
    """Return why no window can be opened here, None where one can."""
    if find_spec("napari") is None or not any(find_spec(binding) for binding in _QT):
        return "napari is not installed; install it with: pip install 'napari-cam[all]'"
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not shown:
        return "there is no display"
    return None


def open_window(command: str, **arguments: Any) -> None:
    """Run one of the plugin's commands, by its name in the manifest."""
    from npe2 import PluginManager

    manager = PluginManager.instance()
    manager.discover()
    manager.commands.get(f"napari-cam.{command}")(**arguments)


def _report(results: DemoResults, files: DemoFiles) -> None:
    """Print the table, then what to look at and what to do next."""
    show_notes(results.notes)
    rows = [
        (key.method.title, *(f"{scores[name]:.2f}" for name in ("IoU", "Dice", "energy", "peak")))
        for key, scores in results.scores.items()
    ]
    rows += [
        (name, "", "", *(f"{scores[each]:.2f}".replace("nan", "-") for each in ("energy", "peak")))
        for name, scores in results.guesses.items()
    ]
    header = ("method", "IoU", "Dice", "energy inside", "peak inside")
    typer.echo(text_table(header, rows, right=range(1, 5)))
    maps, truth = shlex.quote(str(files.folder / "heatmaps")), shlex.quote(str(files.truth))
    judge = f"napari-cam report overlap {maps} --reference {truth} --out report"
    typer.echo(
        f"""
IoU and Dice compare each Otsu mask with the true damage. Energy and peak inside are the share of a
heatmap's sum, and the share of slices whose maximum, lie in the damage; the last two rows need no
network. Grad-CAM, XGrad-CAM and HiResCAM agree here because the network pools right after the
layer; CAM keeps negative evidence, so that its zero is not where theirs is.

Look at   {files.sheet}
          blue line: the true damage; dashed: the mask; colours: the heatmap
Open      {files.volume} with a file of {files.folder / "heatmaps"} in any NIfTI viewer
Judge     {judge}

Your own images and network (napari-cam COMMAND --help says more):
  napari-cam info IMAGE
  napari-cam layers MODEL
  napari-cam explain IMAGE --model MODEL --method gradcam --method hirescam --out results
  napari-cam mask results/heatmap_*.nii.gz --rule otsu --out masks"""
    )


def _report_regions(results: RegionResults, files: RegionFiles) -> None:
    """Print the table, then what to look at and what to do next."""
    show_notes(results.notes)
    rows = [
        (name, f"{results.dice[name]:.3f}", *(f"{share:.2f}" for share in energy.values()))
        for name, energy in results.energy.items()
    ]
    header = ("class", "Dice", *next(iter(results.energy.values())))
    typer.echo(text_table(header, rows, right=range(1, len(header))))
    rows = [
        (level, *(f"{share:.2f}" for share in energy.values()))
        for level, energy in results.energy_by_level.items()
    ]
    header = ("level (damaged)", *next(iter(results.energy.values())))
    typer.echo()
    typer.echo(text_table(header, rows, right=range(1, len(header))))
    typer.echo(
        f"""
Dice compares the U-Net's prediction with the truth. The other columns are the share of a heatmap's
sum that lies where the class is predicted: above, means over slices at the level {results.level};
below, in slice {results.z}. The bottleneck's maps miss the damage because this network does not
need it: skip connections carry the damage's fine texture past the bottleneck (docs/sample.md).

Look at   {files.figures["classes"]}
          each class: Seg-Grad-CAM weighs whole channels, Seg-HiRes-Grad CAM every place
          {files.figures["pixel_sets"]}
          one class: the whole image, the predicted pixels, one component, one pixel
          {files.figures["levels"]}
          one class at every level, from the encoder's first to the decoder's last
Open      {files.volume} with {files.labels.name} or a file of
          {files.folder / "heatmaps"} in any NIfTI viewer

Your own images and network (napari-cam COMMAND --help says more):
  napari-cam layers MODEL
  napari-cam explain IMAGE --model MODEL --method hirescam --class NAME --out results"""
    )
