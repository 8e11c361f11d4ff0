"""An error of which the sentence was written already."""

from __future__ import annotations

from monitor.errors import RunError


class SaidError(RunError):
    """The program ends with ``code``, and says nothing more: who found the error has written its sentence."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exit code {code}")
        self.code = code
