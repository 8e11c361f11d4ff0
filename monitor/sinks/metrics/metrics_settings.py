"""Settings of the metrics, and the address that they are served at."""

from __future__ import annotations

import re

from pydantic import field_validator

from monitor.settings import Settings

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.\-]+)):(\d{1,5})")
_HIGHEST = 65_535


class MetricsSettings(Settings):
    """Prometheus metrics and the health of the process, over HTTP without a password."""

    enabled: bool = False
    listen: str = "127.0.0.1:9108"
    """HOST:PORT to serve at; port 0 takes any free port. Another host than the own machine shows other machines the
    names and figures of all cameras."""

    @field_validator("listen")
    @classmethod
    def _check(cls, value: str) -> str:
        divided(value)
        return value

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return divided(self.listen)


def divided(listen: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``. Raises ValueError."""
    found = _ADDRESS.fullmatch(listen)
    if found is None or int(found[3]) > _HIGHEST:
        raise ValueError("should be HOST:PORT, such as 127.0.0.1:9108 or [::1]:9108")
    return found[1] or found[2], int(found[3])
