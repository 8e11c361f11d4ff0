"""The settings of notifications by Apprise."""

from __future__ import annotations

import string
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, field_validator, model_validator

from monitor.settings import Settings
from monitor.sources.naming import NAME_PATTERN
from monitor.timetable import Timetable, parse_time, timetable

FIELDS = ("camera", "what", "text", "time", "date", "node", "score", "reasons", "late")
"""Fields of templates."""

HealthName = Literal[
    "connecting", "frozen", "dark", "moved", "defocused", "flipped", "noisy", "drifted", "over_budget", "limited",
    "overloaded",
]  # fmt: skip
_CameraName = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]


def _checked_quiet(value: tuple[str, ...]) -> tuple[str, ...]:
    for text in value:
        parse_time(text)
    return value


class QuietSettings(Settings):
    """Quiet times of one camera, in place of the common ones."""

    quiet: tuple[str, ...] = ()

    _check_quiet = field_validator("quiet")(_checked_quiet)


class NotifySettings(Settings):
    """Where notifications go, about what, when, and how many."""

    url: SecretStr
    """Address as Apprise writes it, such as ``ntfy://topic``. It is never shown."""
    title: str = Field("{what}: {camera}", max_length=1000)
    text: str = Field("{text}\n{date} {time}{late}", min_length=1, max_length=5000)
    """Templates. Fields: camera, what, text, time, date, node, score, reasons, late."""
    picture: bool = True
    """Attach the picture of an alert, if the service takes pictures."""
    cameras: tuple[_CameraName, ...] | None = Field(None, min_length=1)
    """Only these cameras. None: all."""
    alerts: bool = True
    health: tuple[HealthName, ...] = (
        "frozen", "moved", "defocused", "flipped", "noisy", "drifted", "over_budget", "limited", "overloaded",
    )  # fmt: skip
    """Problems of a camera that notify if they last. A lost camera is an alert."""
    health_after_s: float = Field(600.0, ge=0, le=7 * 86_400)
    """A problem notifies after it has lasted for this long, seconds."""
    quiet: tuple[str, ...] = ()
    """Times in which nothing is sent: ``22:00-07:00``, ``Sat,Sun``, ``Mon-Fri 08:00-18:00``."""
    per_camera: dict[_CameraName, QuietSettings] = Field(default_factory=dict)
    """Quiet times of single cameras."""
    at_most: int = Field(10, ge=1, le=10_000)
    """Most notifications in a period; the rest is one summary at its end."""
    period_s: float = Field(3600.0, ge=1, le=7 * 86_400)
    keep_hours: float = Field(24.0, gt=0, le=24 * 365)
    """Notifications that could not be sent for this long are given up."""

    _check_quiet = field_validator("quiet")(_checked_quiet)

    @field_validator("title", "text")
    @classmethod
    def _check_template(cls, value: str) -> str:
        known = ", ".join(FIELDS)
        try:
            parts = list(string.Formatter().parse(value))
        except ValueError as error:
            raise ValueError(f"is not a template ({error}): fields are {known}; write {{{{ for a brace") from error
        for _, name, spec, conversion in parts:
            if name is not None and (name not in FIELDS or spec or conversion):
                raise ValueError(f"has an unknown field '{{{name[:40]}}}': fields are {known}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.alerts and not self.health:
            raise ValueError("alerts and health are both off: nothing would ever be sent")
        return self

    def quiet_times(self, camera: str) -> Timetable | None:
        """The quiet times of a camera, by the clock of the monitor's machine; None without any."""
        own = self.per_camera.get(camera)
        return timetable(self.quiet if own is None else own.quiet)
