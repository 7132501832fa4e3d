"""Scores of cases are stored as they are, and joined they say what all cases at once say."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from functools import cache, partial

import numpy as np
import pandas as pd
import pytest

import napari_cam as nc
from napari_cam.errors import ReportError, WriteError
from napari_cam.reports.page.plotting import drawn
from napari_cam.reports.page.saving import facts_of
from tests.reports.faithfulness.linear import Weighted, model_of
from tests.reports.heatmaps import SHAPE, blob, heatmap, noise

KINDS = ("overlap", "agreement", "association", "faithfulness")
SCORING = {
    "overlap": {"thresholds": ["fixed:0.4", "otsu"], "strict": False},
    "agreement": {"thresholds": ["fixed:0.4", "fixed:0.6"], "headline": "fixed:0.6"},
    "association": {"thresholds": [0.3, 0.5]},
    "faithfulness": {
        "curves": nc.CurveSettings(steps=4, removed=(0.3,)),
        "score": "logit",
        "stages": 2,
        "random_networks": 1,
        "device": "cpu",
    },
}
LOSS = {"s0": 1.0, "s1": 3.0, "s2": 2.0}


@cache
def network():
    weights = np.zeros((11, 13))
    weights[:4, :5] = 0.1
    return model_of(Weighted(weights))


def case_of(kind, number, moved=False):
    """Return a case; where `moved` its reference, or else its first map, is another one."""
    whole = np.ones(SHAPE, bool)
    whole[:, 0] = False
    facts = {"subject": f"s{number}", "group": f"g{number}", "class_name": "ab"[number % 2]}
    if kind == "faithfulness":
        image = np.random.default_rng(number).random(SHAPE).astype(np.float32)
        ((key, own),) = nc.explain(network(), image, ["saliency"], ["yes"]).items()
        # Of the second nobody says how it was made, so that it is not made again.
        odd = replace(own, values=own.values[:, ::-1].copy(), provenance={})
        maps = {key: own, ("odd", "net"): odd}
        volume = nc.Volume.from_array(image)
        return nc.Case(maps, blob(9 if moved else 5, 0.2), image=volume, **facts)
    maps = {
        ("gradcam", "vgg"): heatmap(noise(90 if moved else number), model={"sha256": "abc"}),
        ("cam", "vgg", "last"): heatmap(noise(number + 20), predicted=[1, 0, 1, 1]),
        ("gradcam", "res"): heatmap(noise(number + 40), inside=whole),
    }
    if kind != "association":
        maps["drawn"] = blob(number + 60)
    # The first subject shows nothing, so that the pictures are those of the second.
    reference = blob(number + 80, 0.2) & (number > 0)
    image = nc.Volume(noise(number + 7), maps["gradcam", "vgg"].grid)
    return nc.Case(maps, reference, foreground=whole, image=image, **facts)


REPORT = {
    "overlap": partial(nc.reference_report, resamples=50),
    "agreement": partial(nc.agreement_report, resamples=50),
    "association": partial(nc.association_report, measurements=LOSS, resamples=50),
    "faithfulness": partial(nc.faithfulness_report, resamples=50),
}


def score(kind, case, **more):
    model = {"model": network()} if kind == "faithfulness" else {}
    return nc.score_case(case, kind, **SCORING[kind] | model | more)


def at_once(kind):
    cases = (case_of(kind, number) for number in range(3))
    more = {"model": network()} if kind == "faithfulness" else {}
    return REPORT[kind](cases, **SCORING[kind] | more)


def parts_of(path):
    """Return what a file of scores holds, what made them left out."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(parts.pop("header.json"))
    return {name: each for name, each in header.items() if name != "provenance"}, parts


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scores")
    for kind in KINDS:
        for number in range(3):
            score(kind, case_of(kind, number)).save(path / f"{kind}-{number}.npz")
    return path


def stored(folder, kind):
    return [nc.read_scores(folder / f"{kind}-{number}.npz") for number in range(3)]


@pytest.mark.parametrize("kind", KINDS)
def test_stored_and_joined_they_say_what_all_at_once_say(kind, folder):
    once, joined = at_once(kind), REPORT[kind](iter(stored(folder, kind)))
    pd.testing.assert_frame_equal(joined.table, once.table, check_exact=True)
    facts = [facts_of(each) for each in (once, joined)]
    for each in facts:
        del each["provenance"]["time"]
    assert json.dumps(facts[0]) == json.dumps(facts[1])
    assert joined.summary() == once.summary()
    assert list(joined.arrays) == list(once.arrays)
    for name, array in once.arrays.items():
        assert array.dtype == joined.arrays[name].dtype
        assert np.array_equal(array, joined.arrays[name])
    pictures = ([each for each in report.figures if each.picture] for report in (once, joined))
    for pair in zip(*pictures, strict=True):
        one, two = (drawn(each.draw(), "png") for each in pair)
        assert one == two


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_what_was_written(kind, folder, tmp_path):
    for number, each in enumerate(stored(folder, kind)):
        assert (each.report, each.subject) == (kind, f"s{number}")
        again = each.save(tmp_path / f"{kind}.npz", overwrite=True)
        assert again.read_bytes() == (folder / f"{kind}-{number}.npz").read_bytes()
        assert each.settings == score(kind, case_of(kind, 0)).settings


@pytest.mark.parametrize("kind", KINDS)
def test_one_other_mask_changes_the_scores_of_its_case_alone(kind, folder, tmp_path):
    for number in range(3):
        path = score(kind, case_of(kind, number, moved=number == 1)).save(
            tmp_path / f"{number}.npz"
        )
        same = parts_of(path) == parts_of(folder / f"{kind}-{number}.npz")
        assert same == (number != 1)


@pytest.mark.parametrize("kind", KINDS)
def test_scores_of_other_settings_are_not_joined(kind, folder):
    other = {
        "overlap": ({"thresholds": ["otsu"]}, "thresholds"),
        "agreement": ({"ranks": False}, "ranks = True, those of 's2' with False"),
        "association": ({"strict": False}, "strict"),
        "faithfulness": ({"stages": 1}, "stages"),
    }[kind]
    odd = score(kind, case_of(kind, 2), **other[0])
    with pytest.raises(ReportError, match=f"were made with {other[1]}.*the same settings"):
        REPORT[kind]([*stored(folder, kind)[:2], odd])


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_set_of_scores_is_refused(kind, folder):
    found = stored(folder, kind)
    other = stored(folder, KINDS[KINDS.index(kind) - 1])
    with pytest.raises(ReportError, match="not for this one"):
        REPORT[kind](other)
    with pytest.raises(ReportError, match="not both together"):
        REPORT[kind]([found[0], case_of(kind, 1)])
    asked = {"seed": 3} if kind == "faithfulness" else {"thresholds": ["fixed:0.9"]}
    with pytest.raises(ReportError, match="score the cases again, or leave it out"):
        REPORT[kind](found, **asked)
    # The same settings may be said again.
    REPORT[kind](found, **SCORING[kind])


def test_settings_may_be_numbers_and_flags_of_numpy(folder, tmp_path):
    plain = {"thresholds": [0.25], "strict": False, "ranks": False}
    numbers = {"thresholds": [np.float32(0.25)], "strict": np.False_, "ranks": np.False_}
    for settings in (plain, numbers):
        one = nc.score_case(case_of("agreement", 1), "agreement", **settings)
        assert nc.read_scores(one.save(tmp_path / "one.npz", overwrite=True)).settings == (
            nc.score_case(case_of("agreement", 1), "agreement", **plain).settings
        )


def test_a_case_in_which_nothing_counts_is_kept_and_joined(folder, tmp_path):
    nowhere = replace(case_of("overlap", 1), foreground=np.zeros(SHAPE, bool))
    empty = nc.score_case(nowhere, **SCORING["overlap"])
    found = nc.read_scores(empty.save(tmp_path / "empty.npz"))
    assert found.content.maps[0].unit.size == 0
    whole = stored(folder, "overlap")[2]
    pd.testing.assert_frame_equal(
        nc.reference_report([whole, found], resamples=0).table,
        nc.reference_report([whole, empty], resamples=0).table,
        check_exact=True,
    )
    with pytest.raises(ReportError, match="No voxel can be compared"):
        nc.reference_report(found)


def test_of_a_case_without_pictures_none_are_shown(folder):
    bare = [
        nc.score_case(case_of("overlap", n), pictures=False, **SCORING["overlap"]) for n in (0, 1)
    ]
    report = nc.reference_report(bare, resamples=0)
    assert not report.arrays
    assert "maps" not in {figure.name for figure in report.figures}
    more = nc.reference_report([*bare, stored(folder, "overlap")[2]], resamples=0)
    assert "maps" in {figure.name for figure in more.figures}


def test_one_case_alone_may_be_given(folder):
    one = stored(folder, "overlap")[1]
    report = nc.reference_report(one, resamples=0)
    assert set(report.select(level="subject")["subject"]) == {"s1"}
    with pytest.raises(ReportError, match="own reference; leave it out"):
        nc.reference_report(one, blob(1))


def test_what_cannot_be_scored_is_refused():
    with pytest.raises(ReportError, match="What is scored is a case"):
        nc.score_case(heatmap(noise(1)))
    with pytest.raises(ReportError, match="There is no report 'iou'"):
        nc.score_case(case_of("overlap", 1), "iou")
    with pytest.raises(ReportError, match="asks the network"):
        nc.score_case(case_of("faithfulness", 1), "faithfulness")
    with pytest.raises(ReportError, match="no reference"):
        nc.score_case(nc.Case(heatmap(noise(1))))


def test_files_are_not_replaced_unless_asked(folder, tmp_path):
    one = stored(folder, "overlap")[0]
    path = one.save(tmp_path / "one.npz")
    with pytest.raises(WriteError, match="exists already"):
        one.save(path)
    assert one.save(path, overwrite=True) == path
    assert [each.name for each in tmp_path.iterdir()] == ["one.npz"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_file_ends_in_one_named_error(kind, folder, tmp_path):
    good = (folder / f"{kind}-1.npz").read_bytes()
    expected = parts_of(folder / f"{kind}-1.npz")
    path = tmp_path / "damaged.npz"
    for place in range(0, len(good), max(1, len(good) // 60)):
        cut, hit = good[:place], bytes([good[place] ^ 255])
        for content in (cut, cut + hit + good[place + 1 :]):
            path.write_bytes(content)
            try:
                found = nc.read_scores(path)
            except ReportError:
                continue
            # What was hit says nothing, such as a time: the scores are what they were.
            found.save(tmp_path / "same.npz", overwrite=True)
            assert parts_of(tmp_path / "same.npz") == expected


def write(path, header, arrays=()):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("header.json", header if isinstance(header, str) else json.dumps(header))
        for number, array in enumerate(arrays):
            archive.writestr(f"array-{number}.npy", array)
    return path


def test_a_file_of_something_else_ends_in_one_named_error(folder, tmp_path):
    path = tmp_path / "other.npz"
    with pytest.raises(ReportError, match="no file"):
        nc.read_scores(path)
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ReportError, match="no scores that can be read"):
        nc.read_scores(path)
    good, _ = parts_of(folder / "association-1.npz")
    good["provenance"] = {}
    later = good | {"napari_cam_scores": 2}
    with pytest.raises(ReportError, match="a later version"):
        nc.read_scores(write(path, later))
    header = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    header += b" " * (118 - len(header) - 1) + b"\n"
    magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    huge = header.replace(b"|O", b"<f8").replace(
        b"(1,), ", b"(1 << 40,)".replace(b"1 << 40", b"9" * 12)
    )
    for content in (magic + header + b"x" * 8, magic + huge + b"x" * 8, b"x"):
        with pytest.raises(ReportError, match="no scores that can be read"):
            nc.read_scores(write(path, good, [content] * 9))
    for odd in ("[" * 100_000, "[]", "{}", "{", good | {"content": {}}, good | {"report": "iou"}):
        with pytest.raises(ReportError, match="no scores that can be read"):
            nc.read_scores(write(path, odd))


def test_numbers_of_another_shape_are_noticed(folder, tmp_path):
    for kind in KINDS:
        header, arrays = parts_of(folder / f"{kind}-1.npz")
        short = tmp_path / "short.npy"
        names = sorted(arrays, key=lambda name: int(name[6:-4]))
        np.save(short, np.load(folder / f"{kind}-1.npz")[names[0][:-4]][:-1])
        parts = [short.read_bytes(), *(arrays[name] for name in names[1:])]
        path = write(tmp_path / "short.npz", header | {"provenance": {}}, parts)
        with pytest.raises(ReportError, match="fit each other"):
            nc.read_scores(path)
