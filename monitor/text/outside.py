"""Text from outside, safe to show: names of files, addresses, fields of messages, settings, error texts.

Every such text passes through one of these functions before it reaches a terminal, a log line or a message. A terminal
obeys escape sequences, and Rich obeys markup. So a text from outside is never a plain ``str`` in a Rich table: make it
a ``rich.text.Text`` with ``plain``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from monitor.text.escaping import cleaned, cleaned_lines
from monitor.text.redaction import redact

if TYPE_CHECKING:
    from rich.text import Text


def safe(text: object) -> str:
    """The text on one line, without credentials (``redact``) and without control characters (``cleaned``)."""
    return cleaned(redact(str(text)))


def safe_lines(text: object) -> str:
    """The same for a text of several lines: line breaks stay."""
    return cleaned_lines(redact(str(text)))


def plain(text: object, style: str = "", *, cut: bool = False) -> Text:
    """The safe text for a Rich table or panel: square brackets and colons have no meaning in it.

    cut  True: one line, of which a narrow terminal shows the beginning
    """
    from rich.text import Text  # only programs that draw load Rich

    return Text(safe(text), style, no_wrap=cut or None, overflow="ellipsis" if cut else None)
