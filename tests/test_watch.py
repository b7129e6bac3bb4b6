from __future__ import annotations

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
