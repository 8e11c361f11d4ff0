"""What a run prints beside its dashboard and its log: tables and sentences, on an output that may be lost."""

from __future__ import annotations

from pathlib import Path
from typing import TextIO, cast

from rich.console import Console

from monitor.app.config import MonitorConfig
from monitor.text.outside import safe
from monitor.text.streams import write_patiently
from monitor.text.terminals import can_redraw, output_may_fail
from monitor.text.wording import joined
from monitor.text.wrapping import wrapped


class RunOutput:
    """Prints to a console. What cannot be written is lost: the run goes on, and ``problems`` says so at its end."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._lost: OSError | None = None

    def print(self, *parts: object) -> None:
        """Print without the spaces at the ends of a table's lines, because the output may go to a file."""
        with output_may_fail(self._lose):
            with self._console.capture() as captured:
                self._console.print(*parts, sep="\n", highlight=False)
            text = "".join(line.rstrip() + "\n" for line in captured.get().splitlines())
            write_patiently(cast(TextIO, self._console.file), text)

    def say(self, *sentences: str) -> None:
        """Print sentences. A terminal's lines break between words, never within a command."""
        with output_may_fail(self._lose):
            for sentence in sentences:
                lines = wrapped(safe(sentence), self._console.width) if can_redraw(self._console) else [safe(sentence)]
                write_patiently(cast(TextIO, self._console.file), "".join(f"{line}\n" for line in lines))

    def problems(self) -> list[str]:
        """Why a part of the output is lost, as a sentence; empty if none is."""
        if self._lost is None:
            return []
        return [f"the summary could not be written ({self._lost.strerror or self._lost})"]

    def _lose(self, error: OSError) -> None:
        self._lost = error


def where_kept(settings: MonitorConfig, record_alerts: Path | None, *, demo: bool = False) -> str:
    """Where the user finds all alerts after the run, in words; empty if they are not kept. The demo's are deleted."""
    journal = settings.publish.enabled and settings.journal.enabled and not demo
    places = {
        f"the journal {settings.journal.path}": journal,
        f"the evidence folder {settings.evidence.folder}": settings.evidence.enabled,
        f"the record {record_alerts}": record_alerts is not None,
    }
    return joined([place for place, used in places.items() if used])
