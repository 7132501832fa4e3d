"""The shipped network looks where the damage is, on fillets it has never seen."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from evaluate import Localisation, evaluate, markdown
from napari_cam.cams.explain import explain_one
from napari_cam.errors import VolumeError
from napari_cam.learning.cohort.subjects import trained_on
from napari_cam.models.files.model_files import load_model
from napari_cam.models.loaded import LoadedModel
from napari_cam.sample import (
    SAMPLE_MODEL,
    load_sample_model,
    load_sample_phantom,
    load_sample_volume,
)
from napari_cam.sample.cohort import TEST, TRAINING, VALIDATION, slice_labels
from napari_cam.sample.phantom import Phantom
from napari_cam.statistics.intervals import Proportion
from napari_cam.volumes.volume import Volume
from slices import labelled_slices
from train import Network
from train import main as train_command


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_sample_model()


@pytest.fixture(scope="module")
def found(model: LoadedModel) -> Localisation:
    return evaluate(model, TEST.phantoms(7), random_networks=2)


def test_peaks_lie_in_the_damage(found: Localisation) -> None:
    assert found.peak_inside.n >= 40
    assert found.peak_inside.share >= 0.9


@pytest.mark.parametrize(
    "baseline", ["area", "centred Gaussian", "image intensity", "random weights"]
)
def test_energy_beats_knowing_nothing(found: Localisation, baseline: str) -> None:
    mean, low, _ = found.lead("Grad-CAM", baseline)
    assert mean > 0.3
    assert low > 0.2
    assert found.wins("Grad-CAM", baseline).share >= 0.9
    assert found.energy[baseline].mean() < 0.2


def test_it_tells_the_classes_apart(found: Localisation) -> None:
    assert found.healthy.interval[0] > 0.85
    assert found.damaged.share > 0.8
    assert found.accuracy.share > 0.9


def test_gradcam_is_the_heads_weights_times_the_last_map(model: LoadedModel) -> None:
    """For pooling and one linear layer: ReLU(w_c A) / Z, drawn up with torch's own resize."""
    one = load_sample_phantom()
    z = 13
    batch = torch.from_numpy(model.card.preparation.bind(one.volume).batch([z]))
    with torch.no_grad():
        maps = model.module.features(batch)
        cam = torch.einsum("k,nkhw->nhw", model.module.head.weight[1], maps).relu()
    shown = functional.interpolate(cam[:, None], size=one.volume.shape[1:], mode="bilinear")
    heatmap = explain_one(model, one.volume, "gradcam", "damaged", normalize="none", units=[z])
    expected = shown[0, 0].numpy() / maps[0, 0].numel()
    np.testing.assert_allclose(heatmap.values[z], expected, atol=1e-6 * expected.max())
    assert maps.shape[2:] == (24, 32)


def test_the_sample_volume_and_its_healthy_twin(model: LoadedModel) -> None:
    damaged, healthy = load_sample_phantom(), load_sample_phantom("healthy")
    labels = slice_labels(damaged)
    assert (labels == 1).sum() >= 10
    assert (labels == 0).sum() >= 5
    same = load_sample_volume("damaged").values == damaged.volume.values
    assert same.all()
    with torch.no_grad():
        scores = [
            model.module(torch.from_numpy(model.card.preparation.bind(one.volume).batch(range(22))))
            for one in (damaged, healthy)
        ]
    predicted = [score.argmax(dim=1).numpy() for score in scores]
    assert (predicted[0][labels >= 0] == labels[labels >= 0]).mean() > 0.9
    assert (predicted[1] == 0).mean() > 0.9
    with pytest.raises(VolumeError, match="'frozen'"):
        load_sample_phantom("frozen")  # type: ignore[arg-type]


def test_the_file_is_small_and_its_card_whole(model: LoadedModel) -> None:
    card, notes = model.card, model.card.training
    assert SAMPLE_MODEL.stat().st_size < 1_000_000
    assert card.class_names == ("healthy", "damaged")
    assert notes["metrics"]["validation_accuracy"]["share"] > 0.9
    assert notes["test"]["peak_inside_damage"]["share"] >= 0.9
    assert notes["test"]["peak_inside_damage"]["n"] >= 200
    assert len(notes["subjects"]["sha256"]) == TRAINING.n
    assert trained_on(notes, "phantom 3")
    assert trained_on(notes, f"phantom {TEST.first_seed}") is False
    assert trained_on(notes, f"phantom {load_sample_phantom().seed}") is False


def test_the_cohorts_share_no_seed() -> None:
    seeds = [range(c.first_seed, c.first_seed + c.n) for c in (TRAINING, VALIDATION, TEST)]
    every = [seed for part in seeds for seed in part] + [load_sample_phantom().seed]
    assert len(set(every)) == len(every)
    assert [one.damage.any() for one in TEST.phantoms(4)] == [True, True, True, False]


def test_slices_with_a_little_damage_count_as_neither() -> None:
    tissue = np.zeros((4, 10, 20), bool)
    tissue[:, :, 5:15] = True  # 100 pixels in each slice
    damage = np.zeros(tissue.shape, np.float32)
    damage[1, 0, 5:7] = 0.6  # 2 of 100
    damage[2, 0, 5:8] = 0.6  # 3 of 100
    damage[3, 0, 5:15] = 0.4
    one = Phantom(Volume.from_array(np.zeros(tissue.shape)), damage, tissue, 0)
    assert slice_labels(one).tolist() == [0, -1, 1, -1]


def test_leads_are_means_of_paired_differences() -> None:
    energy = {"Grad-CAM": np.array([0.9, 0.5, 0.4]), "area": np.array([0.1, 0.1, 0.6])}
    peak = {name: np.ones(3) for name in energy}
    found = Localisation(energy, peak, np.array([4, 4, 9]), Proportion(7, 8), Proportion(2, 4))
    mean, low, high = found.lead("Grad-CAM", "area")
    # Volumes have mean leads of 0.6 and -0.2, and one of the two is all there is in many draws.
    assert (mean, low, high) == pytest.approx((1 / 3, -0.2, 0.6))
    assert found.wins("Grad-CAM", "area") == Proportion(2, 3)
    assert found.accuracy == Proportion(9, 12)
    assert "| area | 0.267 | +0.333 (-0.200 to +0.600) | 66.7 % |" in markdown(found)


def test_the_command_trains_tests_and_saves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.safetensors"
    train_command(Network.CLASSIFIER, out, volumes=4, epochs=1, test_volumes=1, seed=2)
    said = capsys.readouterr().out
    saved = load_model(out)
    assert "epoch 1/1" in said
    assert "| random weights |" in said
    assert saved.card.training["seed"] == 2
    assert saved.card.training["test"]["accuracy"]["n"] > 10
    slices = labelled_slices(TRAINING, 4)
    assert saved.card.training["images_per_class"]["training"] == [
        int((slices.labels == 0).sum()),
        int((slices.labels == 1).sum()),
    ]
    assert set(slices.subjects) == {f"phantom {seed}" for seed in range(4)}


def test_importing_the_sample_loads_no_torch() -> None:
    code = (
        "import json, sys, napari_cam.sample as s; s.load_sample_volume();"
        "print(json.dumps('torch' in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) is False
