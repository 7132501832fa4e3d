"""The project's own files agree with each other and hold nothing of anyone's machine."""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]

# Written as patterns, which they do not match themselves.
FORBIDDEN = {
    "a registry's address": re.compile(
        r"pypi\.(?:org|python)|pythonhosted\.org|download\.pytorch\.org|registry\.npmjs|deb\.debian"
    ),
    "an index option": re.compile(r"index-url[= ]|find-links[= ]"),
    "a path of one machine": re.compile(r"(?<![\w.$}~/-])/(?:work|root|tmp|home/\w+)/"),
}


def tracked() -> list[Path]:
    """Return the files under version control; skips where there is none."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"git cannot list the files: {done.stderr.decode().strip()}")
    files = [ROOT / name for name in done.stdout.decode().split("\0") if name]
    return [path for path in files if path.is_file() and not path.is_symlink()]


def project() -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return table


def test_the_manifest_lies_at_the_top_too() -> None:
    top, inside = ROOT / "napari.yaml", ROOT / "src" / "napari_cam" / "napari.yaml"
    assert top.read_bytes() == inside.read_bytes()


def test_the_installed_version_is_the_projects() -> None:
    assert version("napari-cam") == project()["version"]


def test_the_licence_is_there_and_is_the_stated_one() -> None:
    assert project()["license"] == "BSD-3-Clause"
    assert (ROOT / "LICENSE").read_text().startswith("BSD 3-Clause License")


def test_dependencies_have_lower_bounds_only() -> None:
    extras = project()["optional-dependencies"].values()
    for requirement in [*project()["dependencies"], *(one for extra in extras for one in extra)]:
        assert re.fullmatch(r"[\w.-]+(\[[\w,]+\])?(>=[\d.]+)?", requirement), requirement


def test_the_base_install_brings_no_qt_and_no_napari() -> None:
    names = {re.split(r"[\[>=]", each)[0].lower() for each in project()["dependencies"]}
    assert not names & {"napari", "pyqt5", "pyqt6", "pyside2", "pyside6"}
    assert {"torch", "nibabel", "magicgui"} <= names


def test_the_changelog_tells_the_coming_version() -> None:
    assert "\n## [Unreleased]\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_readme_says_how_to_try_and_test() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    found = []
    for path in tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture or weights
        name = path.relative_to(ROOT)
        found += [
            f"{name}:{n}: {line}" for n, line in enumerate(lines, 1) if FORBIDDEN[what].search(line)
        ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("a registry's address", "pip install --pre x from https://py" + "pi.org/simple"),
        ("an index option", "pip install --extra-index" + "-url=x torch"),
        ("a path of one machine", "reads " + "/ro" + "ot/data.nii"),
        ("a path of one machine", "open('" + "/tm" + "p/x')"),
    ],
)
def test_the_patterns_find_what_they_are_for(what: str, line: str) -> None:
    assert FORBIDDEN[what].search(line)
    assert not FORBIDDEN[what].search("https://example.org/root/tmp/x, $HOME/work/x and ../tmp/x")
