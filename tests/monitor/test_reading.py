import contextlib
import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.reading import DEEPEST, is_same_file, open_file, parse_json, parse_toml, read_file, real_path


def test_a_file_up_to_the_limit_is_read_and_a_larger_one_refused(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    assert read_file(file, 5) == b"12345"
    with pytest.raises(OSError, match=r"larger than 0\.004 kB"):
        read_file(file, 4)


def test_a_file_of_a_hundred_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "sparse"
    with file.open("wb") as written:
        written.truncate(100_000_000_000)
    with pytest.raises(OSError, match="larger than 2 MB"):
        read_file(file, 2_000_000)


def test_a_file_without_a_size_is_read_to_the_limit_only() -> None:
    with pytest.raises(OSError, match="larger"):
        read_file(Path("/proc/self/status"), 10)


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "folder"])
def test_what_is_no_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
        case "folder":
            path.mkdir()
        case _:
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(str(path))
    with pytest.raises(OSError, match=f"it is a {kind}, not a file") as caught:
        read_file(path, 10)
    assert caught.value.strerror


@pytest.mark.parametrize("name", ["missing", "a\0b", "n" * 300])
def test_a_path_that_cannot_be_opened_is_an_error_of_the_system(name: str, tmp_path: Path) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011 - the kind is what matters
        open_file(tmp_path / name)
    assert caught.value.strerror


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


def test_a_document_is_read_up_to_the_deepest_level() -> None:
    parse_json(nested(DEEPEST))
    parse_toml(f"a = {nested(DEEPEST - 1)}")


@pytest.mark.parametrize(
    "text",
    [nested(DEEPEST + 1), nested(100_000), '{"a":' * 900 + "1" + "}" * 900, "9" * 30, "9" * 9000, '"\\ud800"',
     '{"\\udfff": 1}', "", "[", "\ufeff1",
     json.dumps({"n" * 5001: 1})],
)  # fmt: skip
def test_a_json_document_that_nothing_can_use_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [".".join("a" * 90) + " = 1", ".".join("a" * 900) + " = 1", ".".join("a" * 30_000) + " = 1",
     "[" + ".".join("a" * 90) + "]", f"a = {nested(2000)}", "a = " + "9" * 30, "a = " + "9" * 9000, "a",
     "n" * 101 + " = 1"],
)  # fmt: skip
def test_a_toml_document_that_nothing_can_use_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_toml(text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b'{"a": 1}\n{', "line 2 is no JSON"),
        (b"[1,\n2", "line 2 is no JSON"),
        (b'{"a": NaN}', "it has NaN in place of a number"),
        (b"[-Infinity]", "it has -Infinity in place of a number"),
        (b"[1e999]", "it has a number that is too large"),
    ],
)
def test_what_is_no_json_is_said_in_plain_words(content: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=rf"^{said}$"):
        parse_json(content)


@pytest.mark.parametrize("parse", [parse_json, parse_toml])
def test_bytes_that_are_no_utf_8_are_refused(parse: Any) -> None:
    for content in (b'"\xff"', '{"a": 1}'.encode("utf-16")):
        with pytest.raises(ValueError, match=r"."):
            parse(content)


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@settings(max_examples=50, deadline=None)
@given(values)
def test_every_other_json_value_is_read(value: Any) -> None:
    assert parse_json(json.dumps(value).encode()) == value


def test_a_config_of_an_editor_that_writes_a_byte_order_mark_is_read() -> None:
    assert parse_toml(b"\xef\xbb\xbf[cameras]\r\n") == {"cameras": {}}


def test_bytes_that_are_no_text_name_their_line() -> None:
    with pytest.raises(ValueError, match="line 2 is not text in UTF-8: save the file as UTF-8"):
        parse_toml(b"[cameras.a]\nsource = 'T\xfcr.mp4'\n")


@pytest.mark.parametrize("name", ["loop", "loop/inside", "gone", "x" * 5000, "a\0b"])
def test_a_path_that_leads_nowhere_raises_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    assert real_path(tmp_path / name).is_absolute()
    assert not is_same_file(tmp_path / name, tmp_path)
    assert not is_same_file(tmp_path, tmp_path / name)


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert real_path(tmp_path / "link" / "file") == real_path(tmp_path) / "real" / "file"
    assert is_same_file(tmp_path / "link", tmp_path / "real")


@pytest.mark.parametrize(
    "text",
    [
        "a = [" + "[0.25, 0.5], " * 20_000 + "]",
        "a = '" + "." * 1000 + "'",
        'a = "' + '\\". ' * 1000 + '"',
        'a = """' + '\n\\" . ' * 1000 + '"""',
        "a = '''" + "\n.#" * 1000 + "'''",
        "# " + "." * 1000 + "\na = 0.5",
        "a = 1 # 'it's. " + "b. " * 1000,
        "".join(f"k{number}.a.b = {number}.5\n" for number in range(1000)),
        "a = [" + ", ".join(["{x.y = 0.5}"] * 500) + "]",
    ],
)
def test_dots_outside_of_keys_are_no_limit(text: str) -> None:
    assert parse_toml(text)


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * 5000) + " = 1",
        " . ".join(["a"] * 5000) + " = 1",
        ".".join(["'a.b'", '"c"'] * 2500) + " = 1",
        f"[{'.'.join(['a'] * 5000)}]",
        f"x = {{{'.'.join(['a'] * 5000)} = 1}}",
        'x = """a"""\n' + ".".join(["a"] * 5000) + " = 1",
        "x = 1 # it's\n" + ".".join(["a"] * 5000) + " = 1",
        "a" + ".a" * 100_000,
    ],
)
def test_a_key_of_thousands_of_parts_is_refused_at_once(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it has a key of more than 200 parts$"):
        parse_toml(text)


@settings(deadline=1000)
@given(
    st.sampled_from(["'", '"', "'''", '"""', "\\", "\\'", '"""\\', "#", ".", "a", "a.", "\n", "'\n"]),
    st.integers(1, 200_000),
)
def test_a_document_of_one_thing_again_and_again_takes_linear_time(piece: str, times: int) -> None:
    with contextlib.suppress(ValueError):
        parse_toml(piece * times)
