"""``napari-cam demo``: the whole job on a volume whose truth is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_cam.cli.failures import ExitCode, guarded
from napari_cam.cli.folders import check_results, output_folder
from napari_cam.cli.options import Overwrite
from napari_cam.cli.terminal import show_notes, table

if TYPE_CHECKING:
    from napari_cam.cli.demo_files import DemoFiles
    from napari_cam.cli.demo_results import DemoResults


@guarded
def demo(
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder to write to.")
    ] = Path("napari-cam-demo"),
    overwrite: Overwrite = False,
    window: Annotated[
        bool, typer.Option("--window", help="Open the results in napari, where there is a display.")
    ] = False,
) -> ExitCode | None:
    """Try everything on a sample volume whose truth is known.

    A synthetic MRI of a fish fillet with freezing damage, and a small network that tells damaged
    slices from healthy ones: heatmaps of the fast methods, masks, overlap with the truth, picture.
    A folder that an earlier demo made is filled anew.
    """
    from napari_cam.cli.demo_files import DemoFiles, is_demo
    from napari_cam.cli.demo_results import compute_demo

    with (
        output_folder(out) as folder,
        output_folder(folder / "heatmaps"),
        output_folder(folder / "masks"),
    ):
        overwrite = overwrite or is_demo(folder)
        results = compute_demo()
        files = DemoFiles.plan(folder, results.maps)
        check_results(files.images, overwrite)
        files.write(results, overwrite)
    _report(results, files)
    if window:
        _open(files)
    return None


def _open(files: DemoFiles) -> None:
    """Show the results in napari, or say why not."""
    from napari_cam.cli.window import no_window_because, open_window

    reason = no_window_because()
    if reason is not None:
        typer.echo(f"\nNo window: {reason}. Everything is in {files.folder}.")
        return
    key = next(key for key in files.heatmaps if key.method.name == "gradcam")
    open_window(
        "show_demo",
        volume=str(files.volume),
        truth=str(files.truth),
        heatmap=str(files.heatmaps[key]),
        mask=str(files.masks[key]),
    )


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
    typer.echo(table(header, rows, right=range(1, 5)))
    typer.echo(
        f"""
IoU and Dice compare each Otsu mask with the true damage. Energy and peak inside are the share of a
heatmap's sum, and the share of slices whose maximum, lie in the damage; the last two rows need no
network. Grad-CAM, XGrad-CAM and HiResCAM agree here because the network pools right after the
layer; CAM keeps negative evidence, so that its zero is not where theirs is.

Look at   {files.sheet}
          blue line: the true damage; dashed: the mask; colours: the heatmap
Open      {files.volume} with a file of {files.folder / "heatmaps"} in any NIfTI viewer

Your own images and network (napari-cam COMMAND --help says more):
  napari-cam info IMAGE
  napari-cam layers MODEL
  napari-cam explain IMAGE --model MODEL --method gradcam --method hirescam --out results
  napari-cam mask results/heatmap_*.nii.gz --rule otsu --out masks"""
    )
