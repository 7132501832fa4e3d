"""The contact sheet, judged by its pixels."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from napari_cam.errors import MaskError, WriteError
from napari_cam.grid import Grid
from napari_cam.reports.page.contact_sheet import SheetRow, contact_sheet, save_sheet
from napari_cam.volumes.volume import Volume

SHAPE = (5, 30, 40)
BRIGHT = (slice(None), slice(2, 8), slice(3, 11))  # towards the first row and column


def volume_with(orientation: str | None, spacing: tuple[float, ...] = (3.0, 1.0, 1.0)) -> Volume:
    values = np.zeros(SHAPE, np.float32)
    values[BRIGHT] = 100
    if orientation is None:
        return Volume(values, Grid.plain(SHAPE, (spacing[0], spacing[1], spacing[2]), "mm"))
    # World axes are R, A, S; a letter says where the index grows to.
    rows = {"R": 0, "L": 0, "A": 1, "P": 1, "S": 2, "I": 2}
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis, letter in enumerate(orientation):
        affine[rows[letter], axis] = spacing[axis] * (1 if letter in "RAS" else -1)
    return Volume(values, Grid(SHAPE, affine, orientation))


def drawn(figure: Figure, path: Path) -> np.ndarray:
    save_sheet(figure, path, overwrite=True)
    with Image.open(path) as sheet:
        return np.asarray(sheet.convert("RGB")).astype(int)


def picture(figure: Figure, path: Path, number: int) -> np.ndarray:
    """Return the pixels (h, w, 3) of the picture with that number, row by row."""
    pixels = drawn(figure, path)
    height, width = pixels.shape[:2]
    box = figure.axes[number].get_position()
    rows = slice(round((1 - box.y1) * height) + 1, round((1 - box.y0) * height) - 1)
    return pixels[rows, round(box.x0 * width) + 1 : round(box.x1 * width) - 1]


def centre_of(mask: np.ndarray) -> tuple[float, float]:
    """Return the centroid (down, right) of a mask as shares of its size."""
    y, x = (places.mean() for places in np.nonzero(mask))
    return y / mask.shape[0], x / mask.shape[1]


@pytest.mark.parametrize(
    ("orientation", "top", "left"),
    [
        (None, True, True),
        ("SPL", True, True),  # as radiologists look: anterior up, the patient's right at the left
        ("IPL", True, True),
        ("SAL", False, True),
        ("SPR", True, False),
        ("SAR", False, False),
    ],
)
def test_patients_are_shown_as_radiologists_see_them(
    tmp_path: Path, orientation: str | None, top: bool, left: bool
) -> None:
    figure = contact_sheet(volume_with(orientation), [SheetRow("image")], [2])
    shown = picture(figure, tmp_path / "a.png", 0)
    down, right = centre_of(shown[..., 0] > 128)
    # The bright box's centre lies 1/6 from the first row and 7/40 from the first column.
    assert down == pytest.approx(5 / 30 if top else 25 / 30, abs=0.02)
    assert right == pytest.approx(7 / 40 if left else 33 / 40, abs=0.02)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_pixels_keep_their_proportions(tmp_path: Path, axis: int) -> None:
    volume = volume_with("SPL", (3.0, 1.0, 0.5))
    figure = contact_sheet(volume, [SheetRow("image")], [1], axis=axis)
    shown = picture(figure, tmp_path / "a.png", 0)
    sizes = [15.0, 30.0, 20.0]
    del sizes[axis]
    assert shown.shape[0] / shown.shape[1] == pytest.approx(sizes[0] / sizes[1], rel=0.05)


def test_heat_and_outlines_lie_where_they_belong(tmp_path: Path) -> None:
    volume = volume_with("SPL")
    heat = np.zeros(SHAPE, np.float32)
    truth = np.zeros(SHAPE, bool)
    mask = np.zeros(SHAPE, bool)
    heat[2, 20:26, 5:15] = 1
    truth[2, 4:12, 25:35] = True
    mask[2, 18:28, 3:17] = True
    rows = [SheetRow("image"), SheetRow("method", heat, mask, "Dice 0.5")]
    figure = contact_sheet(volume, rows, [1, 2], truth=truth, title="A title")
    image, other, empty, shown = (
        picture(figure, tmp_path / "a.png", number) for number in range(4)
    )
    colourful = [int((np.ptp(each, axis=2) > 40).sum()) for each in (image, other, empty, shown)]
    assert colourful[0] == colourful[2] == 0  # slice 1 has neither truth nor heat
    assert 0 < colourful[1] < colourful[3]
    red, green, blue = shown[..., 0], shown[..., 1], shown[..., 2]
    down, right = centre_of((red > blue + 60) & (green > blue))
    assert (down, right) == (pytest.approx(23 / 30, abs=0.03), pytest.approx(10 / 40, abs=0.03))
    y, x = np.nonzero(blue > red + 60)  # an outline: its edges, not the mean of its pixels
    edges = [y.min() / len(shown), y.max() / len(shown)]
    assert edges == pytest.approx([4 / 30, 12 / 30], abs=0.025)
    edges = [x.min() / shown.shape[1], x.max() / shown.shape[1]]
    assert edges == pytest.approx([25 / 40, 35 / 40], abs=0.025)
    assert len(figure.axes) == 4 + 1  # and the legend's bar


def test_channels_are_averaged_and_nan_is_dark(tmp_path: Path) -> None:
    values = np.zeros((2, 1, 20, 24), np.float32)
    values[0, 0, :10] = 50
    values[1, 0, :10, :12] = 50
    values[1, 0, 15, 3] = np.nan
    volume = Volume(values, Grid.plain((1, 20, 24)))
    shown = picture(contact_sheet(volume, [SheetRow("image")], [0]), tmp_path / "a.png", 0)
    height, width = shown.shape[:2]
    both, one, none = (
        shown[height // 4, width // 4, 0],
        shown[height // 4, 3 * width // 4, 0],
        shown[3 * height // 4, width // 4, 0],
    )
    assert both > 240
    assert one == pytest.approx(128, abs=16)
    assert none < 12


def test_a_flat_image_is_drawn(tmp_path: Path) -> None:
    volume = Volume.from_array(np.full((3, 20, 24), 7, np.uint8))
    contact_sheet(volume, [SheetRow("image")], [0, 2])


def test_every_slice_and_row_has_its_words() -> None:
    figure = contact_sheet(
        volume_with(None),
        [SheetRow("first", caption="below"), SheetRow("second")],
        [0, 3],
        column_titles=["top", "bottom"],
        title="the whole",
    )
    words = {text.get_text() for text in figure.texts}
    assert {"first", "below", "second", "top", "bottom", "the whole"} <= words
    words = {t.get_text() for t in contact_sheet(volume_with(None), [SheetRow("a")], [3]).texts}
    assert "slice 3" in words


def test_the_file_is_small_and_always_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    volume = Volume.from_array(rng.normal(size=SHAPE).astype(np.float32))
    rows = [SheetRow(f"row {n}", rng.uniform(size=SHAPE).astype(np.float32)) for n in range(3)]
    for name in "ab":
        path = save_sheet(contact_sheet(volume, rows, [0, 1]), tmp_path / f"{name}.png")
        assert path == tmp_path / f"{name}.png"
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.mode == "P"
        assert sheet.info.keys() <= {"dpi"}  # neither program nor time
    assert json.loads((tmp_path / "a.json").read_text())["kind"] == "figure"


def test_existing_files_stay(tmp_path: Path) -> None:
    figure = contact_sheet(volume_with(None), [SheetRow("image")], [0])
    (tmp_path / "a.json").write_text("mine")
    with pytest.raises(WriteError, match=r"a\.json exists already"):
        save_sheet(figure, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
    with pytest.raises(WriteError, match=r"must end in \.png"):
        save_sheet(figure, tmp_path / "a.jpg")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"rows": []}, "at least one row"),
        ({"slices": []}, "at least one row"),
        ({"slices": [5]}, "no slice 5; the image has 5"),
        ({"slices": [-1]}, "no slice -1"),
        ({"axis": 3}, "axis 0, 1 or 2"),
        ({"truth": np.ones((5, 30, 41), bool)}, "truth of image has shape"),
        ({"rows": [SheetRow("x", np.ones((5, 30), np.float32))]}, "heatmap of x has shape"),
        ({"rows": [SheetRow("x", None, np.ones((4, 3, 2), bool))]}, "mask of x has shape"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], words: str) -> None:
    arguments: dict[str, object] = {"rows": [SheetRow("image")], "slices": [0], **change}
    with pytest.raises(MaskError, match=words):
        contact_sheet(volume_with(None), **arguments)  # type: ignore[arg-type]


def test_no_global_state_of_matplotlib_is_touched() -> None:
    code = (
        "import sys, napari_cam.reports.page.contact_sheet\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
