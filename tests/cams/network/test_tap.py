"""The graph cut: right gradients whatever the network does, and nothing left behind."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from napari_cam.cams.network.tap import tap
from napari_cam.cams.raw import raw_cams
from napari_cam.errors import LayerError, ModelError
from napari_cam.models.hooks import POOLING_INPUT, LayerRef, plain_module
from napari_cam.models.layers.pooling import find_pooling
from tests.cams.networks import GapNet, MlpNet, SharedNet, SkipNet, TupleNet, image, seeded

pytestmark = pytest.mark.quick


def opened(module, layers, x, class_index=1):
    tapped = tap(module, x, [LayerRef.parse(layer) for layer in layers])
    gradients = tapped.gradients(tapped.output[:, class_index])
    return {
        str(layer): (tapped.activations[layer].detach(), gradients[layer]) for layer in gradients
    }


def full_graph(module, x, run, class_index=1):
    """A and G from autograd through a forward pass written out by hand."""
    module.eval()
    kept, output = run(x)
    return [
        (a.detach(), torch.autograd.grad(output[:, class_index].sum(), a, retain_graph=True)[0])
        for a in kept
    ]


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("inplace", [False, True])
def test_equals_autograd_through_the_whole_network(ndim, inplace):
    net = seeded(MlpNet(ndim, inplace))

    def by_hand(x):
        first = net.first(x)
        relu1 = torch.relu(first)
        second = net.second(relu1)
        relu2 = torch.relu(second)
        hidden = torch.tanh(net.hidden(net.pool(relu2).flatten(1)))
        return [first, relu1, second, relu2], net.head(hidden)

    x = image(ndim)
    found = opened(net, ["first", "relu1", "second", "relu2"], x)
    expected = full_graph(net, x, by_hand)
    for (a, g), (a_ref, g_ref) in zip(found.values(), expected, strict=True):
        torch.testing.assert_close(a, a_ref)
        torch.testing.assert_close(g, g_ref, rtol=1e-5, atol=1e-7)


def test_two_layers_at_once_equal_each_alone():
    net, x = seeded(MlpNet()), image()
    together = opened(net, ["relu2", "first"], x)
    for layer in ("first", "relu2"):
        alone = opened(net, [layer], x)[layer]
        torch.testing.assert_close(together[layer][0], alone[0])
        torch.testing.assert_close(together[layer][1], alone[1])


def test_in_place_relu_does_not_change_what_was_met():
    x = image()
    plain, inplace = (opened(seeded(MlpNet(inplace=flag)), ["second"], x) for flag in (False, True))
    torch.testing.assert_close(plain["second"][0], inplace["second"][0])
    assert (inplace["second"][0] < 0).any(), "the layer before the ReLU is met before the ReLU"


def test_shared_module_states_its_call():
    net, x = seeded(SharedNet()), image()

    def by_hand(x):
        one = net.relu(net.shared(net.inlet(x)))
        two = net.relu(net.shared(one))
        return [one, two], net.head(torch.tanh(two).mean((2, 3)))

    found = opened(net, ["relu#1", "relu#2"], x)
    for (a, g), (a_ref, g_ref) in zip(found.values(), full_graph(net, x, by_hand), strict=True):
        torch.testing.assert_close(a, a_ref)
        torch.testing.assert_close(g, g_ref)
    with pytest.raises(LayerError, match=r"runs 2 times .* 'relu#1' to 'relu#2'"):
        opened(net, ["relu"], x)
    with pytest.raises(LayerError, match="'relu' runs 2 times"):
        opened(net, ["relu#3"], x)


def test_tuple_outputs_and_dict_outputs():
    net, x = seeded(TupleNet()), image()
    found = opened(net, ["backbone[0]", "backbone[1]"], x)
    assert found["backbone[0]"][0].shape == (3, 4, 10, 12)
    # d logit_1 / d fine = (w_fine + what flows through coarse); coarse by max: one place a channel.
    coarse = found["backbone[1]"][1]
    assert (coarse != 0).flatten(2).sum(2).eq(1).all()
    torch.testing.assert_close(coarse.flatten(2).sum(2)[0], net.head.weight[1, 4:].detach())
    with pytest.raises(LayerError, match=r"'backbone\[0\]', 'backbone\[1\]'"):
        opened(net, ["backbone"], x)


def test_skip_connection_keeps_its_constant_part():
    net, x = seeded(SkipNet()).eval(), image()

    def by_hand(x):
        skip = torch.relu(net.encoder(x))
        bottom = net.bottleneck(skip)
        joined = torch.relu(net.norm(torch.cat([skip, net.up(torch.relu(bottom))], dim=1)))
        return [bottom, joined], net.head(joined.mean((2, 3)))

    (bottom, joined) = full_graph(net, x, by_hand)
    found = opened(net, ["bottleneck"], x)["bottleneck"]
    torch.testing.assert_close(found[1], bottom[1], rtol=1e-5, atol=1e-8)
    # What enters pooling is no module's output: the ReLU in between is functional and in place.
    assert find_pooling(net, x).name == POOLING_INPUT
    a, g = opened(net, [POOLING_INPUT], x)[POOLING_INPUT]
    torch.testing.assert_close(a, joined[0])
    torch.testing.assert_close(g, joined[1])


@pytest.mark.parametrize("by_name", [False, True])
def test_every_pooling_of_one_tensor_counts(by_name):
    class TwoPoolings(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(2, 4, 3)
            self.head = nn.Linear(8, 3)

        def forward(self, x):
            return self.top(torch.relu(self.conv(x)))

        def top(self, a):
            most = a.flatten(2).amax(dim=2)
            mean = torch.mean(input=a, dim=(2, 3)) if by_name else a.mean((2, 3))
            return self.head(torch.cat([most, mean], dim=1))

    net, x = seeded(TwoPoolings()), image()
    a = torch.relu(net.conv(x)).detach().requires_grad_()
    (expected,) = torch.autograd.grad(net.top(a)[:, 1].sum(), a)
    found = opened(net, [POOLING_INPUT], x)[POOLING_INPUT]
    torch.testing.assert_close(found[0], a.detach())
    torch.testing.assert_close(found[1], expected)


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "frozen", "half_frozen"])
def test_works_whatever_grad_mode_and_flags_are(mode):
    net, x = seeded(MlpNet()), image()
    expected = opened(net, ["relu1"], x)["relu1"][1]
    if mode == "frozen":
        net.requires_grad_(False)
    if mode == "half_frozen":
        net.first.requires_grad_(False)
    flags = [p.requires_grad for p in net.parameters()]
    context = {"no_grad": torch.no_grad, "inference_mode": torch.inference_mode}.get(
        mode, torch.enable_grad
    )
    hirescam = raw_cams(net, x, "hirescam", 1, "relu1")["hirescam"]
    with context():
        found = raw_cams(net, x, "hirescam", 1, "relu1")["hirescam"]
    torch.testing.assert_close(found, hirescam)
    torch.testing.assert_close(opened(net, ["relu1"], x)["relu1"][1], expected)
    assert [p.requires_grad for p in net.parameters()] == flags


def test_network_that_switches_gradients_off_itself():
    class Careful(MlpNet):
        def forward(self, x):
            with torch.no_grad():
                x = self.relu2(self.second(self.relu1(self.first(x))))
            return self.head(torch.tanh(self.hidden(self.pool(x).flatten(1))))

    x = image()
    found = opened(seeded(Careful()), ["relu2"], x)["relu2"][1]
    torch.testing.assert_close(found, opened(seeded(MlpNet()), ["relu2"], x)["relu2"][1])


class Untouched:
    """Everything of a module that must be as before."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.before = self.look()

    def look(self):
        parts = list(self.module.modules())
        return {
            "training": [part.training for part in parts],
            "hooks": [
                (len(p._forward_hooks), len(p._forward_pre_hooks), len(p._backward_hooks))
                for p in parts
            ],
            "flags": [p.requires_grad for p in self.module.parameters()],
            "grads": [None if p.grad is None else p.grad.clone() for p in self.module.parameters()],
            "state": {k: v.clone() for k, v in self.module.state_dict().items()},
            "rng": torch.get_rng_state(),
            "grad mode": torch.is_grad_enabled(),
        }

    def check(self) -> None:
        now = self.look()
        for name in ("training", "hooks", "flags", "grad mode"):
            assert now[name] == self.before[name], name
        assert torch.equal(now["rng"], self.before["rng"])
        for old, new in zip(self.before["grads"], now["grads"], strict=True):
            assert (old is None and new is None) or torch.equal(old, new)
        for key, value in self.before["state"].items():
            assert torch.equal(now["state"][key], value), key


def busy_network():
    """In training mode but for one part, with gradients, a hook, dropout and running statistics."""
    net = seeded(SkipNet())
    net.train()
    net.encoder.eval()
    net.encoder.weight.requires_grad_(False)
    net.head.weight.grad = torch.ones_like(net.head.weight)
    net.bottleneck.register_forward_hook(lambda *_: None)
    net.add_module("dropout", nn.Dropout(0.5))
    net.register_forward_pre_hook(lambda module, args: (module.dropout(args[0]),))
    return net


def test_network_is_left_as_found():
    net = busy_network()
    untouched = Untouched(net)
    first = opened(net, ["bottleneck", "pooling-input"], image())
    untouched.check()
    again = opened(net, ["bottleneck", "pooling-input"], image())
    for layer, (a, g) in first.items():
        assert torch.equal(a, again[layer][0])
        assert torch.equal(g, again[layer][1])


@pytest.mark.parametrize(
    ("layers", "shape", "error", "sentence"),
    [
        (["nowhere"], (1, 2, 10, 12), LayerError, "has no layer 'nowhere'"),
        (["bottlneck"], (1, 2, 10, 12), LayerError, "did you mean bottleneck"),
        (["head"], (1, 2, 10, 12), LayerError, "holds no map"),
        (["dropout#7"], (1, 2, 10, 12), LayerError, "was not met"),
        (["bottleneck"], (1, 3, 10, 12), ModelError, "does not run on an input of shape"),
    ],
)
def test_network_is_left_as_found_after_an_error(layers, shape, error, sentence):
    net = busy_network()
    untouched = Untouched(net)
    with pytest.raises(error, match=sentence):
        opened(net, layers, torch.zeros(shape))
    untouched.check()


def test_network_is_left_as_found_after_a_cancel_inside_the_forward_pass():
    net = busy_network()

    def interrupt(*_):
        raise KeyboardInterrupt

    handle = net.up.register_forward_hook(interrupt)
    untouched = Untouched(net)
    with pytest.raises(KeyboardInterrupt):
        opened(net, ["bottleneck"], image())
    untouched.check()
    handle.remove()


def test_two_threads_on_one_network_take_turns():
    net = seeded(MlpNet())
    expected = opened(net, ["relu2"], image())["relu2"][1]
    found = []

    def work():
        found.extend(opened(net, ["relu2"], image())["relu2"][1] for _ in range(10))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 40
    assert all(torch.equal(gradient, expected) for gradient in found)
    assert not net.relu2._forward_hooks


def test_nothing_below_the_cut_is_stored():
    # Autograd keeps tensors for backward; below the cut none may be kept.
    net, x, kept = seeded(MlpNet()), image(), []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        tap(net, x, [LayerRef("relu2")])
    assert kept
    assert (3, 4, 10, 12) not in kept, "activations of the first convolution were stored"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_mixed_precision_stays_close(dtype):
    net, x = seeded(MlpNet()), image()
    exact = tap(net, x, [LayerRef("relu2")])
    mixed = tap(net, x, [LayerRef("relu2")], autocast=dtype)
    g = exact.gradients(exact.output[:, 0])[LayerRef("relu2")]
    g_mixed = mixed.gradients(mixed.output[:, 0])[LayerRef("relu2")]
    assert g_mixed.dtype == torch.float32
    tolerance = {torch.bfloat16: 3e-2, torch.float16: 4e-3}[dtype]
    assert (g - g_mixed).abs().max() <= tolerance * g.abs().max()


def test_fp16_gradients_below_its_smallest_number_survive():
    net, x = seeded(MlpNet()), image()
    with torch.no_grad():
        net.head.weight.mul_(1e-5)
    exact = tap(net, x, [LayerRef("relu2")])
    mixed = tap(net, x, [LayerRef("relu2")], autocast=torch.float16)
    g = exact.gradients(exact.output[:, 0])[LayerRef("relu2")]
    g_mixed = mixed.gradients(mixed.output[:, 0])[LayerRef("relu2")]
    assert (g - g_mixed).abs().max() <= 0.05 * g.abs().max()


def test_layer_that_the_score_does_not_depend_on():
    class Aside(GapNet):
        def __init__(self):
            super().__init__()
            self.aside = nn.Conv2d(2, 2, 1)

        def forward(self, x):
            self.aside(x)
            return super().forward(x)

    with pytest.raises(LayerError, match="does not depend on layer 'aside'"):
        opened(seeded(Aside()), ["aside"], image())
    with pytest.raises(LayerError, match="does not depend on layer 'aside'"):
        opened(seeded(Aside()), ["relu1", "aside"], image())


def test_wrapped_networks():
    net, x = seeded(MlpNet()), image()
    expected = opened(net, ["relu2"], x)["relu2"][1]
    torch.testing.assert_close(opened(nn.DataParallel(net), ["relu2"], x)["relu2"][1], expected)
    compiled = torch.compile(net, backend="eager")
    torch.testing.assert_close(opened(compiled, ["relu2"], x)["relu2"][1], expected)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_torchscript_is_refused_with_the_way_out():
    with pytest.raises(ModelError, match="load its weights into the Python module"):
        plain_module(torch.jit.trace(seeded(GapNet()).eval(), image()))


@pytest.mark.parametrize("text", ["", "#2", "a[", "a]b", "layer#x"])
def test_reference_that_cannot_be_read(text):
    with pytest.raises(LayerError, match="does not name a layer"):
        LayerRef.parse(text)


def test_reference_round_trip():
    for text in ("layer4", "layer4.1.relu#2", "encoder[1]", "encoder#1[features]"):
        assert str(LayerRef.parse(text)) == text


def test_half_precision_does_not_overflow_on_steep_scores():
    class Steep(GapNet):
        def forward(self, x):
            return 3000 * super().forward(x)

    net, x = seeded(Steep()), image()
    exact = tap(net, x, [LayerRef("relu2")])
    mixed = tap(net, x, [LayerRef("relu2")], autocast=torch.float16)
    g = exact.gradients(exact.output[:, 1])[LayerRef("relu2")]
    h = mixed.gradients(mixed.output[:, 1])[LayerRef("relu2")]
    assert torch.isfinite(h).all()
    torch.testing.assert_close(h, g, rtol=0.02, atol=0.02 * float(g.abs().max()))


def test_a_network_that_no_gradient_comes_through_is_named():
    class InPlace(GapNet):
        def forward(self, x):
            maps = torch.sigmoid(self.first(x))
            maps.mul_(2)  # fine for a forward pass alone; sigmoid's derivative needs its output
            return self.head(self.pool(self.second(maps)).flatten(1))

    with pytest.raises(ModelError, match=r"No gradients come through .* inplace .* later layer"):
        raw_cams(seeded(InPlace()), image(), "gradcam", 1, "first")


class Checkpointed(nn.Module):
    """Forgets its second block's activations and makes them again for the gradients."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 5, 3)
        self.block = nn.Sequential(nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4), nn.Tanh())
        self.head = nn.Linear(4, 3)

    def forward(self, x):
        maps = checkpoint(self.block, self.first(x), use_reentrant=False)
        return self.head(maps.mean((2, 3)))


@pytest.mark.parametrize("method", ["gradcam", "saliency", "smoothgradcam++"])
def test_a_network_that_recomputes_for_its_gradients_is_in_eval_mode_then(method):
    net, x = seeded(Checkpointed()), torch.randn(3, 2, 11, 13, generator=torch.Generator())
    net.eval()
    expected = raw_cams(net, x, method, 1, None if method == "saliency" else "first")[method]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    found = raw_cams(net, x, method, 1, None if method == "saliency" else "first")[method]
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=0)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_method_that_checkpoints_stop_says_so():
    x = torch.randn(3, 2, 11, 13, generator=torch.Generator())
    with pytest.raises(ModelError, match="switch off its gradient checkpointing"):
        raw_cams(seeded(Checkpointed()), x, "fullgrad", 1)
