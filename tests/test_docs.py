"""The documentation is true: its examples run, its links lead somewhere, it leaves nothing out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import typer

import napari_cam as nc
from napari_cam.models.architectures.building import build
from napari_cam.models.files.checkpoints import SUFFIXES
from napari_cam.models.preparation.steps import STEPS
from tests.volumes.dicom.dicoms import write_stack

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]
)

_FENCE = re.compile(
    r"(?P<skip><!-- not run -->\n)?^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"!?\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ (?P<text>.+)$", re.MULTILINE)
_ANY_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A piece of Python in a page: the line it starts on, its text, and whether it is to run."""

    line: int
    code: str
    runs: bool


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def blocks_of(name: str) -> list[Block]:
    text = text_of(name)
    return [
        Block(text.count("\n", 0, match.start("code")) + 1, match["code"], match["skip"] is None)
        for match in _FENCE.finditer(text)
    ]


WITH_EXAMPLES = [
    name for name in (page.relative_to(ROOT).as_posix() for page in PAGES) if blocks_of(name)
]


@pytest.fixture
def reader(tmp_path, monkeypatch):
    """A folder with what the examples read: a scan, a DICOM folder, the weights of a network."""
    volume = nc.load_sample_volume()
    write_stack(tmp_path / "scans", FrameOfReferenceUID="1.2.3.4")
    nc.write_volume(tmp_path / "scan.nii.gz", np.asarray(volume.values), like=volume)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        torch.save(build("resnet18", 2).state_dict(), tmp_path / "weights.pth")
        monkeypatch.chdir(tmp_path)
        yield tmp_path


@pytest.mark.parametrize("page", WITH_EXAMPLES)
def test_examples_run_from_top_to_bottom(page, reader, capsys):
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks_of(page):
        if block.runs:
            # Empty lines in front let tracebacks show the page's own line.
            code = compile("\n" * (block.line - 1) + block.code, str(ROOT / page), "exec")
            exec(code, names)  # noqa: S102
    capsys.readouterr()


def test_few_examples_are_not_run():
    blocks = [block for name in WITH_EXAMPLES for block in blocks_of(name)]
    assert len(blocks) > 20
    assert sum(not block.runs for block in blocks) <= 3


def test_outputs_that_the_python_page_states(reader, capsys):
    # "print(...)  # text", or a line "# text" of its own, states what is printed.
    names: dict[str, object] = {}
    stated: list[tuple[int, str, str]] = []
    for block in blocks_of("docs/python.md"):
        if not block.runs:
            continue
        capsys.readouterr()
        exec(compile(block.code, "docs/python.md", "exec"), names)  # noqa: S102
        printed = capsys.readouterr().out
        for number, line in enumerate(block.code.splitlines(), block.line):
            match = re.fullmatch(
                r"(\s*print\(.*\)\s+)?# (?P<text>[\d(\['].*|nan .*|layer\d.*)", line
            )
            if match:
                stated.append((number, match["text"].split(":")[0], printed))
    assert len(stated) >= 5
    for number, text, printed in stated:
        assert text in printed, f"docs/python.md:{number} states {text!r}, printed was {printed!r}"


def test_numbers_of_the_readme_are_those_of_the_sample():
    stated = re.findall(r"[\d.]+ %|\d+ damaged slices", text_of("README.md"))
    assert len(stated) == 3
    assert not [number for number in stated if number not in text_of("docs/sample.md")]


def test_the_readme_counts_the_methods():
    assert f"{len(nc.METHODS) - 1} methods and a random control" in text_of("README.md")


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    text = _ANY_FENCE.sub("", page.read_text(encoding="utf-8"))
    slugs = set()
    for match in _HEADING.finditer(text):
        plain = re.sub(r"[`*]|\]\([^)]*\)|\[", "", match["text"]).strip().lower()
        slugs.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return slugs


def links_of(page: Path) -> Iterator[str]:
    text = _ANY_FENCE.sub("", page.read_text(encoding="utf-8"))
    for match in _LINK.finditer(text):
        if "://" not in match["target"]:
            yield match["target"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_and_pictures_lead_somewhere(page):
    broken = []
    for target in links_of(page):
        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    assert not broken


def test_the_index_lists_every_page():
    listed = {target.partition("#")[0] for target in links_of(DOCS / "index.md")}
    pages = {page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")}
    assert pages - {"index.md"} <= listed


def public_names() -> list[str]:
    stub = text_of("src/napari_cam/__init__.pyi")
    return re.findall(r"^from \S+ import \w+ as (\w+)$", stub, re.MULTILINE)


def test_every_public_name_has_an_example():
    names = public_names()
    assert "explain" in names
    page = text_of("docs/python.md")
    headings = " ".join(match["text"] for match in _HEADING.finditer(page))
    assert not [name for name in names if f"`nc.{name}`" not in headings]
    code = "\n".join(block.code for block in blocks_of("docs/python.md"))
    values = {
        "Calibration",
        "Consensus",
        "Ensemble",
        "Heatmap",
        "LabelImage",
        "LoadedModel",
        "MapKey",
        "MaskSet",
        "Grid",
        "SeriesInfo",
        "Volume",
        "Window",
    }  # what functions return
    assert not [n for n in names if n not in values and not re.search(rf"\bnc\.{n}\b", code)]


def commands() -> dict[str, list[str]]:
    """Return every command with the options that it takes."""
    from napari_cam.cli.main import app

    group = typer.main.get_command(app)
    parts = {
        name: [command, *getattr(command, "commands", {}).values()]
        for name, command in group.commands.items()
    }
    return {
        name: [
            text
            for part in commands
            for item in part.params
            for text in item.opts
            if text.startswith("--")
        ]
        for name, commands in parts.items()
    }


def test_every_command_is_described_with_its_options():
    page = text_of("docs/commands.md")
    missing = [name for name in commands() if f"\n## {name}\n" not in page]
    missing += [
        f"{name} {option}"
        for name, options in commands().items()
        for option in options
        if option not in page
    ]
    assert not missing


def test_every_exit_code_is_described():
    from napari_cam.cli.failures import ExitCode

    page = text_of("docs/commands.md")
    assert not [code for code in {*ExitCode, 2} if f"\n| {int(code)} |" not in page]


def test_the_table_which_method_when_holds_every_method():
    page = text_of("docs/methods.md")
    table = page.partition("\n## Which method when\n")[2].partition("\n## ")[0]
    assert not [name for name in nc.METHODS if f"| [`{name}`](methods/" not in table]


def sections() -> dict[str, str]:
    """Return what the pages of families say about each method, by its name."""
    pages = [page.read_text(encoding="utf-8") for page in sorted((DOCS / "methods").glob("*.md"))]
    parts = [part for page in pages for part in re.split(r"^## ", page, flags=re.MULTILINE)]
    named = [(re.match(r".+ \(`(.+)`\)\n", part), part) for part in parts]
    return {match[1]: part for match, part in named if match}


def test_every_method_has_its_formula_source_needs_and_cost():
    described = sections()
    assert set(described) == set(nc.METHODS)
    for name, section in described.items():
        missing = [word for word in ("Source", "Needs", "Cost") if f"**{word}**" not in section]
        assert not missing, f"{name}: {missing}"


@pytest.mark.parametrize("name", nc.METHODS)
def test_every_parameter_of_a_method_stands_with_its_default(name):
    method = type(nc.METHODS[name])
    parent = {item.name: item.default for item in fields(method.__mro__[1])}
    own = [item for item in fields(method) if parent.get(item.name, MISSING) != item.default]
    stated = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", sections()[name], re.MULTILINE))
    missing = {
        item.name: item.default
        for item in own
        if stated.get(item.name) != repr(item.default).replace("'", '"')
    }
    assert not missing
    assert set(stated) <= {item.name for item in fields(method)}


def test_every_preparation_step_and_model_format_is_described():
    page = text_of("docs/models.md")
    assert not [name for name in STEPS if f"\n| `{name}` |" not in page]
    assert not [suffix for suffix in SUFFIXES if f"`{suffix}`" not in page]


def test_every_architecture_family_is_listed():
    page = text_of("docs/models.md")
    assert not [row.name for row in nc.ARCHITECTURES.values() if row.family not in page]
    ours = [row.name for row in nc.ARCHITECTURES.values() if row.source != "torchvision"]
    assert not [name for name in ours if f"`{name}`" not in page]
