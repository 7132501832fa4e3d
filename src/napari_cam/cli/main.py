"""The command ``napari-cam``. Heavy packages are imported within the commands that need them."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from napari_cam.cli.commands import calibrate, demo, ensemble, explain, export, mask, seeds, show
from napari_cam.cli.commands.report import agreement, association, faithfulness, overlap
from napari_cam.cli.failures import DEBUG, ExitCode

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,  # rich costs more time than all the rest of --help
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
report = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Judge whether maps are to be believed.\n\nBy a reference, by each other, by a "
    "measurement, or by the network itself.",
)


def _version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"napari-cam {version('napari-cam')}")
        raise typer.Exit


@app.callback()
def _global(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and warnings.")] = False,
    version: Annotated[  # noqa: ARG001 - answered by its callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Class activation maps for biomedical images: see where a trained network looked.

    Exit codes: 0 done, 1 an error that you can mend, 2 wrong usage, 3 done but for some items,
    70 a fault of napari-cam itself, 130 interrupted.
    """
    DEBUG.set(debug)


app.command()(demo.demo)
app.command()(explain.explain)
app.command()(mask.mask)
app.command()(ensemble.ensemble)
app.command()(calibrate.calibrate)
app.command()(seeds.seeds)
app.command()(export.export)
report.command()(overlap.overlap)
report.command()(agreement.agreement)
report.command()(association.association)
report.command()(faithfulness.faithfulness)
app.add_typer(report, name="report")
app.command()(show.info)
app.command()(show.layers)
app.command()(show.methods)
app.command()(show.architectures)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Parameters
    ----------
    arguments
        What stands after ``napari-cam``; None for the command line's.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" in given:  # wherever it was written
        given.remove("--debug")
        given.insert(0, "--debug")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # class names in letters the terminal lacks
    code: int | str | None
    try:
        typer.main.get_command(app).main(args=given, prog_name="napari-cam")
        code = ExitCode.DONE
    except SystemExit as end:
        code = end.code
    return _flushed(code if isinstance(code, int) else ExitCode.DONE)


def _flushed(code: int) -> int:
    """Return `code` once everything printed is on its way; a closed pipe is nothing to report."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code
