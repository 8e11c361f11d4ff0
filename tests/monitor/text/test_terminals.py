"""Output that is lost: told where it was wanted, and quiet where nobody reads any more."""

from __future__ import annotations

from pathlib import Path

from monitor.text.terminals import output_may_fail


def test_a_full_disk_is_told_and_a_closed_pipe_is_not() -> None:
    lost: list[OSError] = []
    with output_may_fail(lost.append), Path("/dev/full").open("w", buffering=1) as full:
        full.write("summary\n")
    assert [error.strerror for error in lost] == ["No space left on device"]
    with output_may_fail(lost.append):
        raise BrokenPipeError
    with output_may_fail():
        raise OSError
    assert len(lost) == 1
