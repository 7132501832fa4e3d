"""A small study on disk: an image with a telling name, its truth, a tiny network; a way to call."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from napari_cam.cli.main import main
from napari_cam.models.architectures.building import build
from napari_cam.models.card import ModelCard
from napari_cam.models.files.model_files import save_model
from napari_cam.models.loaded import LoadedModel, weights_sha256
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.sample.phantom import phantom

NAME = "doe_jane"  # in every input's name, and never in a result
OPTIONS = {"widths": (4, 6, 8), "pools": (2, 2, 1)}


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


Call = Callable[..., Ended]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Run a command in this process."""

    def run(*arguments: object) -> Ended:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return Ended(code, out, err)

    return run


def tiny_model(in_channels: int = 1, spatial_ndim: int = 2, n_classes: int = 2) -> LoadedModel:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(4)
        module = build("gap-cnn", n_classes, in_channels, spatial_ndim, **OPTIONS).eval()
    card = ModelCard(
        architecture="gap-cnn",
        task="classification",
        spatial_ndim=3 if spatial_ndim == 3 else 2,
        class_names=("healthy", "damaged", "other class")[:n_classes],
        in_channels=in_channels,
        preparation=Preparation.default(spatial_ndim, in_channels),
        architecture_options=OPTIONS,
    )
    return LoadedModel(module, card, weights_sha256(module))


@pytest.fixture(scope="session")
def study_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("template")
    sample = phantom(7, shape=(9, 48, 60), spacing=(2.5, 0.8, 0.6))
    # Stored as (x, y, z) and turned a little, so that no axis lies along the world's.
    turn = np.eye(4)
    angle = np.deg2rad(8)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    affine = turn @ sample.volume.affine[:, [2, 1, 0, 3]]
    for name, values in ((NAME, sample.volume.values), ("truth", sample.damage > 0.5)):
        stored = np.ascontiguousarray(values.T)
        image = nib.Nifti1Image(stored.astype(np.int16), affine)
        image.header["descrip"] = NAME.encode()
        nib.save(image, folder / f"{name}.nii.gz")
    save_model(tiny_model(), folder / "tiny.safetensors")
    return folder


@pytest.fixture
def study(study_template: Path, tmp_path: Path) -> Path:
    """A folder ``doe_jane`` with doe_jane.nii.gz, truth.nii.gz and tiny.safetensors."""
    folder = tmp_path / NAME
    shutil.copytree(study_template, folder)
    return folder


@pytest.fixture
def image(study: Path) -> Path:
    return study / f"{NAME}.nii.gz"


@pytest.fixture
def model(study: Path) -> Path:
    return study / "tiny.safetensors"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results"
