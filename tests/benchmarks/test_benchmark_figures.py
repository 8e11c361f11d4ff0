"""The figures that the benchmarks of latency and plumbing compute from their measurements."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.lib.glass import Heard, Passage, alert_delays, score_delays
from benchmarks.lib.rates import of_baseline, steady_rate
from benchmarks.lib.stamp import HEIGHT_PX, WIDTH_PX, read, strip
from benchmarks.lib.stamped_monitor import Stamped, Stamps
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.messages import SCHEMA, AlertMessage, ScoreMessage
from monitor.sinks.evidence.alert_pictures import from_jpeg, to_jpeg
from monitor.states import Phase
from monitor.testing.scripted import ScriptedSource, Shot
from monitor.types import Image


def stamped(unix_s: float, width: int = 640, height: int = 360) -> Image:
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[:HEIGHT_PX] = np.frombuffer(strip(unix_s, width), np.uint8).reshape(HEIGHT_PX, width, 1)
    return picture


@given(st.floats(0, 4e9), st.integers(WIDTH_PX, 2000))
def test_a_stamp_is_read_as_it_was_written(unix_s: float, width: int) -> None:
    assert read(stamped(unix_s, width, HEIGHT_PX)) == pytest.approx(unix_s, abs=1e-6)


def test_a_stamp_survives_strong_compression_and_noise() -> None:
    noise = np.random.default_rng(0).integers(0, 60, (360, 640, 3), np.uint8)
    picture = from_jpeg(to_jpeg(np.asarray(stamped(1.7e9) // 2 + noise, np.uint8), 20))
    assert read(picture) == 1.7e9


def test_a_picture_without_a_stamp_or_with_a_damaged_one_has_none() -> None:
    damaged = stamped(1.7e9)
    damaged[:16, 160:176] = 255 - damaged[:16, 160:176]
    for picture in (damaged, np.full((360, 640, 3), 90, np.uint8), stamped(1.7e9)[:20], stamped(1.7e9)[:, :500]):
        assert read(picture) is None


def test_stamps_are_kept_by_the_index_that_the_score_messages_have() -> None:
    # The indices of the source start again at each connection. Those of the frames of a live camera continue.
    stamps = Stamps()
    source = Stamped(ScriptedSource([[Shot(0.0, size=(640, 360)), Shot(0.1, size=(640, 360))]], live=False), stamps)
    for _ in range(2):
        with source.open() as reader:
            while reader.grab() is not None:
                reader.retrieve()
    assert stamps.found == {"scripted": []}, "black frames contain no stamp"
    source.look(stamped(5.0))
    assert stamps.found == {"scripted": [(3, 5.0)]}


def score(camera: str, index: int, sent_at: float, value: float | None = 0.5) -> ScoreMessage:
    return ScoreMessage(
        schema=SCHEMA,
        node="n",
        epoch="e",
        seq=index + 1,
        sent_at=sent_at,
        camera=camera,
        time_s=index / 10,
        frame_index=index,
        score=value,
        captured_at=sent_at - 0.02,
    )


def alert(camera: str, sent_at: float) -> AlertMessage:
    return AlertMessage(
        schema=SCHEMA,
        node="n",
        epoch="e",
        seq=1,
        sent_at=sent_at,
        event_id="1",
        phase=Phase.START,
        camera=camera,
        started_at=0.0,
        ended_at=None,
        started_s=0.0,
        ended_s=None,
        score=1.0,
        peak_score=1.0,
        expected_false_alarms_per_day=None,
        notify=True,
        model=ModelRef(id="m", hash="h"),
        frame_age_s=0.0,
        dropped_frames=0,
    )


def test_an_alert_belongs_to_its_cameras_last_score_before_it() -> None:
    scores = [score("a", 0, 10.0), score("b", 0, 10.01), score("a", 3, 10.1), score("a", 6, 10.2)]
    heard = Heard([(s.sent_at + 0.005, s) for s in scores], [(10.13, alert("a", 10.11)), (9.0, alert("b", 9.0))])
    stamps = {("a", 0): 9.9, ("a", 3): 10.02, ("b", 0): 9.95}
    assert list(alert_delays(heard, stamps)) == [Passage(10.02, 10.1 - 0.02, 10.13)]
    assert [passage.glass for passage in score_delays(heard, stamps)] == [9.9, 9.95, 10.02]


def test_frames_that_could_not_be_judged_do_not_count() -> None:
    heard = Heard([(1.0, score("a", 0, 0.9, None))])
    assert list(score_delays(heard, {("a", 0): 0.5})) == []


def test_a_rate_is_that_of_the_time_in_which_all_streams_ran() -> None:
    early, late = [0.0, 1.0, 2.0, 3.0, 4.0], [2.0, 2.5, 3.0, 3.5, 4.0, 4.5, 5.0]
    assert steady_rate([early]) == 1.0
    assert steady_rate([early, late]) == 3.0
    with pytest.raises(ValueError, match="longer video"):
        steady_rate([[0.0, 1.0], [2.0, 3.0]])
    assert of_baseline([1.0, 3.0], [2.0, 4.0]) == [0.5, 0.75]
