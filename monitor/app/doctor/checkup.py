"""The complete check: first all cameras in parallel, each in its own process, then what the machine must provide."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from monitor.app.config import MonitorConfig
from monitor.app.doctor.children import AT_ONCE, probe
from monitor.app.doctor.delivery_check import check_receivers
from monitor.app.doctor.device_check import judge_device, look_at_machine, usable_device
from monitor.app.doctor.disk_check import check_choices, check_evidence, check_journal, check_records
from monitor.app.doctor.facts import Failure, FootageFacts, Kind, Request, StreamFacts
from monitor.app.doctor.finding_report import Finding, ModelFacts, State, from_error
from monitor.app.doctor.model_check import (
    EVERY_FRAME_FPS,
    check_model,
    judge_load,
    misfit,
    no_model,
    too_short_to_learn,
)
from monitor.app.doctor.port_check import check_keys, check_metrics, check_page, check_ports
from monitor.app.doctor.rate_check import too_slow
from monitor.app.doctor.scene_check import check_scenes
from monitor.app.doctor.verdict import judge_failure, judge_footage, judge_stream
from monitor.errors import SourceError
from monitor.model.model_store import learned_folder
from monitor.sources.camera import CameraSource
from monitor.sources.finding import open_sources
from monitor.sources.folder import FolderSource
from monitor.sources.source import Source
from monitor.sources.video import VideoSource
from monitor.text.wording import counted

_START_S = 3.0
"""Time for a probe to start on a busy machine."""
_FOOTAGE_S = 20.0
"""Approximate total time for reading all files and folders."""
_SLOW_FILE_S = 5.0
_LONGER = 3.0
"""A camera with few frames is watched this much longer, to know its rate."""
_URL_MEND = "write it as rtsp://HOST/PATH or http://HOST/PATH"
_USUAL_SIZE = (640, 360)

Result = StreamFacts | FootageFacts | Failure


@dataclass(frozen=True)
class Checkup:
    """What to check.

    settings       settings of the run
    specs          sources named on the command line; empty: the cameras of the config file
    config         the config file, or None
    seconds        how long to watch each camera
    record_scores, record_alerts  files that a run would write
    notify         send a test message to each receiver
    """

    settings: MonitorConfig
    specs: Sequence[str] = ()
    config: Path | None = None
    seconds: float = 5.0
    record_scores: Path | None = None
    record_alerts: Path | None = None
    notify: bool = False


@dataclass
class _Seen:
    """Facts about the sources that later checks need."""

    names: list[str] = field(default_factory=list)
    live: list[str] = field(default_factory=list)
    failed: set[str] = field(default_factory=set)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    steps_s: dict[str, float] = field(default_factory=dict)
    lengths_s: dict[str, float] = field(default_factory=dict)
    decode_cores: float = 0.0


def examine(checkup: Checkup, say: Callable[[str], None]) -> Iterator[Finding]:
    """Check everything, in the order of the report. Calls ``say`` with a text that names the step in progress."""
    settings = checkup.settings
    if checkup.config is not None:
        yield _config(checkup.config, settings)
    sources, problems = find_sources(checkup)
    yield from problems
    seen = _Seen([source.name for source in sources], [source.name for source in sources if source.live])
    with ThreadPoolExecutor(AT_ONCE) as many, ThreadPoolExecutor(os.cpu_count() or 1) as few:
        footage_s = _seconds_of_footage(len(sources) - len(seen.live), checkup.seconds)
        asked = [_request(source, checkup, footage_s) for source in sources]
        until = time.monotonic() + 2 * _FOOTAGE_S + checkup.seconds
        jobs: list[Future[Result | None]] = [
            many.submit(probe, request) if source.live else few.submit(_in_time, request, until)
            for source, request in zip(sources, asked, strict=True)
        ]
        say(f"watching {counted(len(sources), 'source')} for {checkup.seconds:g} s")
        machine = look_at_machine()  # runs while the probes work, because importing PyTorch is slow
        for source, request, job in zip(sources, asked, jobs, strict=True):
            yield _source(source, request, job.result(), settings, seen)
    device = usable_device(settings.device, machine)
    say("timing models")
    yield from _models(checkup, seen, device, machine.cores)
    yield from check_scenes([source for source in sources if source.name not in seen.failed], settings)
    yield from check_ports(settings.publish)
    yield from check_metrics(settings.metrics)
    yield from check_page(settings.web)
    yield from check_keys(settings.publish)
    if settings.publish.enabled and settings.journal.enabled:
        yield check_journal(settings.journal)
        yield from check_choices(settings.journal)
    if settings.evidence.enabled:
        yield check_evidence(settings.evidence)
    say("calling receivers")
    yield from check_receivers(settings, send=checkup.notify)
    fps = settings.analysis_fps or EVERY_FRAME_FPS
    yield from check_records(checkup.record_scores, checkup.record_alerts, fps * len(sources))
    yield judge_device(settings.device, machine)


def look_at(source: Source, checkup: Checkup) -> Finding:
    """Check one source alone."""
    request = _request(source, checkup, checkup.seconds)
    return _source(source, request, probe(request), checkup.settings, _Seen())


def find_sources(checkup: Checkup) -> tuple[list[Source], list[Finding]]:
    """The sources as a run would open them, and a problem for each entry that cannot be used as a source."""
    settings = checkup.settings
    specs = list(checkup.specs) or [f"{name}={camera.source}" for name, camera in settings.cameras.items()]
    if not specs:
        finding = Finding(
            "config", "cameras", State.PROBLEM, "no camera is configured", "add [cameras.NAME] with a source"
        )
        return [], [finding]
    try:
        return _open(specs, settings), []
    except SourceError as error:
        together = error
    sources: list[Source] = []
    problems: list[Finding] = []
    for spec in specs:
        try:
            sources += _open([spec], settings)
        except SourceError as error:
            name = spec.partition("=")[0] if not checkup.specs else ""
            problems.append(from_error("source", name, error, _URL_MEND if "://" in spec else ""))
    return sources, problems or [from_error("source", "", together)]


def _open(specs: Sequence[str], settings: MonitorConfig) -> list[Source]:
    capture = settings.capture
    return open_sources(
        specs,
        fps=settings.playback.fps,
        open_timeout_s=capture.open_timeout_s,
        read_timeout_s=capture.read_timeout_s,
        snapshot_fps=capture.snapshot_fps,
        links=settings.links,
    )


def _config(path: Path, settings: MonitorConfig) -> Finding:
    fps = f"{settings.analysis_fps:g}" if settings.analysis_fps else "all"
    budget = f"{counted(settings.false_alarms_per_day, 'false alarm')} per camera per day"
    found = f"valid: {counted(len(settings.cameras), 'camera')}, analyses {fps} frames per second, {budget}"
    return Finding("config", str(path), State.OK, found)


def _seconds_of_footage(count: int, seconds: float) -> float:
    """How long to read each of ``count`` files, so that all files together stay within their total time."""
    return min(seconds, max(0.5, _FOOTAGE_S * (os.cpu_count() or 1) / max(1, count)))


def _request(source: Source, checkup: Checkup, footage_s: float) -> Request:
    capture = checkup.settings.capture
    kind, target = _target(source)
    seconds = checkup.seconds if source.live else footage_s
    longest_s = _LONGER * seconds if source.live else seconds
    request = Request(
        kind=kind,
        target=target,
        seconds=seconds,
        fps=checkup.settings.playback.fps,
        open_timeout_s=capture.open_timeout_s,
        read_timeout_s=capture.read_timeout_s,
        gap_s=capture.gap_s,
        deadline_s=0.0,
        snapshot_fps=capture.snapshot_fps,
        longest_s=longest_s,
        options=source.link.options if isinstance(source, CameraSource) else {},
    )
    opening_s = capture.open_timeout_s + request.patient_open_s
    if "rtsp_transport" in request.options:  # the other one is tried, too
        opening_s += capture.open_timeout_s + capture.read_timeout_s
    wait_s = opening_s + 2 * request.patience_s if source.live else _SLOW_FILE_S
    return replace(request, deadline_s=_START_S + wait_s + longest_s)


def _target(source: Source) -> tuple[Kind, str]:
    if isinstance(source, CameraSource):
        return ("url" if source.networked else "usb"), str(source.address)
    if isinstance(source, FolderSource):
        return "folder", str(source.path)
    assert isinstance(source, VideoSource)
    return "video", str(source.path)


def _in_time(request: Request, until: float) -> Result | None:
    """Probe a file; None if the time for all files is over."""
    return probe(request) if time.monotonic() < until else None


def _source(source: Source, request: Request, result: Result | None, settings: MonitorConfig, seen: _Seen) -> Finding:
    check = "camera" if source.live else "footage"
    if result is None:
        return Finding(check, source.name, State.WARNING, "not checked: no time was left", "check it alone")
    if isinstance(result, Failure):
        seen.failed.add(source.name)
        return judge_failure(check, source.name, result, request)
    seen.sizes[source.name] = (result.width, result.height)
    if isinstance(result, FootageFacts):
        if result.length_s is not None:
            seen.lengths_s[source.name] = result.length_s
        seen.steps_s[source.name] = result.seconds / max(1, result.total or result.read)
        return judge_footage(source.name, result, request)
    if (step_s := result.step_s or (result.fps and 1.0 / result.fps)) is not None:
        seen.steps_s[source.name] = step_s
    seen.decode_cores += result.decode_ms * (result.fps or 0.0) / 1000.0
    return judge_stream(source.name, result, request, settings.of_camera(source.name).analysis_fps)


def _step_s(step_s: float, settings: MonitorConfig) -> float:
    """Seconds between two analysed frames of a camera with frames ``step_s`` seconds apart."""
    return max(step_s, 1.0 / settings.analysis_fps) if settings.analysis_fps else step_s


def _share_of_frames(camera: str, settings: MonitorConfig) -> float:
    """Frames analysed of a camera, divided by the common rate."""
    own = settings.of_camera(camera).analysis_fps or EVERY_FRAME_FPS
    return own / (settings.analysis_fps or EVERY_FRAME_FPS)


def _models(checkup: Checkup, seen: _Seen, device: str, cores: int) -> Iterator[Finding]:
    """Check each model once, timed with the largest frames it receives. Then check whether the machine keeps up."""
    settings = checkup.settings
    users: dict[Path, list[str]] = {}
    without = []
    for name in seen.names:
        own = settings.cameras.get(name)
        folder = (own.model if own else None) or settings.model or learned_folder(settings.models_folder, name)
        if folder is None:
            if name not in seen.failed:  # otherwise the source is what must be repaired
                without.append(name)
        else:
            users.setdefault(folder, []).append(name)
    by_time: dict[float, list[str]] = {}
    for name in without:
        learn_s = settings.of_camera(name).learning.duration_s
        if seen.lengths_s.get(name, learn_s) < learn_s:
            yield too_short_to_learn(name, seen.lengths_s[name], learn_s, loop=settings.playback.loop)
        else:
            by_time.setdefault(learn_s, []).append(name)
    for learn_s, names in by_time.items():
        yield no_model(names, learn_s)
    if not seen.names and settings.model is not None:
        users[settings.model] = []
    costs: dict[str, float] = {}
    for folder, names in users.items():
        sizes = [seen.sizes[name] for name in names if name in seen.sizes]
        largest = max(sizes, default=_USUAL_SIZE, key=lambda size: size[0] * size[1])
        steps_s = {
            name: _step_s(seen.steps_s[name], settings.of_camera(name)) for name in names if name in seen.steps_s
        }
        finding = check_model(folder, largest, settings.of_camera(names[0]) if names else settings, device, steps_s)
        yield finding
        if isinstance(finding.facts, ModelFacts):
            fits = (misfit(name, finding.facts.learned_size, seen.sizes[name]) for name in names if name in seen.sizes)
            yield from filter(None, fits)
            silent, detectors = finding.facts.silent, finding.facts.detectors
            yield from filter(None, (too_slow(name, steps_s[name], silent[name], detectors) for name in silent))
            costs |= {
                name: finding.facts.ms_a_frame * _share_of_frames(name, settings) for name in names if name in seen.live
            }
    if costs:
        yield judge_load(costs, seen.decode_cores, cores, settings.analysis_fps)
