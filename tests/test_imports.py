"""Which room may import which, where the heavy packages live, and what stays unloaded."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import napari_cam

pytestmark = pytest.mark.quick

PACKAGE = "napari_cam"
ROOT = Path(napari_cam.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

GROUND = {
    "errors",
    "text_tables",
    "provenance",
    "names",
    "files",
    "grid",
    "heatmap",
    "normalize",
    "checks",
    "choices",
    "units",
}

# Each room and the rooms it may use, in the order in which data walks.
MAY_USE: dict[str, set[str]] = {
    "ground": set(),
    "statistics": {"ground"},
    "volumes": {"ground", "statistics"},
    "models": {"ground", "statistics", "volumes"},
    "cams": {"ground", "statistics", "volumes", "models"},
    "masks": {"ground", "statistics", "volumes"},
    "labels": {"ground", "statistics", "volumes", "masks"},
    "learning": {"ground", "statistics", "volumes", "models", "masks", "labels"},
}
MAY_USE["reports"] = {*MAY_USE}
MAY_USE["study"] = {*MAY_USE}
MAY_USE["sample"] = {*MAY_USE} - {"study"}
MAY_USE["cli"] = {*MAY_USE, PACKAGE}
MAY_USE["widgets"] = {*MAY_USE, PACKAGE} - {"cli"}

# Where each heavy family of packages may be imported: rooms, parts of rooms, or single files.
OWNERS = [
    (
        {"torch", "torchvision", "timm", "safetensors.torch"},
        {"models", "cams", "learning", "reports/faithfulness", "study/work"},
    ),
    (
        {"napari", "qtpy", "superqt", "magicgui", "PyQt5", "PyQt6", "PySide2", "PySide6"},
        {"widgets"},
    ),
    ({"pandas"}, {"reports", "study", "learning/cohort"}),
]


class Import(NamedTuple):
    """One import statement: the file it stands in, what it names, and when it is run.

    `at_load`: when the file is loaded; `for_types`: never, a type checker alone reads it.
    """

    file: str
    line: int
    target: str
    at_load: bool
    for_types: bool

    @property
    def room(self) -> str:
        """The room the file belongs to."""
        return room_of(self.file.removesuffix(".py").split("/"))

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"


def room_of(parts: list[str]) -> str:
    """Return the room of a module given by its path below the package."""
    if not parts or parts[0] == "__init__":
        return PACKAGE
    return "ground" if parts[0] in GROUND else parts[0]


def imports_of(path: Path) -> Iterator[Import]:
    """Yield every import of a file, also those inside functions."""
    file = path.relative_to(ROOT).as_posix()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    delayed, for_types = set[int](), set[int]()
    for node in ast.walk(tree):
        inside = {id(inner) for inner in ast.walk(node)}
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            delayed |= inside
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for_types |= inside
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            here = [PACKAGE, *file.split("/")]
            above = ".".join(here[: len(here) - node.level]) if node.level else ""
            module = ".".join(part for part in (above, node.module) if part)
            targets = [f"{module}.{alias.name}" for alias in node.names]
        else:
            continue
        for target in targets:
            typed = id(node) in for_types
            yield Import(file, node.lineno, target, not typed and id(node) not in delayed, typed)


def room_used(target: str) -> str | None:
    """Return the room an import reaches, the package itself for the public API, else None."""
    parts = target.split(".")
    if parts[0] != PACKAGE:
        return None
    below = parts[1:]
    if not below or (below[0] not in GROUND and below[0] not in MAY_USE):
        return PACKAGE  # ``from napari_cam import explain``
    return room_of(below)


def part_of(file: str, places: Iterable[str]) -> str | None:
    """Return which of `places`, files or folders of the package, holds a file."""
    return next((each for each in places if f"{file}/".startswith(f"{each}/")), None)


def is_of(target: str, packages: set[str]) -> bool:
    """Whether an import's target is one of the packages, or lies in it."""
    return any(f"{target}.".startswith(f"{package}.") for package in packages)


ALL = [found for path in MODULES for found in imports_of(path)]


def test_every_room_is_known() -> None:
    rooms = {room_of([*path.relative_to(ROOT).with_suffix("").parts]) for path in MODULES}
    assert rooms <= {*MAY_USE, PACKAGE}, "give the new room its place in MAY_USE"


def test_rooms_use_only_rooms_below_them() -> None:
    breaches = [
        str(found)
        for found in ALL
        if (used := room_used(found.target)) is not None
        and found.room != PACKAGE
        and used not in {found.room, *MAY_USE[found.room]}
    ]
    assert not breaches, "\n".join(breaches)


@pytest.mark.parametrize(("packages", "owners"), OWNERS, ids=["torch", "Qt", "pandas"])
def test_heavy_packages_stay_in_their_rooms(packages: set[str], owners: set[str]) -> None:
    breaches = [
        str(found)
        for found in ALL
        if is_of(found.target, packages)
        and found.room not in owners
        and part_of(found.file, owners) is None
    ]
    assert not breaches, "\n".join(breaches)


def test_the_sample_loads_torch_only_when_its_network_is_asked_for() -> None:
    breaches = [
        str(found)
        for found in ALL
        if found.file == "sample/__init__.py"
        and found.at_load
        and room_used(found.target) in {"models", "cams", "learning"}
    ]
    assert not breaches, "\n".join(breaches)


def module_of(path: Path) -> str:
    """Return the dotted name of a file of the package; a package's is its folder's."""
    parts = [PACKAGE, *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def circles(uses: dict[str, set[str]]) -> list[list[str]]:
    """Return groups of modules that reach each other, each group sorted."""
    reach: dict[str, set[str]] = {}
    for start in {*uses, *set[str]().union(*uses.values())}:
        seen, ahead = set[str](), [start]
        while ahead:
            for used in uses.get(ahead.pop(), set()) - seen:
                seen.add(used)
                ahead.append(used)
        reach[start] = seen
    tied = {
        tuple(sorted(each for each in reach[name] if name in reach[each]))
        for name in uses
        if name in reach[name]
    }
    return sorted([*group] for group in tied)


def test_no_file_imports_itself_in_a_circle() -> None:
    modules = {module_of(path) for path in MODULES}
    uses: dict[str, set[str]] = {}
    for found in ALL:
        target = found.target
        while target and target not in modules:
            target = target.rpartition(".")[0]
        file = module_of(ROOT / found.file)
        if target not in ("", file, PACKAGE):
            uses.setdefault(file, set()).add(target)
    assert not circles(uses)


def test_circles_are_found() -> None:
    uses = {"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a", "e"}, "e": set()}
    assert circles(uses) == [["a", "b", "c"]]


def test_the_walk_sees_every_kind_of_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "rules.py").write_text(
        "import torch.nn as nn, json\n"
        "from ..cams import explain\n"
        "from . import counts\n"
        "from napari_cam import iou\n"
        "def late():\n"
        "    from napari_cam.errors import MaskError\n"
    )
    found = list(imports_of(tmp_path / "masks" / "rules.py"))
    assert [(each.target, each.at_load, room_used(each.target)) for each in found] == [
        ("torch.nn", True, None),
        ("json", True, None),
        ("napari_cam.cams.explain", True, "cams"),
        ("napari_cam.masks.counts", True, "masks"),
        ("napari_cam.iou", True, PACKAGE),
        ("napari_cam.errors.MaskError", False, "ground"),
    ]
    assert found[0].room == "masks"
    assert is_of("torch.nn", {"torch"})
    assert not is_of("torchmetrics", {"torch"})


def loaded_by(code: str) -> set[str]:
    """Return the top-level packages that a fresh interpreter has loaded after `code`."""
    code += "\nimport json, sys\nprint(json.dumps(sorted({n.split('.')[0] for n in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


DOCKS = f"{PACKAGE}.widgets.docks"
QT = {"qtpy", "superqt", "magicgui", "PyQt5", "PyQt6", "PySide2", "PySide6"}
# What the folders of a dock never run: views are Qt alone, work runs in another thread. Modules
# named "choices" hold the words that a setting may be, which views show; cutting and foregrounds
# are the modules of layers that know no layer.
NEVER = {
    "views": {f"{PACKAGE}.{room}" for room in ("masks", "labels", "models", "cams", "learning")}
    | {"napari.layers", f"{PACKAGE}.widgets.layers"},
    "work": QT | {"napari", f"{PACKAGE}.widgets.layers", f"{PACKAGE}.widgets.controls"},
}
OF_OWN_DOCK = {
    "views": {"work", "views"},
    "work": {"work"},
    "control": {"work", "views", "control", "state", "tooltips"},
}
WITHOUT_LAYERS = {f"{PACKAGE}.widgets.layers.{name}" for name in ("cutting", "foregrounds")}


def place_in_dock(dotted: str) -> tuple[str, str] | None:
    """Return the dock that holds a module, and its folder or file there; None outside of docks."""
    parts = dotted.removeprefix(f"{DOCKS}.").split(".")
    inside = dotted.startswith(f"{DOCKS}.") and (ROOT / "widgets" / "docks" / parts[0]).is_dir()
    return (parts[0], parts[1] if len(parts) > 1 else "") if inside else None


def test_no_dock_imports_another() -> None:
    breaches = []
    for found in ALL:
        here, there = place_in_dock(module_of(ROOT / found.file)), place_in_dock(found.target)
        if there is not None and (here is None or here[0] != there[0]):
            breaches.append(str(found))
    assert not breaches, "\n".join(breaches)


def test_docks_share_no_room_that_knows_docks() -> None:
    breaches = [
        str(found)
        for found in ALL
        if found.file.startswith(("widgets/layers/", "widgets/controls/", "widgets/threads/"))
        and is_of(found.target, {DOCKS})
    ]
    assert not breaches, "\n".join(breaches)


def test_folders_of_docks_keep_apart() -> None:
    breaches = []
    for found in ALL:
        here, there = place_in_dock(module_of(ROOT / found.file)), place_in_dock(found.target)
        if here is None or found.for_types or here[1] not in OF_OWN_DOCK:
            continue
        of_words = ".choices." in found.target or is_of(found.target, WITHOUT_LAYERS)
        strange = is_of(found.target, NEVER.get(here[1], set())) and not of_words
        if strange or (there is not None and there[1] not in OF_OWN_DOCK[here[1]]):
            breaches.append(str(found))
    assert not breaches, "\n".join(breaches)


def test_the_work_of_docks_loads_no_window() -> None:
    work = [path for path in MODULES if path.parent.name == "work" and "docks" in path.parts]
    assert work
    loaded = loaded_by("import " + ", ".join(module_of(path) for path in work))
    assert not loaded & {"napari", *QT}


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = {"torch", "napari", "qtpy", "numpy", "scipy", "skimage", "pandas", "matplotlib"}
    loaded = loaded_by("import napari_cam; dir(napari_cam)")
    assert PACKAGE in loaded
    assert not loaded & heavy


def test_the_help_of_the_command_loads_nothing_heavy() -> None:
    loaded = loaded_by(
        "import sys\n"
        "sys.argv = ['napari-cam', '--help']\n"
        "from napari_cam.cli.main import main\n"
        "try:\n"
        "    sys.exit(main())\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
    )
    assert not loaded & {"torch", "torchvision", "timm", "napari", "qtpy", "pandas", "matplotlib"}
    assert not loaded & {"scipy", "skimage"}


def test_masks_can_be_compared_without_torch() -> None:
    assert "torch" not in loaded_by("import napari_cam as nc; nc.iou, nc.binarize, nc.read_volume")


def public_names() -> list[str]:
    stub = ast.parse((ROOT / "__init__.pyi").read_text(encoding="utf-8"))
    imports = [node for node in stub.body if isinstance(node, ast.ImportFrom)]
    return [alias.asname or alias.name for node in imports for alias in node.names]


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_exists(name: str) -> None:
    assert getattr(napari_cam, name) is not None


def test_the_public_api_is_the_list() -> None:
    assert sorted(dir(napari_cam)) == sorted(public_names())
