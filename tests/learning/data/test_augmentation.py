"""Each image draws its own change, and the change is the one that was asked for."""

from __future__ import annotations

import pytest
import torch

from napari_cam.errors import TrainingError
from napari_cam.learning.data.augmentation import Augmentation


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_nothing_asked_nothing_changed() -> None:
    images = torch.rand(3, 1, 4, 5)
    assert torch.equal(Augmentation().apply(images, generator()), images)


def test_about_half_of_the_images_are_mirrored_along_the_axis() -> None:
    images = torch.rand(200, 2, 3, 4, 5)
    before = images.clone()
    changed = Augmentation(flips=(-2,)).apply(images, generator())
    assert torch.equal(images, before)
    mirrored = [torch.equal(new, old.flip(2)) for new, old in zip(changed, images, strict=True)]
    kept = [torch.equal(new, old) for new, old in zip(changed, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 70 < sum(mirrored) < 130


def test_shifts_are_whole_pixels_and_repeat_the_edge() -> None:
    row = torch.arange(10.0).expand(300, 1, 1, 10)
    changed = Augmentation(shift=0.25).apply(row, generator())[:, 0, 0]
    # Two of ten pixels at most; written out by hand.
    expected = {
        (2, 3, 4, 5, 6, 7, 8, 9, 9, 9),
        (1, 2, 3, 4, 5, 6, 7, 8, 9, 9),
        (0, 1, 2, 3, 4, 5, 6, 7, 8, 9),
        (0, 0, 1, 2, 3, 4, 5, 6, 7, 8),
        (0, 0, 0, 1, 2, 3, 4, 5, 6, 7),
    }
    assert {tuple(int(v) for v in image) for image in changed} == expected


def test_every_axis_shifts_by_its_own_draw() -> None:
    image = torch.zeros(1, 1, 9, 11)
    image[..., 4, 5] = 1
    changed = Augmentation(shift=0.3).apply(image.repeat(400, 1, 1, 1), generator())
    places = {tuple(place) for place in changed[:, 0].nonzero()[:, 1:].tolist()}
    assert places == {(y, x) for y in range(2, 7) for x in range(2, 9)}


def test_jitter_is_one_factor_per_image() -> None:
    changed = Augmentation(jitter=0.2).apply(torch.ones(500, 1, 3, 4), generator()).flatten(1)
    assert torch.equal(changed.min(dim=1).values, changed.max(dim=1).values)
    assert 0.8 <= changed.min() < 0.81
    assert 1.19 < changed.max() <= 1.2


def test_the_generator_decides() -> None:
    images, change = torch.rand(20, 1, 8, 9), Augmentation((-1,), 0.2, 0.1)
    first, again = change.apply(images, generator(3)), change.apply(images, generator(3))
    assert torch.equal(first, again)
    assert not torch.equal(first, change.apply(images, generator(4)))


@pytest.mark.parametrize("wrong", [{"flips": (0,)}, {"shift": 0.5}, {"jitter": -0.1}])
def test_what_is_refused(wrong: dict) -> None:
    with pytest.raises(TrainingError):
        Augmentation(**wrong)
    with pytest.raises(TrainingError, match="no axis -3"):
        Augmentation(flips=(-3,)).apply(torch.rand(2, 1, 4, 5), generator())
