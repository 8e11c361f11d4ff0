"""Burns privacy masks into the pictures of a source, before anything else sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from monitor.places import Bools, Polygon
from monitor.sources.source import Position, Reader, Source
from monitor.types import Image

GREY = 128
"""Level of a solid mask, in all colours. Black would count as darkness."""
_BLOCKS = 32
"""Blocks along the longer side of a pixelated picture: a face or a number plate is one block or two."""


@dataclass(frozen=True, slots=True)
class Mask:
    """A place that nobody may see.

    look  ``solid``: grey. ``pixelated``: large blocks, which show light and colour only
    """

    polygon: Polygon
    look: Literal["solid", "pixelated"] = "solid"


def masked(source: Source, masks: Sequence[Mask]) -> Source:
    """The source with these masks in its pictures."""
    return MaskedSource(source, tuple(masks)) if masks else source


class MaskedSource(Source):
    """A source with masks in all its pictures. It runs where the source is decoded, also in a process of its own."""

    def __init__(self, inner: Source, masks: tuple[Mask, ...]) -> None:
        super().__init__(inner.name, inner.label)
        self.live = inner.live
        self.inner = inner
        self._masks = masks

    def open(self) -> Reader:
        """Open the source. Raises the same errors."""
        return _MaskedReader(self.inner.open(), self._masks)

    def number(self, index: int) -> int:
        """See Source.number."""
        return self.inner.number(index)

    def interrupt(self) -> None:
        """See Source.interrupt."""
        self.inner.interrupt()

    def check(self) -> None:
        """See Source.check."""
        self.inner.check()


class _MaskedReader(Reader):
    def __init__(self, reader: Reader, masks: tuple[Mask, ...]) -> None:
        self._reader = reader
        self._masks = masks
        self._size: tuple[int, int] | None = None
        self._places: list[_Place] = []
        self._note()

    def grab(self) -> Position | None:
        found = self._reader.grab()
        self._note()
        return found

    def skip_to(self, time_s: float) -> Position | None:
        found = self._reader.skip_to(time_s)
        self._note()
        return found

    def spare(self, share: float) -> None:
        self._reader.spare(share)

    def retrieve(self) -> Image | None:
        image = self._reader.retrieve()
        # The reader may give the same picture again.
        return None if image is None else self._burn(image.copy())

    def retrieve_into(self, memory: Image) -> Image | None:
        image = self._reader.retrieve_into(memory)
        if image is None:
            return None
        return self._burn(image if np.shares_memory(image, memory) else image.copy())

    def close(self) -> None:
        self._reader.close()

    def _note(self) -> None:
        self.fps, self.frame_name, self.sparing = self._reader.fps, self._reader.frame_name, self._reader.sparing

    def _burn(self, image: Image) -> Image:
        size = (image.shape[1], image.shape[0])
        if size != self._size:
            self._size = size
            self._places = [_Place.of(mask, *size) for mask in self._masks]
        for place in self._places:
            place.burn(image)
        return image


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """A mask in pictures of one size: the box around it, and the masked pixels in the box."""

    rows: slice
    columns: slice
    pixels: Bools
    block: int  # px; 0 for a solid mask

    @classmethod
    def of(cls, mask: Mask, width: int, height: int) -> _Place:
        pixels = mask.polygon.pixels(width, height)
        block = 0 if mask.look == "solid" else max(1, -(-max(width, height) // _BLOCKS))
        rows, columns = (_span(np.asarray(pixels.any(axis=axis)), block) for axis in (1, 0))
        return cls(rows, columns, pixels[rows, columns], block)

    def burn(self, image: Image) -> None:
        part = image[self.rows, self.columns]
        shown: Image | int = GREY
        if self.block:
            height, width = part.shape[:2]
            blocks = (-(-width // self.block), -(-height // self.block))
            whole = (blocks[0] * self.block, blocks[1] * self.block)
            filled = cv2.copyMakeBorder(part, 0, whole[1] - height, 0, whole[0] - width, cv2.BORDER_REPLICATE)
            means = cv2.resize(filled, blocks, interpolation=cv2.INTER_AREA)
            large = cv2.resize(means, whole, interpolation=cv2.INTER_NEAREST)
            shown = np.asarray(large[:height, :width], np.uint8)
        np.copyto(part, shown, where=self.pixels[..., None])


def _span(line: Bools, block: int) -> slice:
    """From the first to the last that is True; the beginning is that of a block, so that blocks keep their places."""
    indices = np.flatnonzero(line)
    first, last = int(indices[0]), int(indices[-1])
    return slice(first // block * block if block else first, last + 1)
