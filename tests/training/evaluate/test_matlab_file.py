from __future__ import annotations

import struct
import tracemalloc
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tests.helpers.fuzzing import broken, cases
from tests.helpers.matlab_bytes import loaded, saved
from training.evaluate.matlab_file import read_variable

MB = 1_000_000


def cells(arrays: list[NDArray[Any]], shape: tuple[int, int]) -> NDArray[Any]:
    made = np.empty(len(arrays), object)
    for number, array in enumerate(arrays):
        made[number] = array
    return made.reshape(shape)


MASKS = [np.eye(5, 7, k, dtype=np.uint8) for k in range(6)]


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"])
def test_numbers_are_read_as_scipy_reads_them(dtype: str, compressed: bool) -> None:
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    content = saved({"before": np.zeros((2, 2)), "volLabel": array, "after": "text"}, compressed=compressed)
    found = read_variable(content, "volLabel", MB)
    assert isinstance(found, np.ndarray)
    assert found.shape == array.shape
    assert (found == loaded(content)["volLabel"]).all()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(1, 6), (6, 1), (2, 3)])
def test_cells_are_read_as_scipy_reads_them(shape: tuple[int, int], compressed: bool) -> None:
    content = saved({"volLabel": cells(MASKS, shape)}, compressed=compressed)
    found = read_variable(content, "volLabel", MB)
    assert isinstance(found, list)
    expected = loaded(content)["volLabel"].ravel(order="F")
    assert all((mine == theirs).all() for mine, theirs in zip(found, expected, strict=True))


def test_big_endian_numbers_and_small_elements_are_read() -> None:
    flags = struct.pack(">IIII", 6, 8, 9, 0)  # class 9: whole numbers of 8 bits
    described = flags + struct.pack(">IIii", 5, 8, 1, 3) + struct.pack(">HH4s", 1, 1, b"v")
    data = described + struct.pack(">HH4s", 3, 2, b"\x01\x00\x01")
    content = bytes(124) + b"\x01\x00MI" + struct.pack(">II", 14, len(data)) + data
    found = read_variable(content, "v", MB)
    assert isinstance(found, np.ndarray)
    assert found.tolist() == [[1, 0, 1]]


def test_a_variable_that_is_not_there_is_none() -> None:
    assert read_variable(saved({"other": np.zeros(3)}), "volLabel", MB) is None


@pytest.mark.parametrize(
    "value",
    ["text", np.array([[1j]]), {"field": 1}, cells([np.array("text")], (1, 1)), cells([cells(MASKS, (1, 6))], (1, 1))],
)
def test_a_variable_of_something_else_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_variable(saved({"volLabel": value}), "volLabel", MB)


def test_a_file_that_decompresses_to_more_than_the_limit_is_refused_within_the_limit() -> None:
    bomb = zlib.compress(bytes(20 * MB), 9)
    content = saved({"a": 1})[:128] + struct.pack("<II", 15, len(bomb)) + bomb
    tracemalloc.start()
    with pytest.raises(ValueError, match="larger than 1 MB"):
        read_variable(content, "volLabel", MB)
    assert tracemalloc.get_traced_memory()[1] < 10 * MB
    tracemalloc.stop()


# SciPy's own reader ends the process for one in a few thousand of these.
@cases(200, 10_000)
@example(b"")
@example(bytes(126) + b"IM" + struct.pack("<II", 14, 2**32 - 1))
@given(
    broken(saved({"volLabel": cells(MASKS, (1, 6))}))
    | broken(saved({"volLabel": cells(MASKS, (1, 6))}, compressed=False))
    | broken(saved({"volLabel": np.eye(3)}, compressed=False))
    | st.binary(max_size=200).map(lambda rest: bytes(126) + b"IM" + rest)
)
def test_a_file_of_any_bytes_is_read_or_refused_with_a_value_error(content: bytes) -> None:
    with suppress(ValueError):
        read_variable(content, "volLabel", MB)
