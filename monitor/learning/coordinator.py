"""Cameras that learn, in the main loop: frames are recorded, a process learns from them, then the camera is watched.

A camera that learns is in the pipeline like every other camera, with a model that judges nothing. When a version of its
own model has been written, it replaces that model. No camera is opened again for this.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path

from monitor.errors import MonitorError
from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.learning import learning_words as words
from monitor.learning.footage import is_footage, is_of_another, put_aside, recording_rate, remove_footage
from monitor.learning.footage_recorder import FootageRecorder
from monitor.learning.learner_process import LearnerProcess
from monitor.learning.learning_plan import LearningPlan
from monitor.learning.retries import Retries
from monitor.learning.takeover import Takeover
from monitor.model.model_store import Model
from monitor.model.model_versions import set_aside
from monitor.reports import CameraReport, Progress
from monitor.states import CameraState
from monitor.text.redaction import redact
from monitor.text.time_left import TimeLeft
from monitor.threads.stage import Stage
from monitor.types import ScoredFrame

log = logging.getLogger("monitor")

_SETTLED_S = 0.5  # if no frame of a held file has arrived for this long, all its frames have arrived
_OVER = (CameraState.ENDED, CameraState.FAILED)
_LEARNING_S = 60.0  # approximate time to learn the first version, to estimate the progress of recording
_READING = 0.25  # approximate share of reading a file in the time until it is watched


class _Phase(Enum):
    RECORDING = auto()
    WAITING = auto()
    LEARNING = auto()
    REFINING = auto()
    FAILED = auto()
    DONE = auto()


@dataclass(eq=False)
class _Learner:
    """One camera while it learns."""

    plan: LearningPlan
    recorder: FootageRecorder
    retries: Retries
    takeover: Takeover
    phase: _Phase = _Phase.RECORDING
    process: LearnerProcess | None = None
    loading: Stage | None = None
    loaded: list[tuple[Model, CameraMonitor]] = field(default_factory=list)
    loaded_under: object = None  # the settings of the run when loading began
    version: Path | None = None  # the version that was written last
    why: str = ""
    problem: str = ""  # of the recorder, as logged last
    last_at: float = 0.0
    time_left: TimeLeft = field(default_factory=TimeLeft)
    fraction: float = 0.0  # the highest progress shown so far: it must not fall

    @property
    def to_record_s(self) -> float:
        """Seconds of stream that it still has to record."""
        return max(0.0, self.plan.duration_s - self.recorder.seen_s)


Adopt = Callable[[str, Model, CameraMonitor], CameraMonitor | None]
"""Watches a camera, by name, with a model and a monitor from now on. Returns the monitor that judged it before."""


class Learning:
    """All cameras that learn. Only the main thread calls its methods.

    load     loads the newest version of a plan's model; called in a thread of its own
    current  returns the present settings of the run; a model that was loaded under other settings is loaded again
    """

    def __init__(
        self,
        plans: Sequence[LearningPlan],
        load: Callable[[LearningPlan], tuple[Model, CameraMonitor]],
        clock: Callable[[], float] = time.monotonic,
        current: Callable[[], object] = lambda: None,
    ) -> None:
        self._load = load
        self._current = current
        self._clock = clock
        self._learners: dict[str, _Learner] = {}
        for plan in plans:
            self.begin(plan)

    def begin(self, plan: LearningPlan) -> None:
        """Start to learn a camera."""
        kept = plan.again and plan.keep_footage
        if not plan.resumed and (kept or is_of_another(plan.footage, plan.label)):
            with contextlib.suppress(OSError):
                aside = put_aside(plan.footage)
                log.info("%s: an earlier recording is kept as %s", plan.name, aside)
        live = plan.hold is None  # only a recording of a live camera is continued
        again = not live and is_footage(plan.footage)
        recorder = FootageRecorder(
            plan.footage, plan.label, plan.duration_s, fps=recording_rate(plan.analysis_fps), live=live
        )
        now = self._clock()
        self._learners[plan.name] = _Learner(plan, recorder, Retries(self._clock), Takeover(plan), last_at=now)
        if plan.resumed:
            recorder.close()
            self._learners[plan.name].phase = _Phase.REFINING
        log.info("%s: %s", plan.name, words.begins(plan, recorder.seen_s, again=again))

    def end(self, name: str) -> None:
        """Stop learning a camera; does nothing if it does not learn. Its recorded footage is kept."""
        learner = self._learners.pop(name, None)
        if learner is not None:
            learner.recorder.close()
            learner.takeover.close()
            if learner.process is not None:
                learner.process.close()

    def close(self) -> list[str]:
        """Stop all. The next run continues with the recorded footage. Returns the lines it logs, one per camera."""
        said: list[str] = []
        for name in list(self._learners):
            learner = self._learners[name]
            plan, seen_s = learner.plan, learner.recorder.seen_s
            if learner.phase is _Phase.RECORDING and plan.hold is None and seen_s > 0:
                said.append(f"{name}: {words.stopped_recording(seen_s)}")
            elif self.without_model(name) and learner.phase is not _Phase.FAILED and seen_s > 0:
                said.append(f"{name}: {words.stopped_learning(plan)}")
            elif learner.phase is _Phase.REFINING and learner.process is not None:
                if learner.process.complete:
                    self._learned_all(plan)
                else:
                    said.append(f"{name}: {words.stopped_refining(plan)}")
            self.end(name)
        for line in said:
            log.info("%s", line)
        return said

    def adopted(self, name: str) -> None:
        """A camera is watched with a model of its own from now on: it was learned here or by hand."""
        learner = self._learners.get(name)
        if learner is None or not self.without_model(name):
            return
        learner.recorder.close()
        learner.phase = _Phase.DONE if learner.process is None else _Phase.REFINING
        if learner.plan.hold is not None:
            learner.plan.hold.release()

    def without_model(self, name: str) -> bool:
        """True while a camera has no model yet."""
        learner = self._learners.get(name)
        return learner is not None and learner.phase not in (_Phase.REFINING, _Phase.DONE)

    def take(self, scored: ScoredFrame) -> None:
        """Take a frame of a camera without a model."""
        learner = self._learners[scored.frame.camera]
        learner.last_at = self._clock()
        if learner.phase is _Phase.RECORDING and not learner.recorder.done:
            learner.recorder.take(scored.frame)

    def judged(self, judgement: Judgement) -> None:
        """Take the judgement of a frame of any camera that is watched."""
        learner = self._learners.get(judgement.scored.frame.camera)
        if learner is not None:
            learner.takeover.take(judgement)

    def amend(self, report: CameraReport) -> CameraReport:
        """Complete a camera's report while this camera, or another one, learns."""
        at_work = next((name for name, other in self._learners.items() if other.process is not None), None)
        if report.state is CameraState.OVERLOADED and at_work is not None:
            report = replace(report, detail=f"{report.detail}; {at_work} learns at the same time, which ends by itself")
        learner = self._learners.get(report.name)
        if learner is None or learner.phase is _Phase.DONE:
            return report
        if learner.phase is _Phase.FAILED:
            return replace(report, state=CameraState.FAILED, detail=learner.why)
        if learner.phase is _Phase.REFINING:
            refining = learner.process is not None and learner.process.step
            if learner.process is None or not refining:
                return report
            fraction = learner.process.fraction
            left_s = self._left_s(learner, fraction)
            return replace(report, progress=Progress(fraction, refining, left_s, of="the rest"))
        usual = (CameraState.ONLINE, CameraState.OVERLOADED, CameraState.CONNECTING, *_OVER)
        if report.state not in usual:
            return report  # a problem, such as offline or dark, is more important
        if learner.phase is _Phase.RECORDING and report.state is CameraState.CONNECTING:
            return report
        progress = self._progress(learner)
        detail = words.LEARNING
        if learner.retries.why:
            detail = words.failed_for_now(learner.retries.why, learner.retries.count)
        if learner.phase is _Phase.RECORDING:
            detail = learner.problem or words.recording(learner.plan, learner.to_record_s)
        return replace(report, state=CameraState.LEARNING, detail=detail, progress=progress)

    def tick(self, state_of: Callable[[str], CameraState], adopt: Adopt) -> None:
        """Advance the learning of every camera. Called about ten times per second."""
        for name, learner in list(self._learners.items()):
            if learner.phase is _Phase.RECORDING:
                self._look_at_recording(learner, state_of(name))
            phases = [other.phase for other in self._learners.values() if other.process is not None]
            if learner.phase is _Phase.WAITING and _Phase.LEARNING not in phases and learner.retries.due:
                learner.phase = _Phase.LEARNING
                self._start(learner)
            # A camera that is already watched can wait until no other camera learns.
            resumes = learner.phase is _Phase.REFINING and learner.process is None
            if resumes and learner.retries.due and not {_Phase.LEARNING, _Phase.REFINING} & set(phases):
                self._start(learner)
            if learner.loading is not None:
                self._look_at_loading(learner, adopt)
            elif learner.phase in (_Phase.LEARNING, _Phase.REFINING) and learner.process is not None:
                self._look_at_process(learner)
            elif (worse := learner.takeover.take_worse()) is not None:
                self._roll_back(learner, *worse)

    def _start(self, learner: _Learner) -> None:
        try:
            learner.process = LearnerProcess(learner.plan, self._clock)
        except OSError as error:
            self._failed_for_now(learner, f"the process that learns cannot be started: {error.strerror or error}")
            return
        if learner.phase is _Phase.REFINING:
            learner.takeover.record()

    def finish(self, state_of: Callable[[str], CameraState]) -> None:
        """Called at the end of the run: files that ended before there was enough to learn from have failed."""
        for name, learner in self._learners.items():
            if learner.phase is _Phase.RECORDING and state_of(name) in _OVER:
                self._look_at_recording(learner, state_of(name))

    def _progress(self, learner: _Learner) -> Progress:
        """The progress of a camera until it is watched."""
        plan, text, left_s, left_of = learner.plan, words.LEARNING, None, ""
        recording = plan.duration_s / (plan.duration_s + _LEARNING_S) if plan.hold is None else _READING
        if learner.phase is _Phase.RECORDING:
            done = min(1.0, learner.recorder.seen_s / plan.duration_s)
            fraction = recording * done
            if plan.hold is None:
                text, left_s, left_of = words.RECORDING, learner.to_record_s, "recording"
            else:
                text = words.reading(plan)
                # The time for learning is not known before learning has started.
                left_s, left_of = self._left_s(learner, done), "reading"
        else:
            done = 0.0 if learner.process is None else learner.process.fraction
            fraction = recording + (1.0 - recording) * done
            if learner.process is not None and learner.process.step:
                text, left_s = learner.process.step, self._left_s(learner, done)
        learner.fraction = max(learner.fraction, fraction)
        return Progress(learner.fraction, text, left_s, left_of=left_of)

    def _left_s(self, learner: _Learner, done: float) -> float | None:
        """Seconds left in a phase if it continues at the same speed; None if it is too early to estimate."""
        now = self._clock()
        learner.time_left.reached(now, done)
        return learner.time_left.left_s(now)

    def _look_at_recording(self, learner: _Learner, state: CameraState) -> None:
        plan, recorder = learner.plan, learner.recorder
        held = plan.hold is not None and plan.hold.reached and self._clock() - learner.last_at > _SETTLED_S
        if recorder.problem != learner.problem:
            log.warning("%s: %s", plan.name, words.recording_pauses(recorder.problem))
            learner.problem = recorder.problem
        if recorder.error is not None:
            self._fail(learner, recorder.error)
        elif recorder.done or held:
            recorder.close()
            learner.phase = _Phase.WAITING
            if plan.hold is not None and plan.hold.began_again:
                log.info("%s: %s", plan.name, words.learns_from_all(plan, recorder.seen_s))
            if left_out := words.left_out(plan, recorder.seen_s, recorder.left_out):
                log.info("%s: %s", plan.name, left_out)
        elif state is CameraState.FAILED:
            recorder.close()
            learner.phase = _Phase.DONE  # the camera's own report gives the reason
        elif state in _OVER and plan.hold is not None:
            recorder.close()
            remove_footage(plan.footage)
            with contextlib.suppress(OSError):  # the folder is not empty
                plan.folder.rmdir()
            self._fail(learner, words.over_too_soon(plan, recorder.seen_s), kept=False)

    def _look_at_process(self, learner: _Learner) -> None:
        name, process = learner.plan.name, learner.process
        assert process is not None
        for line in process.take_lines():
            warning = line.startswith("warning: ")
            log.log(logging.WARNING if warning else logging.INFO, "%s: %s", name, line.removeprefix("warning: "))
        if (version := process.take_version()) is not None:
            learner.version = version
            self._start_loading(learner)
        elif process.ended:
            self._ended(learner, process)

    def _look_at_loading(self, learner: _Learner, adopt: Adopt) -> None:
        name, loading = learner.plan.name, learner.loading
        if loading is None or loading.alive:
            return
        learner.loading = None
        if loading.error is not None:
            error = loading.error
            self._failed_for_now(learner, str(error) if isinstance(error, MonitorError) else repr(error))
            return
        model, monitor = learner.loaded.pop()
        if learner.loaded_under is not self._current():  # the settings were reloaded meanwhile
            self._start_loading(learner)
            return
        before = adopt(name, model, monitor)
        if learner.version is not None:
            learner.takeover.took_over(learner.version, monitor, before)
            learner.version = None
        self.adopted(name)
        if before is None and learner.process is not None:
            learner.takeover.record()
        learner.retries.succeeded()

    def _roll_back(self, learner: _Learner, version: Path, why: str) -> None:
        """Use the version before this one again."""
        try:
            aside = set_aside(version)
        except OSError as error:
            log.error(  # noqa: TRY400 - its traceback helps nobody
                "%s: version %s is worse than the one before it (%s), but cannot be set aside: %s",
                learner.plan.name, version.name, why, error.strerror or error,
            )  # fmt: skip
            return
        log.warning("%s: %s", learner.plan.name, words.rolled_back(version, aside, why))
        self._start_loading(learner)

    def _start_loading(self, learner: _Learner) -> None:
        learner.loaded_under = self._current()
        learner.loading = Stage(
            f"loading {learner.plan.name}", lambda: learner.loaded.append(self._load(learner.plan)), lambda _: None
        )
        learner.loading.start()

    def _ended(self, learner: _Learner, process: LearnerProcess) -> None:
        plan = learner.plan
        error = process.error
        if error is not None and not process.refused:
            self._failed_for_now(learner, error)
            return
        self._end_process(learner)
        if learner.phase is _Phase.LEARNING:
            self._fail(learner, error or "no version of a model was written")
            return
        if error is not None:
            self._stay_with_first(learner, error)
        else:
            self._learned_all(plan)
        learner.phase = _Phase.DONE

    def _failed_for_now(self, learner: _Learner, why: str) -> None:
        """Learning failed for a reason that may pass: try again later, and let other cameras learn meanwhile."""
        self._end_process(learner)
        delay_s = learner.retries.again(redact(why))
        if delay_s is not None:
            log.warning("%s: %s", learner.plan.name, words.tries_again(redact(why), delay_s, learner.retries.count))
            if learner.phase is _Phase.LEARNING:
                learner.phase = _Phase.WAITING
        elif self.without_model(learner.plan.name):
            self._fail(learner, why)
        else:
            self._stay_with_first(learner, why)
            learner.phase = _Phase.DONE

    @staticmethod
    def _end_process(learner: _Learner) -> None:
        process, learner.process = learner.process, None
        learner.takeover.close()
        if process is not None:
            process.close()

    @staticmethod
    def _stay_with_first(learner: _Learner, why: str) -> None:
        log.warning("%s: the better model failed (%s); the first model stays in use", learner.plan.name, redact(why))

    @staticmethod
    def _learned_all(plan: LearningPlan) -> None:
        if not plan.keep_footage:
            remove_footage(plan.footage)

    def _fail(self, learner: _Learner, why: str, *, kept: bool = True) -> None:
        plan = learner.plan
        learner.recorder.close()
        learner.phase = _Phase.FAILED
        told = words.failed(plan, why, recorded=is_footage(plan.footage)) if kept else why
        learner.why = redact(told)  # reported with the camera's state
        if plan.hold is not None:
            plan.hold.end()
