"""A private copy on another device is the network as it is now."""

from __future__ import annotations

import torch
from torch import nn

from napari_cam.cams.device import on_device
from tests.cams.networks import GapNet

ELSEWHERE = torch.device("meta")  # a device that every machine has


def test_a_network_stays_where_it_is():
    net = GapNet()
    assert on_device(net, torch.device("cpu")) is net
    copy = on_device(net, ELSEWHERE)
    assert all(parameter.is_meta for parameter in copy.parameters())
    assert not any(parameter.is_meta for parameter in net.parameters())


def test_the_copy_is_kept_until_the_network_changes():
    net = GapNet()
    first = on_device(net, ELSEWHERE)
    assert on_device(net, ELSEWHERE) is first
    with torch.no_grad():
        net.head.weight[1, 2] += 1
    trained = on_device(net, ELSEWHERE)
    assert trained is not first
    net.relu1 = nn.Tanh()  # no weight, but another network
    replaced = on_device(net, ELSEWHERE)
    assert isinstance(replaced.relu1, nn.Tanh)
    assert on_device(net, ELSEWHERE) is replaced
