"""``.pt2`` files: read faithfully, and crafted ones refused before anything in them can run."""

from __future__ import annotations

import json
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from napari_cam.errors import ModelError
from napari_cam.models.architectures.building import build
from napari_cam.models.files.exported import is_exported, read_exported
from napari_cam.models.files.model_files import load_model
from napari_cam.models.preparation.preparation import Preparation
from napari_cam.models.preparation.steps import Resize

GRAPH = "models/model.json"
WEIGHTS = "data/weights/model_weights_config.json"
CONSTANTS = "data/constants/model_constants_config.json"
# What crafted files would make, were anything in them run.
MARK = Path(tempfile.gettempdir(), "napari-cam-was-run")

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


def _export(module: nn.Module, shape: tuple[int, ...], path: Path, free: bool = False) -> Path:
    batch = torch.export.Dim("batch")
    axes = range(2, len(shape)) if free else ()
    dynamic = {0: batch, **dict.fromkeys(axes, torch.export.Dim.AUTO)}
    program = torch.export.export(module, (torch.randn(shape),), dynamic_shapes=(dynamic,))
    torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    network = build("gap-cnn", 3, 2, widths=[4, 6], pools=[2, 1]).eval()
    folder = tmp_path_factory.mktemp("exported")
    return _export(network, (2, 2, 24, 32), folder / "net.pt2", free=True)


@pytest.mark.parametrize(
    ("name", "channels", "ndim", "shape", "free"),
    [
        ("resnet18", 3, 2, (2, 3, 40, 72), False),
        ("squeezenet1_1", 1, 2, (2, 1, 40, 72), True),
        ("densenet121", 2, 2, (2, 2, 40, 72), False),
        ("regnet_x_400mf", 3, 2, (2, 3, 40, 72), False),
        ("gap-cnn", 2, 3, (2, 2, 8, 16, 24), True),
    ],
)
def test_exported_networks_answer_as_before(
    tmp_path: Path, name: str, channels: int, ndim: int, shape: tuple[int, ...], free: bool
) -> None:
    torch.manual_seed(0)
    network = build(name, 5, channels, ndim).eval()
    path = _export(network, shape, tmp_path / "net.pt2", free)
    assert is_exported(path)
    model = load_model(path, class_names=["a", "b", "c", "d", "e"])
    assert (model.card.in_channels, model.card.spatial_ndim) == (channels, ndim)
    images = torch.randn(3, *shape[1:])
    with torch.no_grad():
        torch.testing.assert_close(model.module(images), network(images))
    assert model.module.state_dict().keys() == network.state_dict().keys()
    steps = model.card.preparation.steps
    assert (Resize(shape[2:]) in steps) is not free
    # Layers keep the names by which they are explained.
    assert set(dict(network.named_children())) <= {key for key, _ in model.module.named_modules()}


def test_exported_networks_pass_gradients(whole: Path) -> None:
    model = load_model(whole)
    images = torch.randn(2, 2, 24, 32, requires_grad=True)
    model.module(images)[:, 1].sum().backward()
    assert images.grad is not None
    assert float(images.grad.abs().sum()) > 0


def test_a_segmentation_network_is_known_by_its_output(tmp_path: Path) -> None:
    path = _export(nn.Conv2d(2, 4, 3, padding=1).eval(), (2, 2, 8, 12), tmp_path / "seg.pt2")
    assert load_model(path).card.task == "segmentation"


def test_an_imagenet_network_is_known_by_its_classes(tmp_path: Path) -> None:
    path = _export(build("squeezenet1_1", 1000).eval(), (2, 3, 40, 56), tmp_path / "net.pt2")
    card = load_model(path).card
    assert card.class_names[967] == "espresso"
    assert card.preparation == Preparation.imagenet((40, 56))


def test_what_is_stated_must_agree_with_the_graph(whole: Path) -> None:
    for stated in ({"in_channels": 3}, {"spatial_ndim": 3}, {"class_names": ["a", "b"]}):
        with pytest.raises(ModelError):
            load_model(whole, **stated)  # type: ignore[arg-type]


def test_networks_that_cannot_be_explained_are_refused(tmp_path: Path) -> None:
    class Two(nn.Module):
        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            return (first * second).mean((2, 3))

    class Flat(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.mean()

    path = tmp_path / "net.pt2"
    image = torch.randn(2, 2, 8, 12)
    batch = torch.export.Dim("batch")
    torch.export.save(
        torch.export.export(Two(), (image, image), dynamic_shapes=({0: batch}, {0: batch})),
        path,
    )
    with pytest.raises(ModelError, match="one batch of images"):
        read_exported(path)
    with pytest.raises(ModelError, match="scores"):
        read_exported(_export(Flat(), (2, 2, 8, 12), path))
    torch.export.save(torch.export.export(nn.Conv2d(2, 3, 1), (image[:1],)), path)
    with pytest.raises(ModelError, match="batches of exactly 1;"):
        read_exported(path)
    trained = nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.Flatten())
    with pytest.raises(ModelError, match=r"training mode .*model\.eval\(\)"):
        read_exported(_export(trained.train(), (2, 2, 8, 12), path))


def _rewrite(path: Path, target: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    with zipfile.ZipFile(path) as archive:
        records = {name.split("/", 1)[1]: archive.read(name) for name in archive.namelist()}
    change(records)
    with zipfile.ZipFile(target, "w") as archive:
        for name, data in records.items():
            archive.writestr(f"net/{name}", data)
    return target


def _in_graph(edit: Callable[[Any], None]) -> Callable[[dict[str, bytes]], None]:
    def change(records: dict[str, bytes]) -> None:
        graph = json.loads(records[GRAPH])
        edit(graph)
        records[GRAPH] = json.dumps(graph).encode()

    return change


class _Mark:
    """Pickles into a call that leaves a mark."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        import os

        return os.mkdir, (str(MARK),)


def _pickled_weights(records: dict[str, bytes]) -> None:
    config = json.loads(records[WEIGHTS])
    first = next(iter(config["config"].values()))
    first["use_pickle"] = True
    records[f"data/weights/{first['path_name']}"] = pickle.dumps(_Mark())
    records[WEIGHTS] = json.dumps(config).encode()


def _pickled_constant(records: dict[str, bytes]) -> None:
    meta = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    records[CONSTANTS] = json.dumps({"config": {"x": meta}}).encode()
    records["data/constants/opaque_obj_0"] = pickle.dumps(_Mark())


def _first_node(graph: Any) -> Any:
    return graph["graph_module"]["graph"]["nodes"][0]


def _operator(name: str) -> Callable[[dict[str, bytes]], None]:
    return _in_graph(lambda graph: _first_node(graph).update(target=name))


def _expression(text: str) -> Callable[[dict[str, bytes]], None]:
    def edit(graph: Any) -> None:
        for value in graph["graph_module"]["graph"]["tensor_values"].values():
            for size in value["sizes"]:
                if "as_expr" in size:
                    assert "Symbol" in size["as_expr"]["expr_str"]
                    size["as_expr"]["expr_str"] = text

    return _in_graph(edit)


def _named(text: str) -> Callable[[dict[str, bytes]], None]:
    def change(records: dict[str, bytes]) -> None:
        assert b'"images"' in records[GRAPH]
        records[GRAPH] = records[GRAPH].replace(b'"images"', json.dumps(text).encode())

    return change


def _tree(kind: str, context: str) -> Callable[[dict[str, bytes]], None]:
    def edit(graph: Any) -> None:
        signature = graph["graph_module"]["module_call_graph"][0]["signature"]
        tree = {"type": kind, "context": context, "children_spec": []}
        signature["out_spec"] = json.dumps([1, tree])

    return _in_graph(edit)


def _stack(graph: Any) -> None:
    _first_node(graph)["metadata"]["nn_module_stack"] = 'a,b"+__import__("os"),c'


CRAFTED = {
    "pickled weights": _pickled_weights,
    "pickled constant": _pickled_constant,
    "compiled part": lambda records: records.update({"data/aotinductor/model/a.so": b"\x7fELF"}),
    "shell": _operator("torch.os.system"),
    "pickle loader": _operator("torch.load"),
    "hub": _operator("torch.hub.load"),
    "attribute": _operator("_operator.methodcaller"),
    "file writer": _operator("torch.ops.aten.save.default"),
    "file reader": _operator("torch.ops.aten.from_file.default"),
    "other library": _operator("torch.ops.mylib.run.default"),
    "call in a size": _expression(f"__import__('os').mkdir('{MARK}')"),
    "builtin in a size": _expression("eval(s0)"),
    "attribute in a size": _expression("s0.func"),
    "text in a size": _expression("Symbol('s0 + f(1)')"),
    "text as a number": _expression("Integer('s0')"),
    "called result": _expression("Max(s0, 1)(2)"),
    "subscript": _expression("s0[1]"),
    "endless size": _expression("(" * 5000),
    "code in a name": _named("x=__import__('os').mkdir('y')"),
    "new line in a name": _named("x\nimport os"),
    "enum import": _tree("builtins.dict", '[{"__enum__": true, "fqn": "antigravity:X"}]'),
    "named tuple": _tree("collections.namedtuple", '"os.system"'),
    "code in a module path": _in_graph(_stack),
    "subgraph": _in_graph(
        lambda graph: _first_node(graph)["inputs"][0].update(
            arg={"as_graph": {"name": "g", "graph": {}}}
        )
    ),
    "operator argument": _in_graph(
        lambda graph: _first_node(graph)["inputs"][0].update(arg={"as_operator": "torch.os.system"})
    ),
}


@pytest.mark.parametrize("kind", list(CRAFTED))
def test_crafted_files_are_refused_and_run_nothing(
    whole: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _rewrite(whole, tmp_path / "crafted.pt2", CRAFTED[kind])

    def reached(*_: object, **__: object) -> None:
        pytest.fail("the file reached torch.export.load")

    monkeypatch.setattr(torch.export, "load", reached)
    with pytest.raises(ModelError, match=r"\brun\b"):
        read_exported(path)
    assert not MARK.exists()


def test_what_is_not_needed_is_never_read(whole: Path, tmp_path: Path) -> None:
    def change(records: dict[str, bytes]) -> None:
        records["data/sample_inputs/model.pt"] = pickle.dumps(_Mark())
        records["extra/note.txt"] = b"\xff"
        graph = json.loads(records[GRAPH])
        graph["guards_code"] = [f"__import__('os').mkdir('{MARK}')"]
        _first_node(graph)["metadata"]["stack_trace"] = 'File "jane/secret.py"'
        records[GRAPH] = json.dumps(graph).encode()

    model = load_model(_rewrite(whole, tmp_path / "net.pt2", change))
    assert model.sha256 == load_model(whole).sha256
    assert not MARK.exists()


def test_networks_exported_on_a_gpu_load_on_the_cpu(whole: Path, tmp_path: Path) -> None:
    def change(records: dict[str, bytes]) -> None:
        for name in (GRAPH, WEIGHTS):
            cuda = records[name].replace(b'"type": "cpu"', b'"type": "cuda"')
            assert cuda != records[name]
            records[name] = cuda

    model = load_model(_rewrite(whole, tmp_path / "net.pt2", change))
    assert {parameter.device.type for parameter in model.module.parameters()} == {"cpu"}


def test_older_formats_are_refused(whole: Path, tmp_path: Path) -> None:
    def change(records: dict[str, bytes]) -> None:
        records["data/weights/model.pt"] = pickle.dumps(_Mark())
        del records[WEIGHTS]

    with pytest.raises(ModelError, match="older PyTorch"):
        load_model(_rewrite(whole, tmp_path / "net.pt2", change))
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", pickle.dumps(_Mark()))
    with pytest.raises(ModelError, match="older PyTorch"):
        load_model(path)


def test_damaged_files_are_refused(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    path = tmp_path / "net.pt2"
    for content in (data[: len(data) // 2], data[:-10], b"PK", b"{}"):
        path.write_bytes(content)
        with pytest.raises(ModelError):
            load_model(path)
    for change in (
        _in_graph(lambda graph: graph["graph_module"]["graph"].pop("nodes")),
        _in_graph(lambda graph: graph["graph_module"]["signature"].clear()),
        _in_graph(lambda graph: graph["graph_module"].update(module_call_graph=3)),
        lambda records: records.update({GRAPH: b"{"}),
        lambda records: records.update({GRAPH: b"[]"}),
        lambda records: records.update({WEIGHTS: b"{}"}),
        lambda records: records.update({"data/weights/weight_0": b"123"}),
        lambda records: records.pop("data/weights/weight_1"),
        lambda records: records.update({"archive_version": b"99"}),
    ):
        with pytest.raises(ModelError):
            load_model(_rewrite(whole, path, change))


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    network = build("gap-cnn", 3, 2, widths=[4, 6], pools=[2, 1]).eval()
    with torch.no_grad():
        network.head.bias[1] = float("nan")
    path = _export(network, (2, 2, 24, 32), tmp_path / "net.pt2")
    with pytest.raises(ModelError, match=r"NaN or infinity.*head\.bias"):
        load_model(path)
