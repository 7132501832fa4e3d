"""Chunks: every number once, halved where memory runs out."""

from __future__ import annotations

import pytest
import torch

from napari_cam.cams.network.chunks import in_chunks


def test_every_number_once_and_in_order():
    seen = []
    in_chunks(lambda numbers: seen.append(numbers.tolist()), 7, 3, torch.device("cpu"))
    assert seen == [[0, 1, 2], [3, 4, 5], [6]]


def test_a_chunk_too_large_is_halved():
    seen = []

    def run(numbers):
        if len(numbers) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        seen.append(numbers.tolist())

    in_chunks(run, 11, 8, torch.device("cpu"))
    assert seen == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]


def test_what_does_not_fit_even_alone_is_said():
    def run(numbers):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.cuda.OutOfMemoryError):
        in_chunks(run, 4, 2, torch.device("cpu"))


def test_other_errors_are_not_swallowed():
    def run(numbers):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        in_chunks(run, 4, 2, torch.device("cpu"))
