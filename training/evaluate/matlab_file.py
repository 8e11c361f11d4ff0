"""Reads one variable of a MATLAB file of level 5 (``save -v6``, ``save -v7``): numbers, or a cell array of numbers.

SciPy's reader is compiled code that trusts the file: some damaged files end the whole process. This one checks every
length against the bytes that are there. Reference: MathWorks, MAT-File Format, "Level 5 MAT-File Format".
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _COMPLEX = 1, 0x0800
_NUMBERS = range(6, 16)
"""Classes of arrays of numbers: double, single, and whole numbers of 8 to 64 bits. A logical array is one of 8 bits."""
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_LATER = b"MATLAB 7.3"


@dataclass(frozen=True, slots=True)
class _Element:
    kind: int
    data: memoryview


def read_variable(content: bytes, name: str, at_most: int) -> NDArray[Any] | list[NDArray[Any]] | None:
    """The variable with this name: an array, or the arrays of a cell array, column by column; None if it is missing.

    content  the whole file
    at_most  bytes of one variable after it is decompressed

    Raises ValueError for damaged content, for a variable of another class, and for a file of another format.
    """
    if len(content) < _HEADER or content[126:128] not in (b"IM", b"MI"):
        raise ValueError("it is no MATLAB file of level 5")
    if content.startswith(_LATER):
        raise ValueError("it has the format of MATLAB 7.3; save it with -v7")
    order = "<" if content[126:128] == b"IM" else ">"
    for element in _elements(memoryview(content)[_HEADER:], order):
        matrix = _decompressed(element, order, at_most) if element.kind == _COMPRESSED else element
        if matrix.kind == _MATRIX and (found := _variable(matrix.data, order, name)) is not None:
            return found
    return None


def _elements(data: memoryview, order: str) -> Iterator[_Element]:
    at = 0
    while at < len(data):
        if at + 8 > len(data):
            raise ValueError("it is cut off")
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:  # a small element: type and size in 16 bits each, up to four bytes of data
            kind, size, start, step = kind & 0xFFFF, kind >> 16, at + 4, 8
            if size > 4:
                raise ValueError("an element is damaged")
        else:
            # A compressed element is not padded.
            start, step = at + 8, 8 + (size if kind == _COMPRESSED else -(-size // 8) * 8)
        if start + size > len(data):
            raise ValueError("it is cut off")
        yield _Element(kind, data[start : start + size])
        at += step


def _decompressed(element: _Element, order: str, at_most: int) -> _Element:
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(element.data, at_most)
    except zlib.error as error:
        raise ValueError(f"a variable cannot be decompressed: {error}") from None
    if inflate.unconsumed_tail:
        raise ValueError(f"a variable is larger than {at_most / 1e6:g} MB")
    return next(_elements(memoryview(data), order), _Element(0, memoryview(b"")))


def _variable(matrix: memoryview, order: str, name: str) -> NDArray[Any] | list[NDArray[Any]] | None:
    kind, shape, found, rest = _described(matrix, order)
    if found != name.encode():
        return None
    if kind != _CELL:
        return _numbers(kind, shape, rest, order)
    cells = list(rest)
    if len(cells) != math.prod(shape) or any(cell.kind != _MATRIX for cell in cells):
        raise ValueError(f"{name} is a damaged cell array")
    return [_cell(cell.data, order) for cell in cells]


def _cell(matrix: memoryview, order: str) -> NDArray[Any]:
    if not matrix:
        return np.zeros((0, 0))
    kind, shape, _, rest = _described(matrix, order)
    return _numbers(kind, shape, rest, order)


def _described(matrix: memoryview, order: str) -> tuple[int, tuple[int, ...], bytes, Iterator[_Element]]:
    """The class, the shape and the name of an array, and the elements with its content."""
    elements = _elements(matrix, order)
    flags, dimensions, name = (next(elements, None) for _ in range(3))
    if flags is None or dimensions is None or name is None or len(flags.data) < 4 or len(dimensions.data) % 4:
        raise ValueError("the description of a variable is damaged")
    (described,) = struct.unpack_from(f"{order}I", flags.data)
    if described & _COMPLEX:
        raise ValueError("it has complex numbers")
    shape = struct.unpack(f"{order}{len(dimensions.data) // 4}i", dimensions.data)
    if min(shape, default=0) < 0 or not 2 <= len(shape) <= 8:
        raise ValueError(f"a variable has the shape {shape}")
    return described & 0xFF, shape, bytes(name.data), elements


def _numbers(kind: int, shape: tuple[int, ...], rest: Iterator[_Element], order: str) -> NDArray[Any]:
    if kind not in _NUMBERS:
        raise ValueError("it has something else than numbers")
    values = next(rest, None)
    # MATLAB may store the numbers in a smaller type than their class.
    if values is None or values.kind not in _TYPES:
        raise ValueError("the numbers of a variable are missing")
    dtype = np.dtype(order + _TYPES[values.kind])
    if len(values.data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"a variable of the shape {shape} has another number of values")
    return np.frombuffer(values.data, dtype).reshape(shape, order="F")
