"""Writes settings as TOML: tables, texts, numbers, flags and lists, as a config file holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml_text(settings: Mapping[str, Any]) -> str:
    """The document. Values come from a TOML or JSON document: nothing but these kinds, and no None."""
    return "".join(_lines(settings, ()))


def _lines(table: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    values = {name: value for name, value in table.items() if not isinstance(value, Mapping)}
    found = [f"[{'.'.join(map(_text, path))}]\n"] if path and (values or not table) else []
    found += [f"{_text(name)} = {_value(value)}\n" for name, value in values.items()]
    for name, value in table.items():
        if isinstance(value, Mapping):
            found += _lines(value, (*path, name))
    return found


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(name)} = {_value(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_value, value)) + "]"
    if isinstance(value, str):
        return _text(value)
    return json.dumps(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
