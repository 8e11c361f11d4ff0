"""Checks of the promises of ``monitor.sources.source``. Every source passes them. Use them to test your own source.

    @pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
    def test_my_source(check: SourceCheck) -> None:
        check(SourceCase(lambda: MySource("door")))

Each check makes a new source. It raises AssertionError with one sentence if the source breaks a promise. Checks that
need a source in a special state are separate functions: ``check_hopeless``, ``check_interrupted``, ``check_lost``.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from itertools import pairwise, zip_longest

import numpy as np

from monitor.errors import CaptureError, SourceError
from monitor.sources.source import Position, Reader, Source
from monitor.testing.source_case import (
    CREDENTIALS,
    SourceCase,
    Step,
    allowed_to_fail,
    assert_pictures_unchanged,
    assert_same_steps,
    assert_source_sentence,
    no_errors,
    only_capture_errors,
    opened,
    positions_of,
    same_picture,
    steps_of,
    walked,
)
from monitor.types import Image

SourceCheck = Callable[[SourceCase], None]


# The source


def check_name_and_label(case: SourceCase) -> None:
    """The name is not empty and has no ``/``; the label holds no credentials; ``live`` is a bool."""
    source = case.make()
    assert source.name, "the source has no name"
    assert "/" not in source.name, f"the name '{source.name}' contains a '/'"
    assert source.label, "the source has no label"
    assert not case.secret or case.secret not in source.label, "the label contains the password"
    assert not CREDENTIALS.search(source.label), "the label contains credentials"
    assert isinstance(source.live, bool), f"live is {source.live!r}: it must be True or False"


def check_usable(case: SourceCase) -> None:
    """``check`` accepts a source that gives frames. The source still gives them afterwards."""
    source = case.make()
    with only_capture_errors("check"):
        source.check()
    with opened(source) as reader:
        pictures = (reader.retrieve() for _ in positions_of(reader, source, case))
        assert any(image is not None for image in pictures), "check accepts a source that gives no picture"


def check_opening_again(case: SourceCase) -> None:
    """A recorded source gives the same frames at each ``open``, even if two readers are open at the same time."""
    source = case.make()
    if source.live or not case.repeats:
        return
    with opened(source) as first, opened(source) as second:
        found = list(zip_longest(steps_of(first), steps_of(second)))
    assert found, "the source gives no frame"
    one, other = ([step for step in steps if step is not None] for steps in zip(*found, strict=True))
    assert_same_steps(one, other, "with two readers open at the same time")
    with opened(source) as reader:
        assert_same_steps(list(steps_of(reader)), one, "when it is opened again")


# Stepping


def check_positions(case: SourceCase) -> None:
    """Times and indices increase strictly; ``grab`` skips no frame; the frame rate is above 0."""
    source = case.make()
    with opened(source) as reader:
        assert math.isfinite(reader.fps), f"fps is {reader.fps}"
        assert reader.fps > 0, f"fps is {reader.fps}"
        before: Position | None = None
        for position in positions_of(reader, source, case):
            assert isinstance(position.index, int), f"the index {position.index!r} is not an int"
            assert isinstance(position.time_s, float), f"the time {position.time_s!r} is not a float"
            assert position.index >= 0, f"the index {position.index} is below 0"
            assert math.isfinite(position.time_s), f"the time is {position.time_s}"
            assert position.passed == 0, f"grab skipped {position.passed} frames"
            if before is not None:
                assert position.index > before.index, f"index {position.index} follows {before.index}"
                assert position.time_s > before.time_s, f"time {position.time_s} s follows {before.time_s} s"
            before = position
    assert before is not None, "the source gives no frame"


def check_end(case: SourceCase) -> None:
    """After its last frame a recorded source gives None, and None again."""
    source = case.make()
    if source.live:
        return
    with opened(source) as reader:
        for _ in positions_of(reader, source, case):
            pass
        for step in (reader.grab, lambda: reader.skip_to(-math.inf), lambda: reader.skip_to(math.inf), reader.grab):
            with only_capture_errors("a step after the end"):
                found = step()
            assert found is None, f"frame {found} comes after the end"


def check_skipping(case: SourceCase) -> None:
    """``skip_to`` gives the first frame at or after the time, or a frame before it. It never skips the last frame.

    ``passed`` is the number of skipped frames. The picture belongs to the position. If the last frame is given although
    it is before the time, its picture may be missing.
    """
    if case.make().live:
        _check_live_skipping(case)
        return
    known = walked(case)
    times = [position.time_s for position, _ in known]
    middle, end = len(times) // 2, len(times)
    between = [(a + b) / 2 for a, b in pairwise(times)]
    plans = [
        [math.inf, math.inf],
        [times[0], times[middle], times[0], *between[middle + 2 :: 3], *[times[-1]] * end],
        [*[-math.inf] * min(6, middle), *between[middle::2], *[times[-1] + 1.0] * end],
    ]
    for plan in plans:
        with opened(case.make()) as reader:
            _check_plan(reader, plan, known)


def _check_plan(reader: Reader, plan: list[float], known: list[Step]) -> None:
    numbers = {position.index: number for number, (position, _) in enumerate(known)}
    at = -1
    for time_s in plan:
        position = reader.skip_to(time_s)
        if at == len(known) - 1:
            assert position is None, f"frame {position} comes after the last one"
            continue
        assert position is not None, f"skip_to({time_s}) ends before it has given out the last frame"
        assert position.index in numbers, f"skip_to({time_s}) gives frame {position.index}, which grab does not give"
        number = numbers[position.index]
        wanted = next((n for n in range(at + 1, len(known)) if known[n][0].time_s >= time_s), len(known) - 1)
        assert number > at, f"skip_to({time_s}) goes back to frame {position.index}"
        assert number <= wanted, f"skip_to({time_s}) gives frame {position.index}, later than necessary"
        assert position.time_s == known[number][0].time_s, f"frame {position.index} has another time if skipped to"
        passed = number - at - 1
        assert position.passed == passed, f"skip_to({time_s}) reports {position.passed} skipped frames, not {passed}"
        image = reader.retrieve()
        missing = image is None and number == len(known) - 1 and position.time_s < time_s
        assert missing or same_picture(image, known[number][1]), (
            f"frame {position.index} has another picture if skipped to"
        )
        at = number


def _check_live_skipping(case: SourceCase) -> None:
    with opened(case.make()) as reader:
        last: Position | None = None
        for _ in range(max(2, case.live_frames // 4)):
            position = reader.skip_to(-math.inf if last is None else last.time_s + 4 / reader.fps)
            if position is None:
                break
            if last is not None:
                assert position.time_s > last.time_s, f"time {position.time_s} s follows {last.time_s} s"
                steps = position.index - last.index
                assert 0 <= position.passed < steps, f"{position.passed} frames are skipped in {steps} steps"
            last = position
        assert last is not None, "the source gives no frame"


# Pictures


def check_pictures(case: SourceCase) -> None:
    """A picture is None or (H, W, 3) uint8, C-contiguous, and the same each time it is retrieved.

    It does not change when the reader continues or is closed.
    """
    source = case.make()
    held: list[tuple[Position, Image, Image]] = []
    with opened(source) as reader:
        for position in positions_of(reader, source, case):
            assert isinstance(reader.frame_name, str), f"the name of frame {position.index} is {reader.frame_name!r}"
            first = reader.retrieve()
            copy = None if first is None else first.copy()
            assert same_picture(copy, reader.retrieve()), (
                f"frame {position.index} is another picture if retrieved again"
            )
            if first is None or copy is None:
                continue
            what = f"the picture of frame {position.index} is {first.shape} {first.dtype}"
            assert first.ndim == 3, what
            assert first.shape[2] == 3, what
            assert min(first.shape) > 0, what
            assert first.dtype == np.uint8, what
            assert first.flags.c_contiguous, f"the picture of frame {position.index} is not C-contiguous"
            held.append((position, first, copy))
    assert held, "the source gives no picture"
    assert_pictures_unchanged(held)


def check_given_memory(case: SourceCase) -> None:
    """``retrieve_into`` gives the same picture as ``retrieve``. If it uses the given memory, the picture stays there.

    Memory of another size is never used.
    """
    source = case.make()
    held: list[tuple[Position, Image, Image]] = []
    with opened(source) as reader:
        size: tuple[int, ...] = (2, 2, 3)
        for number, position in enumerate(positions_of(reader, source, case)):
            memory = np.zeros(size, np.uint8)
            expected = reader.retrieve() if number % 2 else None
            found = reader.retrieve_into(memory)
            if not number % 2:
                expected = reader.retrieve()
            assert same_picture(found, expected), (
                f"frame {position.index} is another picture if it is put into given memory"
            )
            if found is None or expected is None:
                continue
            held.append((position, found, expected.copy()))
            if np.shares_memory(found, memory):
                assert found.shape == size, f"frame {position.index} is put into memory of another size"
                assert np.array_equal(memory, expected), f"frame {position.index} does not fill the given memory"
            size = expected.shape
            other = np.zeros((size[0] + 2, size[1], 3), np.uint8)
            elsewhere = reader.retrieve_into(other)
            assert same_picture(elsewhere, expected), (
                f"frame {position.index} is another picture if the memory is too large"
            )
            assert not np.shares_memory(elsewhere, other), (
                f"frame {position.index} does not fit into the memory it is put into"
            )
    assert held, "the source gives no picture"
    assert_pictures_unchanged(held)


# Closing


def check_closing(case: SourceCase) -> None:
    """``close`` is safe to call twice, before the first frame and after it."""
    for frames in (0, 1):
        source = case.make()
        if source.live and not frames:  # connecting takes long, and one check of closing is enough
            continue
        with only_capture_errors("open"):
            reader = source.open()
        with only_capture_errors("grab"):
            for _ in range(frames):
                reader.grab()
        for _ in range(2):
            with no_errors("close"):
                reader.close()
        with no_errors("leaving the reader's context"), reader:
            pass


def check_interrupting_early(case: SourceCase) -> None:
    """``interrupt`` is safe to call twice, before ``open``. After it, the source raises only the promised errors."""
    source = case.make()
    for _ in range(2):
        with no_errors("interrupt"):
            source.interrupt()
    with allowed_to_fail("a source that is interrupted"), source.open() as reader:
        reader.grab()


SOURCE_CHECKS: tuple[SourceCheck, ...] = (
    check_name_and_label,
    check_usable,
    check_opening_again,
    check_positions,
    check_end,
    check_skipping,
    check_pictures,
    check_given_memory,
    check_closing,
    check_interrupting_early,
)


# Sources in a special state


def check_hopeless(make: Callable[[], Source], secret: str = "") -> None:
    """If a source can never give a frame, making it or its ``check`` raises SourceError, and no other error.

    If it is opened anyway, it gives no picture, and raises only CaptureError or SourceError.
    """
    try:
        source = make()
    except SourceError as error:
        assert_source_sentence(error, secret)
        return
    try:
        source.check()
    except SourceError as error:
        assert_source_sentence(error, secret)
    else:
        raise AssertionError("check accepts a source that can never give a frame")
    with allowed_to_fail("a source without frames", secret), source.open() as reader:
        while reader.grab() is not None:
            assert reader.retrieve() is None, "check refuses a source that gives a picture"
        assert reader.grab() is None, "a frame comes after the end"


def check_interrupted(source: Source, reader: Reader, within_s: float = 5.0) -> None:
    """``interrupt`` ends a read that waits. It cannot be undone: the next read and the next ``open`` also end soon.

    reader: an open reader of the source; its next frame does not come within ``within_s`` seconds.
    """
    ends: list[Exception | None] = []

    def read() -> None:
        try:
            reader.grab()
            ends.append(None)
        except Exception as error:  # noqa: BLE001 - judged below, in the thread that checks
            ends.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    # ``interrupt`` must also end a read that starts later, so this need not wait until the thread reads.
    source.interrupt()
    thread.join(within_s)
    assert not thread.is_alive(), f"interrupt does not end a read within {within_s} s"
    again = threading.Thread(target=read, daemon=True)
    again.start()
    again.join(within_s)
    assert not again.is_alive(), f"a read after interrupt does not end within {within_s} s"
    for error in ends:
        assert error is None or isinstance(error, CaptureError), f"an interrupted read raises {error!r}"
    started = time.monotonic()
    with allowed_to_fail("a source that is interrupted"), source.open() as second:
        second.grab()
    took_s = time.monotonic() - started
    assert took_s < within_s, f"after interrupt, opening again takes {took_s:.1f} s"


def check_lost(reader: Reader, within_s: float, secret: str = "") -> None:
    """A live source that is lost raises CaptureError within its deadline, and again at the next read.

    reader: an open reader of a source that gives no more frames, except a few that have arrived already.
    """
    deadline = time.monotonic() + within_s
    try:
        while True:
            assert time.monotonic() < deadline, f"a lost source is not noticed within {within_s} s"
            assert reader.grab() is not None, "a lost source ends like a recording, without an error"
    except CaptureError as error:
        assert_source_sentence(error, secret)
    try:
        reader.grab()
    except CaptureError as error:
        assert_source_sentence(error, secret)
