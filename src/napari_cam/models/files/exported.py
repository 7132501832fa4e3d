"""Networks of ``torch.export`` in ``.pt2`` files, read from a cleaned archive."""

from __future__ import annotations

import logging
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from napari_cam.errors import ModelError
from napari_cam.models.files.exported_archive import GRAPH, clean_archive


@dataclass(frozen=True, eq=False)
class ExportedNetwork:
    """A network out of a ``.pt2`` file and what its graph says about it.

    Attributes
    ----------
    module
        The network with its submodules, whose names are those of the exported one.
    in_channels, spatial_ndim
        Of its input.
    size
        *s where it was exported for one input size only, else None.
    n_classes
        Outputs, where the graph fixes them.
    task
        "segmentation" where the output is a map.
    """

    module: nn.Module
    in_channels: int
    spatial_ndim: Literal[2, 3]
    size: tuple[int, ...] | None
    n_classes: int | None
    task: Literal["classification", "segmentation"]


def is_exported(path: Path) -> bool:
    """Whether the file is an archive of ``torch.export.save``, of any version."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        names = {name.split("/", 1)[-1] for name in archive.namelist()}
    return bool(names & {GRAPH, "archive_format", "serialized_exported_program.json"})


def read_exported(path: Path) -> ExportedNetwork:
    """Read a ``.pt2`` file.

    Raises
    ------
    ModelError
        Where the file is damaged, holds more than plain weights and arithmetic, or a network that
        cannot be explained: several inputs, a fixed batch size, training mode.
    """
    try:
        archive = clean_archive(path)
        with _quiet():
            program = torch.export.load(archive)
            module = torch.export.unflatten(program)
    except ModelError:
        raise
    except (
        *(RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError),
        *(OSError, EOFError, SyntaxError, RecursionError, zipfile.BadZipFile),
    ) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(
            f"{path} is not a whole .pt2 file of this PyTorch's format ({lines[-1][:160]}); "
            "export the network again with the PyTorch that is installed here."
        ) from error
    return _describe(path, program, module)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch.export from reporting at length what is then said in one sentence."""
    logger = logging.getLogger("torch.export")
    disabled = logger.disabled
    logger.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled = disabled


def _describe(path: Path, program: Any, module: nn.Module) -> ExportedNetwork:
    shape = _shapes(program, program.graph_signature.user_inputs)
    if len(shape) != 1 or len(shape[0]) not in (4, 5) or not isinstance(shape[0][1], int):
        raise ModelError(
            f"{path} holds a network that does not take one batch of images (n, c, *spatial); "
            "wrap it in a module that does, and export that."
        )
    n, channels, *size = shape[0]
    if isinstance(n, int):
        raise ModelError(
            f"{path} was exported for batches of exactly {n}; export it again with "
            'dynamic_shapes=({0: torch.export.Dim("batch")},) and an example batch of 2.'
        )
    scores = [item for item in _shapes(program, program.graph_signature.user_outputs) if item]
    if not scores or len(scores[0]) < 2:
        raise ModelError(
            f"{path} holds a network that does not give scores (n, classes); wrap it in a module "
            "that does, and export that."
        )
    classes = scores[0][1]
    return ExportedNetwork(
        module=module.eval(),
        in_channels=channels,
        spatial_ndim=2 if len(size) == 2 else 3,
        size=tuple(size) if all(isinstance(pixels, int) for pixels in size) else None,
        n_classes=classes if isinstance(classes, int) else None,
        task="classification" if len(scores[0]) == 2 else "segmentation",
    )


def _shapes(program: Any, names: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Return the shapes of named values; what is no whole number in one may change."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    return [tuple(getattr(values.get(name), "shape", ())) for name in names]
