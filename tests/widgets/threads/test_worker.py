"""Jobs that nobody holds: they live until their last news, on every Qt binding."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

from napari_cam.widgets.threads.worker import Job


@pytest.mark.parametrize("fails", [False, True], ids=["ends", "fails"])
@pytest.mark.parametrize("dropped", [False, True], ids=["kept", "dropped"])
def test_a_job_that_nobody_holds_lives_until_its_end_and_no_longer(qtbot, fails, dropped):
    gate, news, ends = threading.Event(), [], []

    def steps():
        yield 1
        assert gate.wait(20)
        if fails:
            raise RuntimeError("shapes do not fit")
        yield 2

    job = Job(steps, news.append, ends.append).start()
    qtbot.waitUntil(lambda: news == [1], timeout=10_000)
    if dropped:
        job.drop()
    alive = weakref.ref(job)
    del job
    gc.collect()
    assert alive() is not None, "its signals would call freed memory"
    gate.set()

    def gone():
        gc.collect()
        return alive() is None

    qtbot.waitUntil(gone, timeout=10_000)
    assert news == ([1] if dropped or fails else [1, 2])
    assert [failure and str(failure.error) for failure in ends] == (
        [] if dropped else ["shapes do not fit" if fails else None]
    )
