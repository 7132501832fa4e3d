"""A private copy on another device is the network as it is now."""

from __future__ import annotations

import threading
import time

import torch
from torch import nn

from napari_cam.cams.network.tap import tap
from napari_cam.models.device import exact_float32, on_device
from napari_cam.models.hooks import LayerRef
from tests.cams.networks import GapNet, image

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


class Slow(GapNet):
    """Says when it runs, and takes its time."""

    def __init__(self):
        super().__init__()
        self.started = threading.Event()
        self.relu1.register_forward_pre_hook(lambda *_: self.started.set() or time.sleep(0.2))

    def __deepcopy__(self, memo):
        made = GapNet()
        for own, other in zip(made.modules(), self.modules(), strict=True):
            own._forward_hooks.update(other._forward_hooks)
        return made


def test_a_copy_made_while_another_thread_explains_has_no_hooks_of_it():
    net = Slow()
    name = next(name for name, part in net.named_modules() if part is net.relu1)
    running = threading.Thread(target=tap, args=(net, image(), [LayerRef(name)]))
    running.start()
    net.started.wait()
    made = on_device(net, ELSEWHERE)
    running.join()
    assert not any(part._forward_hooks for part in made.modules())


def test_several_threads_compute_exactly_and_the_last_puts_the_settings_back():
    def settings():
        return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    before = settings()
    try:
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.allow_tf32 = True
        first, second = exact_float32(), exact_float32()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert settings() == ("highest", False)
        second.__exit__(None, None, None)
        assert settings() == ("high", True)
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
