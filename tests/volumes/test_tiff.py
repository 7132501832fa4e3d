"""Reading TIFF, judged by what tifffile and Pillow were told to write."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_cam.errors import VolumeError
from napari_cam.volumes.reading import read_volume

RNG = np.random.default_rng(5)
SIZES = {"T": 2, "C": 3, "Z": 4, "Y": 5, "X": 6}


def array_of(axes: str) -> np.ndarray:
    return RNG.integers(0, 60000, [SIZES[letter] for letter in axes]).astype(np.uint16)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("kind", "axes"),
    [("ome", axes) for axes in ("YX", "ZYX", "CYX", "CZYX", "ZCYX")]
    + [("imagej", axes) for axes in ("YX", "ZYX", "CYX", "ZCYX")],
)
def test_axes_come_out_as_channel_z_y_x(tmp_path: Path, axes: str, order: str, kind: str) -> None:
    values = array_of(axes)
    path = tmp_path / "a.tif"
    options: Any = {"byteorder": order, "photometric": "minisblack", "metadata": {"axes": axes}}
    tifffile.imwrite(path, values, **{kind: True}, **options)
    volume = read_volume(path)
    letters = [letter for letter in "CZYX" if letter in axes]
    expected = values.transpose([axes.index(letter) for letter in letters])
    if "Z" not in axes:
        expected = expected[..., None, :, :]
    np.testing.assert_array_equal(volume.values, expected)
    assert volume.values.dtype == np.uint16
    assert volume.channel_names == (("channel 1", "channel 2", "channel 3") if "C" in axes else ())
    assert volume.orientation is None


@pytest.mark.parametrize("axes", ["TYX", "TZYX", "TCZYX", "TZCYX"])
def test_a_time_axis_needs_a_choice(tmp_path: Path, axes: str) -> None:
    values = array_of(axes)
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, values, photometric="minisblack", metadata={"axes": axes})
    for wrong in (None, "channels"):
        with pytest.raises(VolumeError, match="time axis of length 2"):
            read_volume(path, axis4=wrong)  # type: ignore[arg-type]
    with pytest.raises(VolumeError, match="2 time points"):
        read_volume(path, axis4="time", time=2)
    volume = read_volume(path, axis4="time", time=1)
    rest = axes.replace("T", "")
    expected = values[1].transpose([rest.index(c) for c in "CZYX" if c in rest])
    np.testing.assert_array_equal(np.squeeze(volume.values), expected)


@pytest.mark.parametrize(
    ("unit", "millimetres"), [("µm", 1e-3), (None, 1e-3), ("nm", 1e-6), ("mm", 1), ("cm", 10)]
)
def test_ome_sizes_in_their_units(tmp_path: Path, unit: str | None, millimetres: float) -> None:
    metadata: dict[str, Any] = {"axes": "ZYX"}
    for axis, size in [("X", 0.325), ("Y", 0.65), ("Z", 2.5)]:
        metadata[f"PhysicalSize{axis}"] = size
        if unit is not None:
            metadata[f"PhysicalSize{axis}Unit"] = unit
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, array_of("ZYX"), photometric="minisblack", metadata=metadata)
    volume = read_volume(path)
    expected = (2.5 * millimetres, 0.65 * millimetres, 0.325 * millimetres)
    assert volume.spacing == pytest.approx(expected, rel=1e-14)
    assert volume.grid.units == "mm"
    assert volume.notes == ()
    np.testing.assert_allclose(
        volume.grid.world((1, 1, 1)), np.array([0.325, 0.65, 2.5]) * millimetres
    )


def test_ome_channel_names(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "CYX", "Channel": {"Name": ["DAPI", "488", "0405"]}}
    tifffile.imwrite(path, array_of("CYX"), photometric="minisblack", metadata=metadata)
    assert read_volume(path).channel_names == ("DAPI", "488", "0405")
    assert read_volume(path, channel_names="abc").channel_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("sizes", "note"),
    [
        ({"X": 0.5}, None),  # y unknown: nothing is taken
        ({"X": 0.5, "Y": 0.5}, "no distance between slices"),
        ({"X": 0.0, "Y": 0.5, "Z": 1}, None),
    ],
)
def test_incomplete_ome_sizes(tmp_path: Path, sizes: dict[str, float], note: str | None) -> None:
    metadata: dict[str, Any] = {"axes": "ZYX"}
    metadata |= {f"PhysicalSize{axis}": size for axis, size in sizes.items()}
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, array_of("ZYX"), photometric="minisblack", metadata=metadata)
    volume = read_volume(path)
    if note is None:
        assert (volume.grid.units, volume.spacing) == ("pixel", (1, 1, 1))
    else:
        assert volume.spacing == pytest.approx((5e-4, 5e-4, 5e-4))
        assert [note in text for text in volume.notes] == [True]


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_imagej_sizes(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "spacing": 2.5, "unit": unit}
    resolution = (1 / 0.325, 1 / 0.65)
    tifffile.imwrite(path, array_of("ZYX"), imagej=True, metadata=metadata, resolution=resolution)
    volume = read_volume(path)
    assert volume.spacing == pytest.approx((2.5e-3, 0.65e-3, 0.325e-3), rel=1e-6)


def test_tifffiles_own_spacing(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    metadata = {"axes": "ZYX", "spacing": 2.5, "unit": "mm"}
    tifffile.imwrite(
        path, array_of("ZYX"), photometric="minisblack", metadata=metadata, resolution=(4, 2)
    )
    assert read_volume(path).spacing == pytest.approx((2.5, 0.5, 0.25))


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [
        ("CENTIMETER", (40, 20), (0.25, 0.5, 0.25)),
        ("INCH", (50.8, 25400), (0.5, 0.001, 0.5)),
        ("NONE", (40, 20), None),
        ("INCH", (300, 300), None),
        ("INCH", (72, 72), None),
        ("CENTIMETER", (118.11, 118.11), None),  # 300 dots per inch
    ],
)
def test_resolution_tags_unless_they_are_for_printing(
    tmp_path: Path, unit: str, per_unit: Any, expected: Any
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array_of("YX"), resolution=per_unit, resolutionunit=unit)
    volume = read_volume(path)
    if expected is None:
        assert (volume.grid.units, volume.spacing) == ("pixel", (1, 1, 1))
        assert any("printing" in note for note in volume.notes) == (unit != "NONE")
    else:
        assert volume.spacing == pytest.approx(expected, rel=1e-5)
        assert volume.grid.units == "mm"


def test_spacing_from_the_user_wins(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {"axes": "ZYX", "PhysicalSizeX": 1, "PhysicalSizeY": 1, "PhysicalSizeZ": 1}
    tifffile.imwrite(path, array_of("ZYX"), photometric="minisblack", metadata=metadata)
    assert read_volume(path, spacing=(3, 2, 1)).spacing == (3, 2, 1)
    for wrong in [(1, 2), (1, 2, -3), (1, 2, np.inf)]:
        with pytest.raises(VolumeError, match="spacing"):
            read_volume(path, spacing=wrong)


@pytest.mark.parametrize("metadata", [{}, None])
def test_pages_without_a_meaning_are_slices_and_noted(tmp_path: Path, metadata: Any) -> None:
    values = array_of("ZYX")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="minisblack", metadata=metadata)
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values, values)
    assert any("taken for slices" in note for note in volume.notes)


@pytest.mark.parametrize("alpha", [False, True])
def test_colour_pictures(tmp_path: Path, alpha: bool) -> None:
    colours = RNG.integers(0, 255, (5, 6, 4 if alpha else 3)).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.tif")
    volume = read_volume(tmp_path / "a.tif")
    assert volume.channel_names == ("red", "green", "blue")
    np.testing.assert_array_equal(volume.values[:, 0], colours[..., :3].transpose(2, 0, 1))
    assert any("alpha" in note for note in volume.notes) == alpha


def test_no_slice_is_dropped_when_a_stack_is_mislabelled_as_colour(tmp_path: Path) -> None:
    values = array_of("ZYX")
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, values, photometric="rgb", planarconfig="separate")
    volume = read_volume(path)
    np.testing.assert_array_equal(volume.values[:, 0], values)
    assert any("if they are slices" in note for note in volume.notes)


def test_inverted_and_palette_pictures_keep_stored_values(tmp_path: Path) -> None:
    values = RNG.integers(0, 255, (5, 6)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite")
    table = RNG.integers(0, 65535, (3, 256)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "b.tif", values, photometric="palette", colormap=table)
    for name, note in [("a.tif", "MINISWHITE"), ("b.tif", "colour table")]:
        volume = read_volume(tmp_path / name)
        np.testing.assert_array_equal(volume.values[0], values)
        assert [note in text for text in volume.notes] == [True]


def test_only_the_first_of_several_images_is_read_and_noted(tmp_path: Path) -> None:
    first, second = array_of("ZYX"), array_of("YX")[:, :3]
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for values in (first, second):
            tif.write(values, photometric="minisblack", metadata={"axes": "ZYX"[-values.ndim :]})
    volume = read_volume(tmp_path / "a.tif")
    np.testing.assert_array_equal(volume.values, first)
    assert any("2 images" in note for note in volume.notes)


def test_axes_beyond_a_volume_are_named(tmp_path: Path) -> None:
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((2, 3, 5, 6), np.uint8),
        photometric="minisblack",
        metadata={"axes": "AZYX"},
    )
    with pytest.raises(VolumeError, match="axes AZYX"):
        read_volume(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((5, 6), np.complex64))
    with pytest.raises(VolumeError, match="complex64"):
        read_volume(tmp_path / "b.tif")


def test_planes_in_missing_files_are_no_silent_zeros(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, array_of("ZYX"), photometric="minisblack", metadata={"axes": "ZYX"})
    content = path.read_bytes()
    whole, part = b'<TiffData IFD="0" PlaneCount="4"/>', b'<TiffData IFD="0" PlaneCount="3"/>'
    assert whole in content
    path.write_bytes(content.replace(whole, part))
    with pytest.raises(VolumeError, match="lacks 1 of its planes"):
        read_volume(path)


def test_a_missing_codec_is_named_with_the_way_out(tmp_path: Path) -> None:
    Image.fromarray(array_of("YX")).save(tmp_path / "a.tif", compression="tiff_lzw")
    # In a process of its own, where imagecodecs is missing whether it is installed or not.
    script = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from napari_cam.volumes.reading import read_volume\n"
        "from napari_cam.errors import VolumeError\n"
        "try:\n    read_volume(sys.argv[1])\nexcept VolumeError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.tif")],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert re.search(r"LZW.*pip install imagecodecs", done.stdout)


def test_a_huge_promise_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), metadata=None, compression="zlib")
    with tifffile.TiffFile(path, mode="r+") as tif:
        for name in ("ImageWidth", "ImageLength", "RowsPerStrip"):
            tif.pages[0].tags[name].overwrite(60000)
    with pytest.raises(VolumeError, match="promises 3600000000 bytes"):
        read_volume(path)
