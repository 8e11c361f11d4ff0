import threading

from monitor.threads.channel import Channel
from monitor.threads.stage import Stage, join_all

DEADLINE_S = 10


def test_a_stage_keeps_its_error_and_tells_at_once() -> None:
    told: list[Stage] = []
    stage = Stage("broken", lambda: (_ for _ in ()).throw(RuntimeError("boom")).__next__(), told.append)
    stage.start()
    assert join_all([stage], DEADLINE_S) == []
    assert told == [stage]
    assert isinstance(stage.error, RuntimeError)


def test_a_straggler_is_named() -> None:
    release = threading.Event()
    done: list[bool] = []
    stage = Stage("stuck", lambda: done.append(release.wait(DEADLINE_S)), lambda _: None)
    stage.start()
    assert join_all([stage], 0.01) == ["stuck"]
    release.set()
    assert join_all([stage], DEADLINE_S) == []


def test_a_full_channel_makes_the_sender_wait_and_keeps_the_order() -> None:
    channel: Channel[int] = Channel(2)

    def send() -> None:
        for i in range(100):
            assert channel.put(i)
        channel.close()

    threading.Thread(target=send, daemon=True).start()
    got: list[int] = []
    while (items := channel.get_all(DEADLINE_S)) is not None:
        assert len(items) <= 2
        got += items
    assert got == list(range(100))


def test_more_at_once_than_there_is_room_for_come_in_order() -> None:
    channel: Channel[int] = Channel(2)
    sender = threading.Thread(target=lambda: channel.put_all(range(9)))
    sender.start()
    taken: list[int] = []
    while len(taken) < 9:
        items = channel.get_all(5.0)
        assert items
        assert len(items) <= 2
        taken += items
    sender.join()
    assert taken == list(range(9))


def test_closing_wakes_a_waiting_sender_and_what_waits_can_still_be_taken() -> None:
    channel: Channel[int] = Channel(1)
    channel.put(1)
    results: list[bool] = []
    sender = threading.Thread(target=lambda: results.append(channel.put(2)), daemon=True)
    sender.start()
    channel.close()
    sender.join(DEADLINE_S)
    assert results == [False]
    assert channel.get_all(0) == [1]
    assert channel.get_all(0) is None


def test_nothing_within_the_timeout_gives_an_empty_list() -> None:
    assert Channel[int](1).get_all(0.01) == []
