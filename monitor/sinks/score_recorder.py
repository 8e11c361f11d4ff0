"""Records scores and alerts as JSON lines, without anything that differs from run to run.

Times are the stream's own, so the same file, config and model give byte-identical records. Cameras that are files are
put in order (camera, time) when the run ends, since how their lines interleave is a matter of timing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Self, TextIO

from monitor.errors import ConfigError, RunError
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.live.sink import Sink
from monitor.reports import CameraReport
from monitor.sinks.score_record import alert_line, header_line, is_record, score_line


class Recorder(Sink):
    """Writes one line a score and one line an alert step. A context manager.

    scores, alerts  files to write, or None
    sort            True when every source ends: lines are put in order at the end

    Raises ConfigError on entry if a file cannot be opened, RunError on exit if the disk did not take everything.
    """

    def __init__(self, scores: Path | None, alerts: Path | None, *, sort: bool) -> None:
        self._paths = {"score": scores, "alert": alerts}
        self._sort = sort
        self._files: dict[str, TextIO] = {}
        self._failure: str | None = None

    def __enter__(self) -> Self:
        self._check()
        for kind, path in self._paths.items():
            if path is None:
                continue
            try:
                self._files[kind] = path.open("w", encoding="utf-8")
            except OSError as error:
                for file in self._files.values():
                    file.close()
                raise ConfigError(
                    f"cannot write {path}: {error.strerror}; choose a file in an existing folder"
                ) from error
        return self

    def _check(self) -> None:
        """Raise ConfigError before anything is written over that is no earlier record."""
        scores, alerts = self._paths["score"], self._paths["alert"]
        if scores is not None and alerts is not None and scores.absolute() == alerts.absolute():
            raise ConfigError(f"scores and alerts cannot both be written to {scores}: give two files")
        for path in (scores, alerts):
            if path is not None and path.is_file() and not is_record(path):
                raise ConfigError(f"{path} exists and is no record of this program: choose another file, or delete it")

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        for kind, file in self._files.items():
            try:
                file.close()
                if self._sort and self._failure is None:
                    self._put_in_order(kind)
            except OSError as error:
                self._failure = f"{self._paths[kind]}: {error.strerror}"
        if self._failure and exc_type is None:
            raise RunError(
                f"the record is incomplete, {self._failure}: make room and run again; alerts were not affected"
            )

    def added(self, monitor: CameraMonitor) -> None:
        """Record what the camera's alerts follow from, before its first score."""
        self._write("score", header_line(monitor, sort=self._sort))

    def score(self, judgement: Judgement) -> None:
        """Record a score, smoothed and raw."""
        self._write("score", score_line(judgement))

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002 - a report differs from run to run
        """Record a step of an event."""
        self._write("alert", alert_line(alert))

    def _write(self, kind: str, line: str) -> None:
        """A disk that is full costs the record, never the alerts: the failure is kept and told at the end."""
        file = self._files.get(kind)
        if file is None or self._failure is not None:
            return
        try:
            file.write(line + "\n")
            if kind == "alert":
                file.flush()
        except OSError as error:
            self._failure = f"{self._paths[kind]}: {error.strerror}"

    def _put_in_order(self, kind: str) -> None:
        """Stable, so that each camera's lines keep their own order."""
        path = self._paths[kind]
        assert path is not None
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        ordered = sorted(lines, key=lambda line: str(json.loads(line)["camera"]))
        if ordered != lines:
            partial = path.with_name(path.name + ".partial")
            partial.write_text("".join(ordered), encoding="utf-8")
            partial.replace(path)
