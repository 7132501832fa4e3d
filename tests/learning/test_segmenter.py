"""Training on labelled pixels: the loss by hand, labels that move with their pixels, learning."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_cam.errors import TrainingError
from napari_cam.learning.data.augmentation import Augmentation
from napari_cam.learning.segmenter import train_segmenter
from napari_cam.learning.training.losses import dice_and_cross_entropy, soft_dice
from napari_cam.models.preparation.preparation import Preparation

NAMES = ("background", "bright", "dark")
PREPARATION = Preparation.default(2, 1)
OPTIONS: dict[str, Any] = {"architecture_options": {"widths": (4, 6)}, "device": "cpu"}


def squares(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return noise (n, 1, 16, 20) with a bright and a dark square, and where they are."""
    rng = np.random.default_rng(seed)
    images = rng.normal(0.5, 0.05, (n, 1, 16, 20)).astype(np.float32)
    labels = np.zeros((n, 16, 20), np.int64)
    for image, label in zip(images, labels, strict=True):
        for number, change in ((1, 0.4), (2, -0.4)):
            y, x = rng.integers(0, 10), rng.integers(0, 7) + 10 * (number == 2)
            image[0, y : y + 5, x : x + 3] += change
            label[y : y + 5, x : x + 3] = number
    return images, labels


def test_dice_and_cross_entropy_by_hand() -> None:
    """Two pixels in two images, classes with the shares (1/4, 3/4) and (1/2, 1/2)."""
    logits = torch.tensor([[[[0.0]], [[np.log(3.0)]]], [[[0.0]], [[0.0]]]])
    labels = torch.tensor([[[1]], [[0]]])
    # Of class 1: both 3/4, predicted 3/4 + 1/2, true 1; one is added above and below.
    dice = (2 * 0.75 + 1) / (1.25 + 1 + 1)
    assert soft_dice(logits, labels).item() == pytest.approx(dice)
    cross_entropy = (np.log(4 / 3) + np.log(2)) / 2
    loss = dice_and_cross_entropy(logits, labels, None)
    assert loss.item() == pytest.approx(cross_entropy + 1 - dice)


def test_labels_move_with_their_pixels() -> None:
    labels = torch.randint(0, 5, (6, 9, 13), generator=torch.Generator().manual_seed(1))
    images = labels[:, None].float().repeat(1, 2, 1, 1)
    augmentation = Augmentation(flips=(-1, -2), shift=0.2)
    moved, classes = augmentation.apply_with_labels(
        images, labels, torch.Generator().manual_seed(3)
    )
    assert not torch.equal(classes, labels)
    assert classes.dtype == torch.int64
    torch.testing.assert_close(moved[:, 1].long(), classes, rtol=0, atol=0)
    alone = augmentation.apply(images, torch.Generator().manual_seed(3))
    torch.testing.assert_close(alone, moved, rtol=0, atol=0)


def test_intensities_change_and_labels_do_not() -> None:
    images, labels = torch.ones(4, 1, 5, 7), torch.ones(4, 5, 7, dtype=torch.int64)
    generator = torch.Generator().manual_seed(0)
    moved, classes = Augmentation(jitter=0.5).apply_with_labels(images, labels, generator)
    assert moved.std() > 0.1
    assert torch.equal(classes, labels)
    moved, classes = Augmentation(flips=(-1,)).apply_with_labels(images, labels[:, 0, 0], generator)
    assert classes.shape == (4,)


def test_it_learns_and_says_so() -> None:
    images, labels = squares(32, 0)
    model = train_segmenter(
        *(images, labels, NAMES, PREPARATION),
        validation=squares(8, 1),
        epochs=12,
        learning_rate=0.02,
        subjects=[f"one {n % 4}" for n in range(32)],
        **OPTIONS,
    )
    others, truth = squares(16, 2)
    with torch.no_grad():
        predicted = model.module(torch.from_numpy(others)).argmax(1).numpy()
    for number in (1, 2):
        both = ((predicted == number) & (truth == number)).sum()
        assert 2 * both / ((predicted == number).sum() + (truth == number).sum()) > 0.85
    card = model.card
    assert (card.task, card.class_names, card.default_layer) == (
        "segmentation",
        NAMES,
        "bottleneck",
    )
    assert card.training["loss"]["name"] == "Dice + cross-entropy"
    assert card.training["pixels_per_class"]["training"] == [32 * (320 - 30), 480, 480]
    assert len(card.training["subjects"]["sha256"]) == 4
    assert card.training["metrics"]["validation_accuracy"] > 0.9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": np.zeros((2, 16, 19), int)}, "one class number per pixel"),
        ({"labels": np.zeros((2, 16, 20))}, "not float64"),
        ({"labels": np.full((2, 16, 20), 3)}, "run from 3 to 3, but there are 3 classes"),
        ({"labels": np.full((2, 16, 20), -1)}, "run from -1"),
        ({"images": np.full((2, 1, 16, 20), np.nan)}, "NaN"),
        ({"architecture": "gap-cnn", "architecture_options": {}}, "choose a segmentation network"),
        ({"subjects": ["one"]}, "2 training images but 1 subjects"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(change: dict[str, Any], words: str) -> None:
    images, labels = squares(2, 0)
    given = {"images": images, "labels": labels, **OPTIONS, **change}
    with pytest.raises(TrainingError, match=words):
        train_segmenter(**given, class_names=NAMES, preparation=PREPARATION, epochs=1)
