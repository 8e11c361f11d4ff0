"""What a scrape shows: the figures of the run and of each camera; and the health of the process."""

from __future__ import annotations

import http.client
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from monitor.errors import BindError
from monitor.promise import AlarmRate
from monitor.reports import Progress, RunReport
from monitor.sinks.metrics.metrics_server import MOST_CLIENTS, MetricsServer
from monitor.sinks.metrics.metrics_settings import MetricsSettings
from monitor.sinks.metrics.metrics_sink import HANGS_AFTER_S, MetricsSink, StoreFigures
from monitor.states import CameraState
from monitor.testing.fakes import monitor_of, scored
from monitor.testing.sink_contract import report_of

FREE = MetricsSettings(listen="127.0.0.1:0")
DEADLINE_S = 20
Samples = dict[tuple[str, ...], float]


class Now:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.s = 100.0
        self.store = StoreFigures(failing=False, unstored=0, size_bytes=4096)

    def __call__(self) -> float:
        return self.s


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def sink(now: Now) -> Iterator[MetricsSink]:
    made = MetricsSink(
        FREE,
        node="office",
        version="1.2.3",
        store=lambda: now.store,
        lost=lambda: {"evidence": 7, "webhook.house": 2},
        given=lambda: {"normal": 3, "real": 1, "named": 0},
        clock=now,
    )
    with made:
        yield made


def ask(sink: MetricsSink | MetricsServer, path: str, method: str = "GET") -> tuple[int, str]:
    with closing(http.client.HTTPConnection(sink.address.removeprefix("http://"), timeout=DEADLINE_S)) as connection:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def scrape(sink: MetricsSink) -> Samples:
    """(name, label values in order of the labels' names) -> value."""
    status, text = ask(sink, "/metrics")
    assert status == 200
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def run_of(sink: MetricsSink) -> None:
    monitor = monitor_of("door")
    sink.added(monitor)
    for number in range(3):
        frame = scored(number / 10)
        sink.score(monitor.update(frame))
    rate = AlarmRate(alarms=4, watched_s=2 * 86_400.0, promised_per_day=1.0, low=0.5, high=5.0, blind_s=43_200.0)
    sink.tick(
        RunReport(
            60.0,
            3,
            (
                report_of("door", promise=rate, dropped=5, missing=2, watched_s=100.0, unscored_s=25.0, events=4),
                report_of("yard", CameraState.OFFLINE, score=float("nan"), reconnects=6),
                report_of("hall", CameraState.LEARNING, score=float("nan"), progress=Progress(0.25, "recording")),
            ),
        )
    )


def test_a_scrape_shows_how_long_each_stage_takes(sink: MetricsSink, now: Now) -> None:
    monitor = monitor_of("door")
    now.s = 100.0
    for took_s in (0.03, 0.05):
        item = scored(took_s)
        frame = replace(item.frame, captured_at=99.0, prepared_s=0.2)
        times = (("motion", took_s), ("scene", 0.25))
        sink.score(monitor.update(replace(item, frame=frame, scored_at=99.9, started_at=99.5, took=times)))
    sink.score(monitor.update(scored(0.3)))  # not measured
    found = scrape(sink)
    sums = {key[1:]: value for key, value in found.items() if key[0] == "truesight_stage_duration_seconds_sum"}
    expected = {("", "prepare"): 0.4, ("", "wait"): 0.6, ("", "judge"): 0.2}
    assert sums == pytest.approx(expected | {("motion", "detect"): 0.08, ("scene", "detect"): 0.5})
    assert found["truesight_stage_duration_seconds_count", "motion", "detect"] == 2


def test_a_scrape_shows_the_figures_of_each_camera(sink: MetricsSink) -> None:
    run_of(sink)
    found = scrape(sink)
    expected = {
        ("truesight_build_info", "office", "1.2.3"): 1,
        ("truesight_feedback_total", "normal"): 3,
        ("truesight_feedback_total", "named"): 0,
        ("truesight_camera_up", "door"): 1,
        ("truesight_camera_up", "yard"): 0,
        ("truesight_camera_up", "hall"): 1,
        ("truesight_camera_state", "yard", "offline"): 1,
        ("truesight_camera_state", "yard", "online"): 0,
        ("truesight_frames_total", "door"): 1000,
        ("truesight_frames_analysed_total", "door"): 400,
        ("truesight_frames_dropped_total", "door", "overload"): 5,
        ("truesight_frames_dropped_total", "door", "missing"): 2,
        ("truesight_frames_dropped_total", "door", "unreadable"): 0,
        ("truesight_reconnects_total", "yard"): 6,
        ("truesight_score", "door"): 0.3,
        ("truesight_alerts_total", "door"): 4,
        ("truesight_budget_per_day", "door"): 1,
        ("truesight_alarms_per_day", "door"): 2,
        ("truesight_watched_ratio", "door"): 0.75,
        ("truesight_time_watched_ratio", "door"): 0.8,
        ("truesight_blind_seconds_total", "door"): 0,
        ("truesight_learning_progress_ratio", "hall"): 0.25,
        ("truesight_queue_frames",): 3,
        ("truesight_run_seconds_total",): 60,
        ("truesight_journal_size_bytes",): 4096,
        ("truesight_sink_failures_total", "evidence"): 7,
        ("truesight_sink_failures_total", "journal"): 0,
        ("truesight_sink_failures_total", "webhook.house"): 2,
    }
    assert {key: found.get(key) for key in expected} == expected
    assert ("truesight_score", "yard") not in found, "a camera without a score has none"
    assert ("truesight_learning_progress_ratio", "door") not in found
    assert found["truesight_threshold_extrapolation_ratio", "door"] > 1
    assert found["truesight_frame_age_seconds_count", "cam"] == 3


def test_a_camera_that_is_removed_is_gone(sink: MetricsSink) -> None:
    run_of(sink)
    sink.removed("cam")
    sink.removed("door")
    sink.tick(RunReport(61.0, 0, (report_of("yard"),)))
    assert not [key for key in scrape(sink) if "door" in key or "cam" in key]


def test_prometheus_finds_nothing_to_complain_about(sink: MetricsSink) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("needs promtool, of Debian's package prometheus")
    run_of(sink)
    _, text = ask(sink, "/metrics")
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_before_the_first_report_the_process_is_not_ready(sink: MetricsSink) -> None:
    assert ask(sink, "/readyz") == (503, "[-] main loop has not begun\n[+] journal ok\nnot ok\n")
    assert scrape(sink)["truesight_build_info", "office", "1.2.3"] == 1
    run_of(sink)
    assert ask(sink, "/readyz") == (200, "ok\n")


def test_a_dead_camera_is_no_reason_to_start_again(sink: MetricsSink) -> None:
    sink.tick(RunReport(60.0, 0, (report_of("yard", CameraState.OFFLINE),)))
    assert ask(sink, "/livez") == (200, "ok\n")
    assert ask(sink, "/readyz?verbose") == (200, "[+] main loop ok\n[+] journal ok\nok\n")


def test_a_main_loop_that_hangs_is_one(sink: MetricsSink, now: Now) -> None:
    run_of(sink)
    now.s += HANGS_AFTER_S + 1
    assert ask(sink, "/livez?verbose=1") == (503, "[-] main loop has not come round for 31 s\nnot ok\n")


def test_a_journal_that_cannot_be_written_is_alive_but_not_ready(sink: MetricsSink, now: Now) -> None:
    now.store = StoreFigures(failing=True, unstored=3, size_bytes=4096)
    run_of(sink)
    assert ask(sink, "/livez")[0] == 200
    status, text = ask(sink, "/readyz")
    assert (status, "[-] journal cannot be written" in text) == (503, True)
    assert scrape(sink)["truesight_sink_failures_total", "journal"] == 3


def test_other_paths_and_methods_are_refused(sink: MetricsSink) -> None:
    assert ask(sink, "/") == (404, "not found: there are /metrics, /livez, /readyz\n")
    assert ask(sink, "/metrics", "POST")[0] == 501
    assert ask(sink, "/livez", "HEAD") == (503, "")


def test_clients_that_send_nothing_neither_keep_others_out_nor_the_end_waiting(now: Now) -> None:
    before = threading.active_count()
    with MetricsSink(FREE, node="n", version="v", clock=now) as sink:
        host, _, port = sink.address.removeprefix("http://").rpartition(":")
        idle = [socket.create_connection((host, int(port)), DEADLINE_S) for _ in range(MOST_CLIENTS // 2)]
        run_of(sink)
        assert ask(sink, "/livez") == (200, "ok\n")
    for client in idle:
        with client:
            client.settimeout(DEADLINE_S)
            assert client.recv(1) == b"", "the end of the server ends the connection"
    assert threading.active_count() == before


def test_an_address_in_use_is_one_sentence(sink: MetricsSink) -> None:
    taken = int(sink.address.rpartition(":")[2])
    with pytest.raises(BindError, match=f"metrics cannot be served at 127.0.0.1:{taken} .*in use.*: choose another"):
        MetricsServer("127.0.0.1", taken, {}).__enter__()
    with pytest.raises(BindError, match=r"metrics cannot be served at no-such-host\.invalid:1"):
        MetricsServer("no-such-host.invalid", 1, {}).__enter__()


@pytest.mark.parametrize("listen", ["9108", "host", ":9108", "host:99999", "::1:9108", "http://host:1", "host:1/x"])
def test_an_address_that_is_none_is_refused(listen: str) -> None:
    with pytest.raises(ValueError, match=r"should be HOST:PORT, such as 127\.0\.0\.1:9108"):
        MetricsSettings(listen=listen)


def test_addresses_of_both_families_are_understood() -> None:
    assert MetricsSettings(listen="[::1]:9108").address == ("::1", 9108)
    assert MetricsSettings(listen="localhost:1").address == ("localhost", 1)
