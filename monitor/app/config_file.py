"""Reads the settings from a TOML file and reports what is wrong with them."""

from __future__ import annotations

import re
from collections.abc import Callable
from copy import deepcopy
from itertools import chain
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from monitor.app.config import MonitorConfig
from monitor.app.config_secrets import Filled, SecretsError, fill_in, hide_secrets_of, without_values
from monitor.app.flags import FLAGS_OF_SETTINGS
from monitor.app.state_place import with_places
from monitor.errors import ConfigError, in_words
from monitor.reading import MB, parse_toml, read_file
from monitor.sources.naming import NAME_RULE
from monitor.text.outside import safe_lines
from monitor.text.wording import nearest

_LARGEST = 1 * MB
_MOST_MISTAKES = 30
"""Mistakes that are named. A file that is no config at all may have thousands."""


def load_config(
    path: Path | None,
    overrides: dict[str, Any] | None = None,
    look: Callable[[dict[str, Any]], None] | None = None,
) -> MonitorConfig:
    """Read a TOML file (None: all defaults) and apply ``overrides`` (dotted key -> value) to it.

    References to secrets in the file are replaced, see ``monitor.app.config_secrets``. The overrides are taken as they
    are: a shell has replaced what it replaces.

    look: gets the content of the file with its secrets, before it is checked; it may take settings out

    Raises ConfigError with one line per mistake. A line names the flag that gave the value, or the file if no flag did.
    For an unknown key it names the most similar known key.
    """
    content: dict[str, Any] = {}
    filled: Filled = {}
    unfilled: SecretsError | None = None
    if path is not None:
        try:
            content = parse_toml(read_file(path, _LARGEST))
        except OSError as error:
            raise ConfigError(f"cannot read the config file {path} ({error.strerror}): check the path") from error
        except ValueError as error:
            raise ConfigError(f"{path} is not valid TOML: {error}") from error
        try:
            filled = fill_in(content, skipped=(overrides or {}).keys())
        except SecretsError as error:
            unfilled, filled = error, error.filled
    if look is not None:
        look(content)
    for key, value in (overrides or {}).items():
        _set(content, key, value)
    try:
        checked = _checked(content)
        if unfilled is not None:
            raise _with_secrets([], unfilled, path)
        hide_secrets_of(checked, filled)
        return with_places(checked)
    except ValidationError:
        # An unknown key may be a misspelled known key or no known key at all. Only mistakes that exist in both cases
        # are reported. A mistake that results from the guess, or from leaving the key out, would hide the first one.
        left_out, guessed = (_mistakes(deepcopy(content), guess=guess) for guess in (False, True))
    where = f"{path}: " if path is not None else ""
    flags = {f"setting '{key}': ": FLAGS_OF_SETTINGS[key] for key in overrides or {} if key in FLAGS_OF_SETTINGS}
    named = [without_values(mistake, filled) for mistake in left_out if mistake in guessed]
    lines = [_of_flag(mistake, flags) or where + mistake for mistake in named]
    if len(left_out) >= _MOST_MISTAKES:
        lines.append(f"{where}more mistakes follow: correct these first")
    if unfilled is not None:
        raise _with_secrets(lines, unfilled, path)
    raise ConfigError(safe_lines("\n".join(lines)))


def _with_secrets(lines: list[str], unfilled: SecretsError, path: Path | None) -> ConfigError:
    """All mistakes of a file, references to secrets first. A text that only could not be replaced is no second one."""
    places = {".".join(place[:end]) for place in unfilled.places for end in (len(place), len(place) - 1)}
    others = [line for line in lines if not any(f"'{place}'" in line for place in places if place)]
    return ConfigError(safe_lines("\n".join([*(f"{path}: {one}" for one in str(unfilled).split("\n")), *others])))


def _checked(content: dict[str, Any]) -> MonitorConfig:
    playback = content.get("playback")
    if isinstance(playback, dict) and playback.get("speed") == "max":
        playback["speed"] = None
    return MonitorConfig.model_validate(content)


def _mistakes(content: dict[str, Any], *, guess: bool) -> list[str]:
    """The first mistakes as sentences, without repetition. Changes unknown keys in ``content`` (see _mend)."""
    mistakes: dict[str, None] = {}
    while True:
        try:
            _checked(content)
            return list(mistakes)
        except ValidationError as error:
            # The input is left out of the text: it may be a URL with a password.
            found = [
                (list(e["loc"]), e["type"], in_words(e["type"], e["msg"], e.get("ctx")))
                for e in error.errors(include_url=False, include_input=False)
            ]
        # pydantic does not check a group with an unknown key completely. Its other mistakes appear in the next pass,
        # after the unknown key is replaced or removed.
        found = found[:_MOST_MISTAKES]
        mended = [one for one in found if one[1] in _UNKNOWN_KEY and _mend(content, one[0], guess=guess)]
        mistakes |= dict.fromkeys(_explain(*one) for one in mended or found)
        if not mended or len(mistakes) >= _MOST_MISTAKES:
            return list(mistakes)


def _set(content: dict[str, Any], dotted: str, value: object) -> None:
    *groups, last = dotted.split(".")
    for group in groups:
        inner = content.setdefault(group, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"'{group}' must be a group of settings: write [{group}]")
        content = inner
    content[last] = value


def _of_flag(mistake: str, flags: dict[str, tuple[str, str]]) -> str | None:
    """Rewrite a mistake to name the flag instead of the setting; None if no flag gave the value."""
    for beginning, (flag, unit) in flags.items():
        if mistake.startswith(beginning):
            what = mistake.removeprefix(beginning)
            return f"{flag}: {what} {unit}" if unit and what[-1].isdigit() else f"{flag}: {what}"
    return None


def _explain(location: list[int | str], kind: str, message: str) -> str:
    key = ".".join(str(part) for part in location)
    if kind in _UNKNOWN_KEY:
        return f"unknown setting '{key}': {_hint(location)}"
    if location[:1] == ["cameras"] and location[-1:] == ["[key]"] and len(location) > 3:
        return f"name '{location[-2]}' of a place under '{'.'.join(map(str, location[:-2]))}': {NAME_RULE}"
    if location[-1:] == ["[key]"] and location[0] in _NAMED and len(location) > 3:
        return f"camera name '{location[-2]}' under '{'.'.join(map(str, location[:-2]))}': {NAME_RULE}"
    if location[-1:] == ["[key]"] and location[0] in _NAMED:
        return f"{_NAMED[str(location[0])]} name '{location[1]}': {NAME_RULE}"
    if "polygon" in location[3:-1]:
        end = location.index("polygon", 3) + 1
        return f"setting '{'.'.join(map(str, location[:end]))}': each corner must be two numbers, [x, y]"
    if kind == "model_type":  # pydantic would name a class of this program
        group = f"write [{key}], and its settings below"
        return f"setting '{key}': should be a group of settings: {group}"
    if kind.startswith("datetime"):
        return f"setting '{key}': should be a date and time, such as 2026-03-02T08:00:00"
    if kind == "string_pattern_mismatch" and "cameras" in location[1:]:
        return f"setting '{key}': should be the name of a camera: {NAME_RULE}"
    if kind == "dict_type" and location[0] == "cameras" and location[-1] in ("masks", "zones"):
        example = f"{location[-1]}.NAME.polygon = [[0.1, 0.1], [0.3, 0.1], [0.2, 0.4]]"
        return f"setting '{key}': should be groups with names of your choice: write {example}"
    if kind.startswith("bool"):
        return f"setting '{key}': should be true or false"
    sentence = _EXPECTED.get(key) or re.sub("^it must ", "should ", message)
    return f"setting '{key}': {sentence[:1].lower()}{sentence[1:]}"


_UNKNOWN_KEY = ("extra_forbidden",)

_NAMED = {"cameras": "camera", "webhook": "webhook", "notify": "notify"}
"""Groups that hold one group per name: [cameras.NAME]."""

_EXPECTED = {
    "notify": "should be groups with names of your choice: write [notify.NAME]",
    "webhook": "should be groups with names of your choice: write [webhook.NAME]",
    "cameras": "should be groups with the names of the cameras: write [cameras.NAME], not [[cameras]]",
    "device": "should be auto, cpu, cuda or cuda:N",
    "model": "should be the path of a model folder",
    "mqtt.host": "should be a host name or IP address, without mqtt://, port, user and path",
    "mqtt.base": "should be 1 to 64 letters, digits, - and _",
    "mqtt.discovery_prefix": "should be 1 to 64 letters, digits, - and _",
    "playback.speed": "should be a number above 0, or max",
    "false_alarms_per_day": "should be a number from 0.000001 to 1000000",
}
"""Expected value of a setting, for settings where pydantic's message would not help."""


def _hint(location: list[int | str]) -> str:
    """Suggest which setting an unknown key means.

    Candidates are a setting with the same name in another group, or a setting with a similar name. A similar name in
    the same group is preferred. Without a candidate, the hint lists the settings that are known here.
    """
    key, places = str(location[-1]), _keys_by_place()
    meant: str | None = key
    group = nearest(key, MonitorConfig.model_fields, cutoff=0.8) if len(location) == 1 else None
    if group is not None:
        return f"did you mean '{group}'?"
    if not any(key in keys for keys in places.values()):
        if (here := _nearest_key(location)) is not None:
            return f"did you mean '{here}'?"
        meant = nearest(key, chain.from_iterable(places.values()), cutoff=0.7)
    if meant is None:
        return f"known here: {', '.join(sorted(_known_keys(location[:-1])))}"
    return f"did you mean '{meant}' {' or '.join(place for place, keys in places.items() if meant in keys)}?"


def _keys_by_place() -> dict[str, list[str]]:
    """Place in the file -> names of the settings that belong there."""
    groups = {name: _known_keys([name]) for name in MonitorConfig.model_fields if name not in _NAMED}
    named = {name: _known_keys([name, "NAME"]) for name in _NAMED}
    return {
        "above all [groups]": [name for name, keys in groups.items() if not keys],
        **{f"under [{name}.NAME]": [key for key in keys if not groups.get(key)] for name, keys in named.items()},
        **{f"under [{name}]": keys for name, keys in groups.items() if keys},
    }


def _nearest_key(location: list[int | str]) -> str | None:
    """The setting at this place in the file that is most similar to an unknown key; None if none is similar."""
    return nearest(str(location[-1]), _known_keys(location[:-1]), cutoff=0.5)


def _mend(content: dict[str, Any], location: list[int | str], *, guess: bool) -> bool:
    """Remove an unknown key, or with ``guess`` rename it to the most similar known key. False if it does not exist."""
    group: Any = content
    for part in location[:-1]:
        group = group.get(part) if isinstance(group, dict) else None
    if not isinstance(group, dict) or location[-1] not in group:
        return False
    value = group.pop(location[-1])
    meant = _nearest_key(location) if guess else None
    if meant is not None and meant != location[-1]:
        group.setdefault(meant, value)
    return True


def _known_keys(location: list[int | str]) -> list[str]:
    """Names of the settings at a place in the file; empty if the place is itself a setting, or not known."""
    group: Any = MonitorConfig
    parts = list(location)
    if parts[:1] and parts[0] in _NAMED:
        if len(parts) == 1:
            return []
        group, parts = get_args(MonitorConfig.model_fields[str(parts[0])].annotation)[1], parts[2:]
    for part in parts:
        if get_origin(group) is dict:  # of places by their names
            group = get_args(group)[1]
            continue
        found = getattr(group, "model_fields", {}).get(part)
        group = None if found is None else found.annotation
        # A camera's group may be left out: it is a group or None.
        if get_origin(group) is not dict:
            group = next((kind for kind in get_args(group) if hasattr(kind, "model_fields")), group)
    return list(getattr(group, "model_fields", ()))
