"""Networks that ``torch.export.save`` wrote (``.pt2``), read without running anything they hold.

``torch.export.load`` trusts its file. As read in the source of PyTorch 2.15, a crafted one
runs code by

- pickles: sample inputs fall back to ``weights_only=False`` (_export/serde/serialize.py,
  ``deserialize_torch_artifact``), payloads marked ``use_pickle`` and custom objects are unpickled
  as they are (export/pt2_archive/_package.py), AOTInductor parts are shared libraries;
- operators: a node's target is looked up by name below ``torch``, so ``torch.os.system`` is one
  (``deserialize_operator``);
- size expressions, which sympy evaluates as Python (``_parse_sym_expr``);
- names, which torch.fx writes into Python source and executes (fx/graph_module.py);
- tree specs, which import enum classes by name (utils/_pytree.py), and guard code.

So the file's archive is never handed over. A new one is made in memory that holds the plain arrays
and the graph, of which every string has been checked against what its place needs: aten operators,
arithmetic, identifiers. What else the file holds is left behind or refused.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_cam.errors import ModelError

GRAPH = "models/model.json"
_WEIGHTS = "data/weights/model_weights_config.json"
_CONSTANTS = "data/constants/model_constants_config.json"
_INPUTS = "data/sample_inputs/model.pt"
_MARKS = (".data/version", "version", "archive_format", "archive_version", "byteorder")

# Without brackets, quotes, equals signs and line ends nothing can be called or assigned.
_NAME = re.compile(r"[\w.@\-]*", re.ASCII)
_TEXT = re.compile(r"[\w .,:;>+\-]*", re.ASCII)
_MODULE_STACK = re.compile(r"[\w .,;@<>()\[\]'\-]*", re.ASCII)
_ATEN = re.compile(r"torch\.ops\.aten\.(\w+)\.\w+", re.ASCII)
_FILE_OPERATORS = ("save", "load", "from_file")
_ARITHMETIC = {
    *(f"_operator.{name}" for name in ("add", "sub", "mul", "floordiv", "truediv", "mod", "pow")),
    *(
        f"_operator.{name}"
        for name in ("neg", "pos", "eq", "ne", "lt", "le", "gt", "ge", "getitem")
    ),
    *(f"_operator.{name}" for name in ("and_", "or_", "not_")),
    *(f"math.{name}" for name in ("ceil", "floor", "trunc", "round", "sqrt")),
    *(f"torch.sym_{name}" for name in ("int", "float", "max", "min", "not", "ite", "sum")),
}
_FUNCTIONS = {
    *("Symbol", "Integer", "Float", "Rational", "Add", "Mul", "Pow", "Abs", "ceiling", "floor"),
    *("FloorDiv", "ModularIndexing", "Where", "PythonMod", "Mod", "CleanDiv", "CeilToInt"),
    *("FloorToInt", "CeilDiv", "LShift", "RShift", "PowByNatural", "FloatPow", "FloatTrueDiv"),
    *("IntTrueDiv", "TruncToFloat", "TruncToInt", "RoundToInt", "RoundDecimal", "ToFloat"),
    *("Identity", "Max", "Min", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "Not"),
}
_TREE_TYPES = {None, "builtins.tuple", "builtins.list", "builtins.dict", "collections.OrderedDict"}
# Custom objects, graphs inside operators, operators as arguments: no ordinary network needs them.
_REFUSED = ("as_custom_obj", "custom_obj", "custom_obj_values", "as_graph", "as_operator")
_DROPPED = ("guards_code", "treespec_namedtuple_fields")


def clean_archive(path: Path) -> io.BytesIO:
    """Return an archive in memory that holds the plain arrays and the checked graph of a file.

    Raises
    ------
    ModelError
        Where the file holds what might run code, or a network in training mode.
    """
    with zipfile.ZipFile(path) as archive:
        records = {name.split("/", 1)[-1]: name for name in archive.namelist()}
        if any(name.startswith("data/aotinductor/") for name in records):
            raise ModelError(
                f"{path} holds compiled machine code (AOTInductor), which is not run; "
                "export the network with torch.export.save."
            )
        if not {GRAPH, _WEIGHTS, _CONSTANTS} <= records.keys():
            raise ModelError(
                f"{path} was written by an older PyTorch, in a form that is read by unpickling; "
                "export the network again with the PyTorch that is installed here."
            )
        read = _reader(archive, records)
        graph = _Checker(path).checked(json.loads(read(GRAPH)))
        _refuse_training(path, graph)
        parts = {GRAPH: json.dumps(graph).encode(), _INPUTS: b""}
        for folder, config in (("data/weights/", _WEIGHTS), ("data/constants/", _CONSTANTS)):
            payloads = _Checker(path).checked(json.loads(read(config)))
            parts[config] = json.dumps(payloads).encode()
            parts |= {folder + name: read(folder + name) for name in _arrays(path, payloads)}
        parts |= {name: read(name) for name in _MARKS if name in records}
    clean = io.BytesIO()
    with zipfile.ZipFile(clean, "w") as archive:
        for name, data in parts.items():
            archive.writestr(f"network/{name}", data)
    clean.seek(0)
    return clean


def _reader(archive: zipfile.ZipFile, records: Mapping[str, str]) -> Callable[[str], bytes]:
    return lambda name: archive.read(records[name])


def _arrays(path: Path, payloads: Any) -> Iterator[str]:
    for name, payload in payloads["config"].items():
        record = payload["path_name"]
        if payload["use_pickle"] or payload["tensor_meta"] is None or "." in record:
            raise ModelError(
                f"{path} holds a pickled object as '{name}', which may run any code when read; "
                "export the network with plain tensors."
            )
        yield record


@dataclass(frozen=True)
class _Checker:
    """Goes through a graph's JSON and lets through only what its places need."""

    path: Path

    def checked(self, value: Any, key: str = "") -> Any:
        """Return a copy of `value`, found under `key`, with every string checked."""
        if key in _REFUSED and value:
            raise self._refusal(f"a '{key}'")
        if key in _DROPPED:
            return type(value)()
        if key in ("device", "as_device"):
            return {"type": "cpu", "index": None}
        if key == "metadata":
            return self._metadata(value)
        if isinstance(value, Mapping):
            return {self._key(name, key): self.checked(item, name) for name, item in value.items()}
        if isinstance(value, list):
            return [self.checked(item, key) for item in value]
        if isinstance(value, str):
            return self._string(value, key)
        return value

    def _key(self, name: str, parent: str) -> str:
        return self._expression(name) if parent == "range_constraints" else self._plain(name)

    def _string(self, value: str, key: str) -> str:
        if key == "target":
            return self._operator(value)
        if key == "expr_str":
            return self._expression(value)
        if key in ("in_spec", "out_spec"):
            return self._tree(value)
        if key in ("as_string", "as_strings", "torch_version"):
            return self._plain(value, _TEXT)
        return self._plain(value)

    def _plain(self, value: str, pattern: re.Pattern[str] = _NAME) -> str:
        if not pattern.fullmatch(value):
            raise self._refusal(f"the name {value[:60]!r}")
        return value

    def _operator(self, value: str) -> str:
        aten = _ATEN.fullmatch(value)
        if value in _ARITHMETIC or (aten and aten[1] not in _FILE_OPERATORS):
            return value
        raise self._refusal(f"the operator {value[:60]!r}")

    def _expression(self, value: str) -> str:
        try:
            tree = ast.parse(value.strip(), mode="eval")
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise self._refusal(f"the size {value[:60]!r}") from error
        if not _is_arithmetic(tree.body):
            raise self._refusal(f"the size {value[:60]!r}")
        return value

    def _metadata(self, value: Mapping[str, str]) -> dict[str, str]:
        # Of all notes on a node only its place in the module tree is needed, to unflatten.
        stack = value.get("nn_module_stack")
        if not stack:
            return {}
        return {"nn_module_stack": self._plain(stack, _MODULE_STACK)}

    def _tree(self, value: str) -> str:
        version, tree = json.loads(value)
        self._check_tree(tree)
        return json.dumps([int(version), tree])

    def _check_tree(self, tree: Any) -> None:
        context = json.loads(tree["context"]) if tree["context"] is not None else None
        names = [] if context is None else context
        if (
            tree["type"] not in _TREE_TYPES
            or not isinstance(names, list)
            or not all(isinstance(name, str) for name in names)
        ):
            raise self._refusal(f"an argument of type {tree['type']!r}")
        for child in tree["children_spec"]:
            self._check_tree(child)

    def _refusal(self, what: str) -> ModelError:
        return ModelError(
            f"{self.path} holds {what}, which is no plain network arithmetic and might run code; "
            "export the network without it, or load its weights into its Python module."
        )


def _is_arithmetic(node: ast.expr) -> bool:
    """Whether an expression holds numbers, symbols and sympy's arithmetic alone."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, (int, float))
    if isinstance(node, ast.Name):
        return "__" not in node.id
    if isinstance(node, ast.UnaryOp):
        return _is_arithmetic(node.operand)
    if isinstance(node, ast.BinOp):
        return _is_arithmetic(node.left) and _is_arithmetic(node.right)
    if isinstance(node, ast.Compare):
        return all(map(_is_arithmetic, [node.left, *node.comparators]))
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        return False
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    if node.func.id == "Symbol":
        first = arguments.pop(0) if node.args else None
        name = first.value if isinstance(first, ast.Constant) else None
        if not (isinstance(name, str) and name.isidentifier()):
            return False
    return node.func.id in _FUNCTIONS and all(map(_is_arithmetic, arguments))


def _refuse_training(path: Path, graph: Any) -> None:
    for node in graph["graph_module"]["graph"]["nodes"]:
        for argument in node["inputs"]:
            if argument["name"] in ("training", "train") and argument["arg"].get("as_bool"):
                raise ModelError(
                    f"{path} was exported in training mode ({node['target'].split('.')[3]}), so "
                    "its answers depend on the batch or on chance; call model.eval() and export "
                    "it again."
                )
