"""Chunks: any size gives the same scores, and what does not fit is halved."""

from __future__ import annotations

import pytest
import torch

from napari_cam.cams.network import rescoring
from napari_cam.cams.network.rescoring import Rescorer
from napari_cam.cams.network.tap import tap
from napari_cam.cams.targets.scores import ClassScore
from napari_cam.models.hooks import LayerRef
from tests.cams.networks import MlpNet, image, seeded

LAYER = LayerRef("relu2")


class Hungry(MlpNet):
    """Runs out of memory where more than `most` images come at once."""

    most = 1000

    def forward(self, x):
        self.seen.append(len(x))
        if len(x) > self.most:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return super().forward(x)


def rescorer_of(net, x) -> Rescorer:
    tapped = tap(net, x, [LAYER])
    read = ClassScore(1).read(tapped.output)
    return Rescorer(net, x, LAYER, tapped.activations[LAYER].detach(), read)


def network():
    net = seeded(Hungry())
    net.seen = []
    return net, image()


def masks(count, x):
    drawn = torch.rand((count, 1, *x.shape[2:]), generator=torch.Generator().manual_seed(4))
    return lambda numbers: x[2] * drawn[numbers]


@pytest.mark.parametrize("rows", [1, 3, 7, 64])
def test_chunks_do_not_matter(rows, monkeypatch):
    net, x = network()
    rescorer = rescorer_of(net, x)
    make = masks(11, x)
    with torch.no_grad():
        expected = net.eval()(make(torch.arange(11)))[:, 1]
    row = x[0].numel() * x.element_size()
    monkeypatch.setitem(rescoring._INPUT_BYTES, "cpu", rows * row)
    net.seen.clear()
    torch.testing.assert_close(rescorer.score_inputs(make, 11, 2), expected)
    assert max(net.seen) == min(rows, 11)


def test_memory_that_runs_out_halves_the_chunk_for_good():
    net, x = network()
    rescorer = rescorer_of(net, x)
    make = masks(20, x)
    expected = rescorer.score_inputs(make, 20, 2)
    net.most = 3
    net.seen.clear()
    torch.testing.assert_close(rescorer.score_inputs(make, 20, 2), expected)
    assert net.seen == [20, 10, 5, *[2] * 10]
    net.seen.clear()
    rescorer.score_inputs(make, 4, 2)
    assert net.seen == [2, 2]


def test_one_variant_that_does_not_fit_is_an_error():
    net, x = network()
    rescorer = rescorer_of(net, x)
    net.most = 0
    with pytest.raises(torch.cuda.OutOfMemoryError):
        rescorer.score_inputs(masks(5, x), 5, 2)
    assert net.seen[-3:] == [5, 2, 1]


@pytest.mark.parametrize("most", [1000, 2, 1])
def test_activations_equal_the_full_network(most):
    net, x = network()
    rescorer = rescorer_of(net, x)
    net.most = most
    A = rescorer.activations[1]
    factors = torch.rand((9, *A.shape), generator=torch.Generator().manual_seed(5))
    found = rescorer.score_activations(lambda numbers: A * factors[numbers], 9, 1)
    with torch.no_grad():
        hidden = torch.tanh(net.hidden(net.pool(A * factors).flatten(1)))
        expected = net.head(hidden)[:, 1]
    torch.testing.assert_close(found, expected)


def test_another_network_runs_where_only_inputs_change():
    net, x = network()
    rescorer = rescorer_of(net, x)
    fast = seeded(MlpNet())
    with torch.no_grad():
        fast.head.bias += 7
    rescorer = Rescorer(net, x, LAYER, rescorer.activations, rescorer.scored, faster=fast)
    plain = rescorer_of(net, x).score_inputs(masks(3, x), 3, 2)
    torch.testing.assert_close(rescorer.score_inputs(masks(3, x), 3, 2), plain + 7)


def test_a_network_that_needs_the_plain_layout_gets_it():
    class Views(Hungry):
        def forward(self, x):
            maps = self.pool(self.relu2(self.second(self.relu1(self.first(x)))))
            return self.head(torch.tanh(self.hidden(maps.view(len(x), -1))))

    net, x = network()
    expected = rescorer_of(net, x).score_inputs(masks(5, x), 5, 2)
    views = seeded(Views())
    torch.testing.assert_close(rescorer_of(views, x).score_inputs(masks(5, x), 5, 2), expected)


def test_no_variants_are_no_scores():
    net, x = network()
    assert rescorer_of(net, x).score_inputs(masks(1, x), 0, 0).shape == (0,)
