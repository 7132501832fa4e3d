"""What docs/masks.md states about the rules on the sample is what they give there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import napari_cam as nc
from napari_cam.sample import load_sample_phantom

PAGE = (Path(__file__).parents[2] / "docs" / "masks.md").read_text(encoding="utf-8")


def stated() -> dict[str, str]:
    """Return coverage and IoU as the page has them, by the rule's text."""
    found = {}
    for rule, one, volume in re.findall(
        r"^\| `([\w:.-]+)` \| (\d.+?) \| (.*?) ?\|$", PAGE, re.MULTILINE
    ):
        if "%" in one:
            found[rule] = one
        if "%" in volume:
            found[f"{rule}:volume"] = volume
    return found


def test_the_table_of_the_sample_is_true() -> None:
    phantom = load_sample_phantom()
    truth = phantom.damage > 0.5
    model = nc.load_sample_model()
    heatmap = nc.explain_one(model, phantom.volume, "gradcam", "damaged", normalize="volume")
    table = stated()
    assert len(table) == 14
    assert f"{100 * truth.mean():.1f} % of the voxels" in PAGE
    for rule, text in table.items():
        mask = nc.binarize(heatmap, rule)["mask"]
        covers, iou = re.fullmatch(r"([\d.]+) %, ([\d.]+)", text).groups()  # type: ignore[union-attr]
        assert 100 * mask.mean() == pytest.approx(float(covers), abs=0.06), rule
        assert nc.iou(mask, truth) == pytest.approx(float(iou), abs=0.002), rule


def test_the_stated_foregrounds_are_true() -> None:
    phantom = load_sample_phantom()
    for method, said in (("kmeans", "0.929"), ("otsu", "0.976"), ("nonzero", "0.411")):
        assert said in PAGE
        found = nc.foreground(phantom.volume, method)  # type: ignore[arg-type]
        assert nc.iou(found, phantom.tissue) == pytest.approx(float(said), abs=0.002)
