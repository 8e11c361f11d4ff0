"""Sources as they are sent to an engine, which isolates them in decoders of its own."""

from __future__ import annotations

from dataclasses import dataclass

from monitor.sources.isolated.isolated_source import IsolatedSource
from monitor.sources.source import Source


@dataclass(frozen=True)
class CarriedSource:
    """A source. open_timeout_s, read_timeout_s: of its decoder, seconds; None: it has no decoder of its own."""

    inner: Source
    open_timeout_s: float | None = None
    read_timeout_s: float | None = None

    @classmethod
    def of(cls, source: Source) -> CarriedSource:
        """The source without what belongs to this process."""
        if isinstance(source, IsolatedSource):
            return cls(source.inner, source.open_timeout_s, source.read_timeout_s)
        return cls(source)

    @property
    def source(self) -> Source:
        """The source again."""
        if self.open_timeout_s is None or self.read_timeout_s is None:
            return self.inner
        return IsolatedSource(self.inner, open_timeout_s=self.open_timeout_s, read_timeout_s=self.read_timeout_s)
