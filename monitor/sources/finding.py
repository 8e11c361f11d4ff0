"""Turns what the user typed into sources: URLs, USB indices, files, folders and trees of folders."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from monitor.errors import SourceError, UnreadableError
from monitor.reading import real_path
from monitor.sources.camera import CameraSource
from monitor.sources.devices import device_index, has_stable_name, is_device
from monitor.sources.folder import IMAGE_SUFFIXES, FolderSource, frame_number, images_in, natural_key
from monitor.sources.link import USUAL, Link
from monitor.sources.mistaken import address_meant, nothing_there, what_it_is
from monitor.sources.naming import NAME_RULE, is_name, name_of, safe_name, shortened
from monitor.sources.opencv import FALLBACK_FPS, is_text
from monitor.sources.proxy import bypass_proxy
from monitor.sources.snapshot import SNAPSHOT_FPS
from monitor.sources.source import Source
from monitor.sources.unreadable import UnreadableSource
from monitor.sources.video import VIDEO_SUFFIXES, VideoSource
from monitor.sources.web_recording import is_recording
from monitor.text.addresses import divided, is_usual, shown_address, what_is_impossible
from monitor.text.redaction import redact_source
from monitor.text.wording import counted

log = logging.getLogger(__name__)

Split = Literal["testing_videos", "training_videos"]

SCHEMES = ("rtsp", "rtsps", "http", "https")
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://")
_LONGEST_PATH = 40
"""Longest path of an address that becomes part of a camera's name, characters."""
_ROUNDS = 100_000
"""Rounds of the checksum of an address: about 40 ms, so that it does not help to guess a password."""
_DEVICE_DIGITS = 5  # longest index of a USB camera
# Data sets store their labels as images next to the footage (UCSD: Test001_gt).
_LABELS = re.compile(r"(^|[_\-])(gt|masks?|ground[_\-]?truth)$", re.IGNORECASE)


@dataclass(frozen=True)
class _Nothing:
    """A path that cannot be read, and why."""

    path: str
    reason: str


@dataclass(frozen=True)
class _Found:
    """One future stream: where it is, and the parts of its name; the last part is the most specific."""

    target: Path | str | int | _Nothing
    parts: tuple[str, ...]
    given: str | None = None


def open_sources(
    specs: Sequence[str],
    *,
    fps: float = FALLBACK_FPS,
    split: Split = "testing_videos",
    open_timeout_s: float = 5.0,
    read_timeout_s: float = 4.0,
    hardware: bool = False,
    snapshot_fps: float = SNAPSHOT_FPS,
    keep_unreadable: bool = False,
    links: Mapping[str, Link] | None = None,
) -> list[Source]:
    """The sources that the user's arguments describe. Each has a unique name; the order is the order given.

    Within a folder tree the order is the natural sort order.

    specs  each ``SPEC`` or ``NAME=SPEC``. SPEC is an RTSP(S) or HTTP(S) URL, the index of a USB camera, a video file,
           or a folder. A folder holds frames, videos, or further folders; each leaf is a separate stream. Pictures next
           to videos or folders count as a stream only if there are several and all are numbered
    fps    frames per second for folders of frames
    split  which part to use of a data set that has ``testing_videos`` or ``training_videos``
    open_timeout_s, read_timeout_s, snapshot_fps  timeouts of cameras and rate of requests, see CameraSource
    hardware  decode on hardware if it is available
    links  name -> how an RTSP camera is connected; None: as usual
    keep_unreadable  give an UnreadableSource for what cannot be read, instead of raising UnreadableError

    This function lists folders but opens no source; only if a web address ends like a video file, it asks the server
    whether it is one. Raises SourceError.
    """
    found = [stream for spec in specs for stream in _looked_up(spec, split, keep_unreadable=keep_unreadable)]
    bypass_proxy(stream.target for stream in found if isinstance(stream.target, str))
    names = _names(found)
    _warn_of_doubles(found, names)
    videos = sum(isinstance(stream.target, Path) and stream.target.is_file() for stream in found)
    # A single file is decoded by all cores. Many files would compete for the cores, so each gets its share.
    threads = max(1, (os.cpu_count() or 1) // max(videos, 1)) if videos > 1 else None
    sources: list[Source] = []
    for stream, name in zip(found, names, strict=True):
        if isinstance(stream.target, _Nothing):
            sources.append(UnreadableSource(name, stream.target.path, stream.target.reason))
        elif isinstance(stream.target, str) and is_recording(stream.target, open_timeout_s):
            sources.append(VideoSource(stream.target, name, threads=threads, hardware=hardware))
        elif isinstance(stream.target, (str, int)) or is_device(stream.target):
            sources.append(
                CameraSource(
                    name,
                    stream.target,
                    open_timeout_s=open_timeout_s,
                    read_timeout_s=read_timeout_s,
                    hardware=hardware,
                    snapshot_fps=snapshot_fps,
                    link=(links or {}).get(name, USUAL),
                )
            )
        elif stream.target.is_dir():
            sources.append(_folder(stream.target, name, fps, keep_unreadable=keep_unreadable))
        else:
            sources.append(VideoSource(stream.target, name, threads=threads, hardware=hardware))
    return sources


def _folder(path: Path, name: str, fps: float, *, keep_unreadable: bool) -> Source:
    try:
        return FolderSource(path, name, fps)
    except SourceError as error:
        if not keep_unreadable:
            raise
        return UnreadableSource(name, str(path), str(error))


def _looked_up(spec: str, split: Split, *, keep_unreadable: bool) -> list[_Found]:
    try:
        return _understand(spec, split)
    except UnreadableError as error:
        if not keep_unreadable:
            raise
        given, rest = _split_name(spec.strip())
        path = _path(rest)
        parts = (*_path_parts(path)[:-1], name_of(path.stem if path.suffix.lower() in VIDEO_SUFFIXES else path.name))
        return [_Found(_Nothing(redact_source(str(path)), str(error)), parts, given)]


def _understand(spec: str, split: Split) -> list[_Found]:
    given, spec = _split_name(spec.strip())
    if "\0" in spec:
        raise SourceError("a source contains a null character: write it again")
    url = _URL.match(spec)
    if not spec:
        raise SourceError("a source is empty: give a URL, a file, a folder or the index of a USB camera")
    if url:
        if not is_text(spec):
            raise SourceError("the address of a camera holds bytes that are no text (UTF-8): write them as %XX")
        return [_Found(spec, (_url_name(spec, url.group(1)),), given)]
    path = _path(spec)
    # Path.exists would raise OSError for text that is too long for a path.
    if spec.isascii() and spec.isdecimal() and len(spec) > _DEVICE_DIGITS and not os.path.exists(path):  # noqa: PTH110
        raise SourceError(f"there is no USB camera with the index {spec[:20]}: give a smaller number, such as 0")
    try:
        if is_device(path):
            return [_device(path, given)]
        if path.is_dir():
            leaves = _leaves(path, split, set(), real_path(path))
            if not leaves:
                raise UnreadableError(
                    f"{path} holds no images and no videos: give a folder that holds videos, or images such as "
                    "frame_00001.jpg, directly or in subfolders"
                )
            if given is None or len(leaves) == 1:
                return [_Found(leaf, _path_parts(leaf), given) for leaf in leaves]
            return [_Found(leaf, (*_path_parts(leaf)[:-1], f"{given}-{_path_parts(leaf)[-1]}")) for leaf in leaves]
        if path.is_file():
            if path.suffix.lower() in IMAGE_SUFFIXES:
                raise SourceError(f"{path} is a single image: give the folder that holds the frames")
            return [_Found(path, _path_parts(path), given)]
    except OSError as error:
        why = error.strerror or error
        raise UnreadableError(f"{path} cannot be read ({why}): check the path and its read permission") from error
    if spec.isascii() and spec.isdecimal():
        return [_Found(int(spec), (f"usb-{int(spec)}",), given)]
    if path.exists():
        raise UnreadableError(f"{path} is {what_it_is(path)}")
    if address_meant(spec) is not None:
        raise SourceError(nothing_there(path, spec))
    raise UnreadableError(nothing_there(path, spec))


def _device(path: Path, given: str | None) -> _Found:
    """A USB camera that is named by its device. A name that stays is looked up again at each opening."""
    if has_stable_name(path):
        return _Found(path, (f"usb-{safe_name(path.name.removeprefix('usb-'))[:_LONGEST_PATH]}",), given)
    index = device_index(path)
    assert index is not None
    return _Found(index if path.parent == Path("/dev") and not path.is_symlink() else path, (f"usb-{index}",), given)


def _path(spec: str) -> Path:
    # Path.expanduser would raise RuntimeError for a ~ that is not followed by the name of a user.
    return Path(os.path.expanduser(spec))  # noqa: PTH111


_FILE_URL = re.compile(r"file://(localhost)?(?=/)", re.IGNORECASE)


def _without_file_scheme(spec: str) -> str:
    """The path that a ``file:///PATH`` names, which desktops and browsers give; anything else as it is."""
    found = _FILE_URL.match(spec)
    return spec if found is None else unquote(spec[found.end() :])


def _split_name(spec: str) -> tuple[str | None, str]:
    """Split ``NAME=SPEC`` into its two parts; an = inside a URL or an existing path is not a separator."""
    name, equals, rest = spec.partition("=")
    # Path.exists would raise OSError for text that is too long for a path.
    if not equals or re.search(r"[:/?]", name) or os.path.exists(_path(spec)):  # noqa: PTH110
        return None, _without_file_scheme(spec)
    if not is_name(name):
        raise SourceError(f"'{redact_source(name)}' cannot name a source: {NAME_RULE}")
    return name, _without_file_scheme(rest.strip())


def _url_name(url: str, scheme: str) -> str:
    if scheme.lower() not in SCHEMES:
        raise SourceError(f"unknown kind of address {scheme}://: use {', '.join(f'{s}://' for s in SCHEMES)}")
    if re.search(r"\s", url):
        raise SourceError(f"the {scheme}:// address of a camera contains white space: write it as %20")
    before, _, rest = url.partition("://")
    shown = shown_address(f"{before}://", rest)
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        raise SourceError(f"{shown} contains no host name: add the camera's host name or IP address")
    if (wrong := what_is_impossible(rest)) is not None:
        raise SourceError(f"{shown} {wrong}")
    if shown.host is None:
        return f"cam-{_checksum(rest)}"
    path = re.split(r"[?#]", divided(rest)[1], maxsplit=1)[0]
    parts = [part for part in path.split("/") if part]
    if not parts:
        return f"cam-{safe_name(shown.host)}"
    usual = all(map(is_usual, parts)) and len(path) <= _LONGEST_PATH
    return f"{safe_name(shown.host)}-{safe_name(path) if usual else _checksum('/'.join(parts))}"


def _checksum(text: str) -> str:
    """Six digits in place of a text that may hold a password. They take so long to compute that nobody guesses it."""
    return hashlib.pbkdf2_hmac("sha256", text.encode(errors="replace"), b"true-sight", _ROUNDS).hex()[:6]


def _leaves(folder: Path, split: Split, seen: set[Path], given: Path) -> list[Path]:
    """All streams in a folder tree: folders that contain frames, and videos.

    A link is followed, also to another disk. Not followed is one to a folder above the link or above the given folder,
    which would bring in what lies beside. No real folder is looked into twice.

    seen   real paths of the folders looked into so far
    given  real path of the folder that the user has given
    """
    if (folder / split).is_dir():
        folder = folder / split
    here = real_path(folder)
    if here in seen:
        return []
    seen.add(here)
    leaves = []
    for entry in sorted(folder.iterdir(), key=lambda path: natural_key(path.name)):
        if entry.name.startswith("."):
            continue
        if entry.is_dir() and not _LABELS.search(entry.name):
            if entry.is_symlink() and any(place.is_relative_to(real_path(entry)) for place in (here, given)):
                log.warning("%s: not followed, because this link leads to a folder above it", entry)
                continue
            leaves += _leaves(entry, split, seen, given)
        elif entry.suffix.lower() in VIDEO_SUFFIXES and entry.is_file():
            leaves.append(entry)
    images = images_in(folder)
    if not images:
        return leaves
    if not leaves:
        return [folder]
    if len(images) > 1 and all(frame_number(image) is not None for image in images):
        return [folder, *leaves]
    log.warning("%s: ignored because the folder holds other footage: %s", folder, counted(len(images), "picture"))
    return leaves


def _path_parts(path: Path) -> tuple[str, ...]:
    resolved = real_path(path)
    own = path.stem if os.path.isfile(path) else resolved.name  # noqa: PTH113 - for any text, also one too long
    return (*(safe_name(parent.name) for parent in reversed(resolved.parents) if parent.name), name_of(own))


def _names(found: list[_Found]) -> list[str]:
    """Unique names: the last part, with as many parents in front as necessary; if that fails, with a counter."""
    given = Counter(stream.given for stream in found if stream.given)
    for name, times in given.items():
        if times > 1:
            raise SourceError(f"two sources are named '{name}': give each a different name")
    shortest = _shortest({stream.parts for stream in found if not stream.given})
    taken = set(given)
    names = []
    for stream in found:
        name = wanted = stream.given or shortened(shortest[stream.parts])
        counter = 2
        while not stream.given and name in taken:
            name = f"{wanted}-{counter}"
            counter += 1
        taken.add(name)
        names.append(name)
    return names


def _warn_of_doubles(found: list[_Found], names: list[str]) -> None:
    """Warn if one source is given several times under different names: usually a mistake, but sometimes intended."""
    by_target: dict[Path | str | int | _Nothing, list[str]] = {}
    for stream, name in zip(found, names, strict=True):
        target = real_path(stream.target) if isinstance(stream.target, Path) else stream.target
        by_target.setdefault(target, []).append(name)
    for same in by_target.values():
        if len(same) > 1:
            log.warning("%s are the same source: remove all but one, unless this is intended", _listed(same))


def _listed(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}"


def _shortest(all_parts: set[tuple[str, ...]]) -> dict[tuple[str, ...], str]:
    depth = dict.fromkeys(all_parts, 1)
    while True:
        names = {parts: "-".join(parts[-count:]) for parts, count in depth.items()}
        often = Counter(names.values())
        longer = [parts for parts, name in names.items() if often[name] > 1 and depth[parts] < len(parts)]
        if not longer:
            return names
        for parts in longer:
            depth[parts] += 1
