from __future__ import annotations

import pytest

from napari_deepz.watch import Progress


def test_time_left_is_extrapolated_from_the_steps_done() -> None:
    now = iter([0.0, 10.0, 10.0, 10.0])
    progress = Progress(5, clock=lambda: next(now))
    assert progress.remaining_s is None
    assert progress.describe() == "0 of 5"
    progress.advance(2)
    assert progress.remaining_s == 15
    assert progress.describe() == "2 of 5, 15 s left"


def test_steps_done_earlier_do_not_make_it_look_fast() -> None:
    now = iter([0.0, 10.0])
    progress = Progress(100, done=90, clock=lambda: next(now))
    assert progress.remaining_s is None
    progress.advance(5)
    assert progress.remaining_s == 10


def test_minutes_and_the_end() -> None:
    now = iter([0.0, 100.0, 100.0])
    progress = Progress(3, clock=lambda: next(now))
    progress.advance()
    assert progress.describe() == "1 of 3, 3 min 20 s left"
    progress.advance(7)
    assert progress.describe() == "3 of 3"


def test_what_comes_before_the_first_step_does_not_count_for_the_others() -> None:
    """An image takes ten seconds to encode, and each of its planes a tenth of one."""
    now_s = 0.0
    progress = Progress(40, preparing=2, clock=lambda: now_s)
    now_s = 5.0
    progress.prepare()
    assert progress.fraction is None
    assert progress.describe() == "preparing, 1 of 2 parts"
    now_s = 10.0
    progress.prepare()
    now_s = 11.0
    progress.advance(10)
    assert progress.remaining_s == pytest.approx(3)
    assert progress.describe() == "10 of 40, 3 s left"
    assert progress.fraction == pytest.approx(11 / 14)


def test_preparing_between_the_steps_is_counted_too() -> None:
    now_s = 0.0
    progress = Progress(8, preparing=4, clock=lambda: now_s)
    for _ in range(2):
        now_s += 5
        progress.prepare()
        now_s += 1
        progress.advance(2)
    assert progress.remaining_s == pytest.approx(12)
    assert progress.fraction == pytest.approx(0.5)
