"""The shipped U-Net outlines the damage of fillets it has never seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import napari_cam as nc
from napari_cam.errors import ModelError
from napari_cam.learning.cohort.subjects import trained_on
from napari_cam.learning.segmenter import predict_labels
from napari_cam.models.loaded import LoadedModel
from napari_cam.sample import SAMPLE_UNET, load_sample_model, load_sample_phantom
from napari_cam.sample.cohort import TEST, TRAINING, VOXEL_CLASSES, voxel_labels
from napari_cam.sample.phantom import Phantom
from napari_cam.statistics.bootstrap import pooled_ratio
from napari_cam.volumes.volume import Volume
from overlap import Overlap, overlap
from slices import SLICE_STEP, labelled_pixels
from train import Network
from train import main as train_command

DAMAGED = 2


@pytest.fixture(scope="module")
def model() -> LoadedModel:
    return load_sample_model("segmentation")


def test_it_segments_unseen_fillets(model: LoadedModel) -> None:
    found = overlap(model, TEST.phantoms(4))
    assert found.dice("background")[0] > 0.98
    assert found.dice("tissue")[0] > 0.95
    dice, low, high = found.dice("damaged")
    assert 0.8 < dice < 1
    assert low <= dice <= high


def test_labels_are_the_argmax_of_torch_alone(model: LoadedModel) -> None:
    """Each slice between its percentiles 0.5 and 99.5, as the card says."""
    one = load_sample_phantom()
    slices = one.volume.values[12:14].astype(np.float64)
    low, high = (np.percentile(slices, q, axis=(1, 2), keepdims=True) for q in (0.5, 99.5))
    batch = ((slices - low) / (high - low)).clip(0, 1)[:, None]
    with torch.no_grad():
        expected = model.module(torch.from_numpy(batch.astype(np.float32))).argmax(1).numpy()
    found = predict_labels(model, one.volume)[12:14]
    assert (found != expected).mean() < 1e-3
    assert set(np.unique(found)) == {0, 1, 2}


def test_the_healthy_twin_has_little_damage(model: LoadedModel) -> None:
    damaged, healthy = (
        (predict_labels(model, load_sample_phantom(name).volume) == DAMAGED).sum()
        for name in ("damaged", "healthy")
    )
    assert damaged > 20 * healthy


def test_seg_hirescam_of_damage_lies_in_the_predicted_damage(model: LoadedModel) -> None:
    """Far more than chance, which is the share of the slice that the predicted damage takes."""
    one = load_sample_phantom()
    units, target = [10, 13, 16], nc.RegionScore("damaged")
    methods = ["gradcam", "hirescam"]
    maps = nc.explain(model, one.volume, methods, target, units=units, normalize="none")
    region = (predict_labels(model, one.volume) == DAMAGED)[units]
    energies = [
        maps[method].values[units][region].sum() / maps[method].values[units].sum()
        for method in methods
    ]
    assert energies[1] > 8 * region.mean()
    assert energies[1] > energies[0] + 0.3
    assert maps["hirescam"].provenance["layer"] == "encoder.1"


def flattened(maps: torch.Tensor) -> torch.Tensor:
    return maps.mean((0, 2, 3), keepdim=True).expand_as(maps)


def test_it_sees_damage_in_its_second_level_and_not_in_the_bottleneck(model: LoadedModel) -> None:
    """The known answer to "which level": replaced by its means, one costs nothing, one much."""
    network, phantoms = model.module, list(TEST.phantoms(2))

    def damaged() -> float:
        return overlap(model, phantoms).dice("damaged")[0]

    whole = damaged()
    hook = network.bottleneck.register_forward_hook(lambda *called: flattened(called[-1]))
    without_bottleneck = damaged()
    hook.remove()

    def without_skip(_: nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        skip, risen = inputs[0].split(24, dim=1)
        return (torch.cat([flattened(skip), risen], dim=1),)

    hook = network.decoder[1].register_forward_pre_hook(without_skip)
    without_level = damaged()
    hook.remove()
    assert without_bottleneck == pytest.approx(whole, abs=0.01)
    assert without_level < whole - 0.25


def test_the_file_is_small_and_its_card_whole(model: LoadedModel) -> None:
    card, notes = model.card, model.card.training
    assert SAMPLE_UNET.stat().st_size < 1_500_000
    assert (card.task, card.class_names) == ("segmentation", VOXEL_CLASSES)
    assert card.default_layer == "encoder.1"
    assert notes["test"]["volumes"] == TEST.n
    for stated in notes["test"]["dice"].values():
        low, high = stated["interval"]
        assert 0.8 < low <= stated["dice"] <= high < 1
    assert len(notes["subjects"]["sha256"]) == TRAINING.n
    assert trained_on(notes, "phantom 3")
    assert trained_on(notes, f"phantom {TEST.first_seed}") is False
    assert trained_on(notes, f"phantom {load_sample_phantom().seed}") is False


def test_there_is_no_third_network() -> None:
    assert load_sample_model().card.task == "classification"
    with pytest.raises(ModelError, match="no sample network for 'detection'"):
        load_sample_model("detection")  # type: ignore[arg-type]


def test_voxels_are_background_tissue_or_damaged() -> None:
    tissue = np.zeros((1, 3, 4), bool)
    tissue[0, 1] = True
    damage = np.zeros(tissue.shape, np.float32)
    damage[0, 1, :3] = 0.5, 0.51, 1
    one = Phantom(Volume.from_array(np.zeros(tissue.shape)), damage, tissue, 0)
    assert voxel_labels(one)[0].tolist() == [[0, 0, 0, 0], [1, 2, 2, 1], [0, 0, 0, 0]]


def test_dice_counts_all_voxels_together() -> None:
    found = Overlap(("a", "b"), np.array([[4, 0], [1, 2]]), np.array([[10, 1], [6, 5]]))
    dice, low, high = found.dice("a")
    # Volumes alone have 8 / 10 and 2 / 6.
    assert (dice, low, high) == pytest.approx((10 / 16, 2 / 6, 8 / 10))
    assert found.dice("b") == pytest.approx((4 / 6, 0, 4 / 5))
    assert "| a | 0.625 | 0.333 to 0.800 |" in found.markdown()
    assert found.to_json()["dice"]["b"]["dice"] == 0.6667


def test_ratios_draw_whole_volumes() -> None:
    ratio, low, high = pooled_ratio(np.array([3.0, 3.0, 3.0]), np.array([4, 4, 4]))
    assert (ratio, low, high) == (0.75, 0.75, 0.75)
    # Half of the draws of two hold the empty one once, a quarter nothing else.
    assert pooled_ratio(np.array([3.0, 0]), np.array([4, 0])) == (0.75, 0.75, 0.75)


def test_training_slices_have_their_own_labels() -> None:
    found = labelled_pixels(TRAINING, 2)
    first, second = TRAINING.phantoms(2)
    expected = [voxel_labels(first)[0::SLICE_STEP], voxel_labels(second)[1::SLICE_STEP]]
    np.testing.assert_array_equal(found.labels, np.concatenate(expected))
    assert found.images.shape == (len(found.labels), 1, 96, 128)
    assert found.subjects.count("phantom 0") == len(expected[0])


def test_the_command_trains_tests_and_saves(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "small.safetensors"
    train_command(Network.UNET, out, volumes=4, epochs=1, test_volumes=1, seed=2)
    said = capsys.readouterr().out
    saved = nc.load_model(out)
    assert "epoch 1/1" in said
    assert "| damaged |" in said
    assert saved.card.training["seed"] == 2
    assert saved.card.training["test"]["volumes"] == 1
    assert saved.card.architecture == "unet"
