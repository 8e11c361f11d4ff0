"""The run's stores as an engine uses them: files that have one owner, the run. Each call waits for the run's answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from monitor.app.choice_store import Choice, ChoiceStore
from monitor.teaching.verdict_store import KeptEvent, Verdict, VerdictStore

VERDICTS = "verdicts"
OFFERED = {
    VERDICTS: (
        "arrive",
        "keep",
        "event",
        "event_ids",
        "verdict",
        "verdicts",
        "give",
        "take_back",
        "set_alert",
        "alerts",
    ),
}
"""Store -> the methods that an engine may call."""

Calls = Callable[..., Any]
"""(store, method, arguments...) -> the result. Raises the MonitorError that the method raised."""


class FarVerdicts(VerdictStore):
    """The verdicts, as far as a teacher in an engine needs them."""

    def __init__(self, call: Calls) -> None:
        super().__init__(Path())
        self._call = call

    def keep(self, event: KeptEvent) -> None:
        """See VerdictStore; likewise the others."""
        self._call(VERDICTS, "keep", event)

    def arrive(self, camera: str) -> None:  # noqa: D102
        self._call(VERDICTS, "arrive", camera)

    def event(self, event_id: str) -> KeptEvent | None:  # noqa: D102
        return cast(KeptEvent | None, self._call(VERDICTS, "event", event_id))

    def event_ids(  # noqa: D102
        self, camera: str, since: float = 0.0, until: float = 1e12, *, notified: bool = False
    ) -> list[str]:
        return cast(list[str], self._call(VERDICTS, "event_ids", camera, since, until, notified=notified))

    def verdict(self, event_id: str) -> Verdict | None:  # noqa: D102
        return cast(Verdict | None, self._call(VERDICTS, "verdict", event_id))

    def verdicts(self, camera: str | None = None) -> list[Verdict]:  # noqa: D102
        return cast(list[Verdict], self._call(VERDICTS, "verdicts", camera))

    def give(self, verdict: Verdict) -> None:  # noqa: D102
        self._call(VERDICTS, "give", verdict)

    def take_back(self, event_id: str) -> None:  # noqa: D102
        self._call(VERDICTS, "take_back", event_id)

    def set_alert(self, name: str, alert: str) -> None:  # noqa: D102
        self._call(VERDICTS, "set_alert", name, alert)

    def alerts(self) -> dict[str, str]:  # noqa: D102
        return cast(dict[str, str], self._call(VERDICTS, "alerts"))


class FarChoices(ChoiceStore):
    """What people have chosen, as the run has told it: only the run keeps it.

    choices: camera -> what was chosen before
    """

    def __init__(self, choices: Mapping[str, Choice]) -> None:  # no file of its own
        self.path = Path()
        self._choices = dict(choices)

    def choose(self, camera: str, choice: Choice) -> None:
        """The run has told a choice."""
        self._choices = {**self._choices, camera: choice}

    def take(self, choices: Mapping[str, Choice]) -> None:
        """The run has told all choices."""
        self._choices = dict(choices)
