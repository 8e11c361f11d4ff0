"""From what a probe found to a sentence and its mend. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from monitor.app.doctor.facts import Failure, FootageFacts, Request, StreamFacts, Trouble
from monitor.app.doctor.finding_report import Finding, State
from monitor.sources.reach import PORTS, SENTENCES, Barrier
from monitor.text.redaction import redact
from monitor.text.wording import plural

LONG_KEY_FRAME_S = 4.0
_LARGE = (1920, 1080)
_FAST_FPS = 30
_OVERLOADED = 0.1
"""Share of the time in which the check waited for a core, from which on it is no judge of when pictures came."""
_ALL_OF_A_CORE = 0.9
"""What decoding takes of a core, from which on pictures are late because of it."""
_ENCODE = "in a password write / ? # @ : as %2F %3F %23 %40 %3A"
_PATH = "look up the path of its stream in the camera's manual or its ONVIF profile"

# What was found and its mend; {host}, {port}, {path}, {scheme}, {open_s}, {detail} are filled in.
_SENTENCES: dict[Trouble, tuple[str, str]] = {
    Trouble.BAD_ADDRESS: (
        "the address cannot be taken apart",
        f"write user and password before the host, as USER:PASSWORD@HOST; {_ENCODE}",
    ),
    Trouble.UNKNOWN_HOST: (SENTENCES[Barrier.UNKNOWN_HOST], "check the spelling, or give its IP address"),
    Trouble.UNREACHABLE: (SENTENCES[Barrier.UNREACHABLE], "check the network and the cable; try `ping {host}`"),
    Trouble.NO_ANSWER: (
        SENTENCES[Barrier.NO_ANSWER],
        "check that the camera is on, on this network, and behind no firewall; try `ping {host}`",
    ),
    Trouble.REFUSED: (
        SENTENCES[Barrier.REFUSED],
        "check the port, and that {scheme} is switched on in the camera's settings",
    ),
    Trouble.SILENT: (
        "{host} accepts the connection but does not answer within {open_s:g} s",
        "restart the camera, check that port {port} is for {scheme}, or raise open_timeout_s",
    ),
    Trouble.UNAUTHORIZED: ("the user or the password is wrong (401)", f"check both; {_ENCODE}"),
    Trouble.FORBIDDEN: (
        "this user may not watch the stream (403)",
        "allow it in the camera's settings, or take another user",
    ),
    Trouble.NOT_FOUND: ("the camera has no stream {path} (404)", _PATH),
    Trouble.CLIENT_ERROR: (
        "the camera turns the request down",
        "it may have too many viewers (close one), not know the path, or not offer RTSP over TCP (switch it on)",
    ),
    Trouble.SERVER_ERROR: ("the camera reports an error of its own (5xx)", "restart it, or close another viewer"),
    Trouble.NOT_VIDEO: ("what comes from there is no video", f"it may be a web page: {_PATH}"),
    Trouble.NO_VIDEO_STREAM: ("the stream holds no video, only {detail}", _PATH),
    Trouble.UNKNOWN_CODEC: ("its codec{detail} cannot be decoded here", "set the camera to H.264 or H.265"),
    Trouble.NO_PICTURE: (
        "it opens, then sends no picture that can be decoded ({detail} came)",
        "shorten its key-frame interval, set it to H.264, restart it",
    ),
    Trouble.NO_DEVICE: (
        "it cannot be opened",
        "plug it in, close the program that uses it, and let this user read /dev/video* (group video)",
    ),
    Trouble.UNUSABLE: ("{detail}", "check the path, or copy the footage again"),
    Trouble.OTHER: ("it cannot be opened: {detail}", "check the address in a player such as VLC or ffplay"),
    Trouble.CRASHED: (
        "decoding it crashes ({detail})",
        "set the camera to another codec (write a file anew with ffmpeg); with isolation = 'process' under [capture] "
        "it cannot end the monitor",
    ),
    Trouble.HUNG: ("it hung while {detail} and was given up", "restart the camera; check its network"),
    Trouble.BROKEN: ("the check itself failed: {detail}", "please report it"),
}


def judge_failure(check: str, name: str, failure: Failure, request: Request) -> Finding:
    """A problem: there is nothing to watch."""
    found, mend = _SENTENCES[failure.trouble]
    detail = failure.detail
    if failure.trouble is Trouble.UNKNOWN_CODEC and detail:
        detail = f" {detail}"
    host, port, path, scheme, has_user = _address(request.target) if request.kind == "url" else ("", 0, "", "", True)
    if failure.trouble is Trouble.UNAUTHORIZED and not has_user:
        found = "it asks for a user and a password (401)"
        mend = f"write them before the host, as USER:PASSWORD@{{host}}; {_ENCODE}"
    words = {
        "host": host, "port": port, "path": path, "scheme": scheme.upper(),
        "open_s": request.open_timeout_s, "detail": detail,
    }  # fmt: skip
    return Finding(check, name, State.PROBLEM, found.format(**words), mend.format(**words), failure)


def _address(url: str) -> tuple[str, int, str, str, bool]:
    """Host, port, path, scheme, and whether a user is given. Nothing secret."""
    parts = urlsplit(redact(url))
    scheme = parts.scheme.lower()
    try:
        port = parts.port
    except ValueError:
        port = None
    return parts.hostname or "the host", port or PORTS[scheme], parts.path or "/", scheme, "@" in parts.netloc


def judge_stream(name: str, facts: StreamFacts, request: Request, analysis_fps: float) -> Finding:
    """A camera that gives pictures, with advice on how they could be better ones."""
    overloaded = facts.core_wait is not None and facts.core_wait >= _OVERLOADED
    mends = [*_camera_advice(facts, analysis_fps, overloaded=overloaded)]
    mends += _network_advice(facts, request.gap_s, slow_machine=overloaded or _decoding(facts) >= _ALL_OF_A_CORE)
    found = [_picture(facts), f"open after {facts.open_s:.1f} s, first picture after {facts.first_picture_s:.1f} s"]
    if facts.codec != "usb":
        found.append(_keys(facts))
    if facts.longest_wait_s is not None and facts.jitter_s is not None:
        found.append(f"longest wait {facts.longest_wait_s:.2f} s, jitter {1000 * facts.jitter_s:.0f} ms")
    if facts.fps is not None:
        percent = 100.0 * _decoding(facts)
        found.append(f"decoding takes {f'{percent:.0f}' if percent >= 1 else 'less than 1'} % of a core")
    if overloaded and facts.core_wait is not None:
        found.append(f"waiting {100.0 * facts.core_wait:.0f} % of the time for a core of this machine")
    if facts.damaged:
        found.append(f"{facts.damaged} of {facts.pictures} pictures damaged")
    if facts.stalled or facts.ended:
        found.append(f"{'silent' if facts.stalled else 'ended'} within {request.seconds:g} s")
    return Finding("camera", name, State.WARNING if mends else State.OK, ", ".join(found), "; ".join(mends), facts)


def _decoding(facts: StreamFacts) -> float:
    """What decoding takes of a core, 1 = all of it."""
    return facts.decode_ms * (facts.fps or 0.0) / 1000.0


def _camera_advice(facts: StreamFacts, analysis_fps: float, *, overloaded: bool) -> Iterator[str]:
    """What to change in the camera's settings; nothing for a rate that an overloaded machine has lowered."""
    if overloaded:
        yield (
            "this machine is overloaded: end other programs or take a faster one, then check again; waits and rate say "
            "nothing of the camera"
        )
    elif _decoding(facts) >= _ALL_OF_A_CORE:
        yield "this machine decodes no faster than that: take the camera's sub-stream, such as 640x360 at 10 to 15 fps"
    fps, long_side, short_side = facts.fps, max(facts.width, facts.height), min(facts.width, facts.height)
    if long_side > _LARGE[0] or short_side > _LARGE[1] or round(fps or 0.0) > _FAST_FPS:
        yield "take the camera's sub-stream, such as 640x360 at 10 to 15 fps: decoding it costs a fraction"
    if max(facts.key_frame_s or 0.0, facts.without_key_s) > LONG_KEY_FRAME_S:
        yield "set the key-frame (I-frame) interval to 1 to 2 s: a reconnect waits for the next key frame"
    if fps is not None and fps < 0.9 * analysis_fps and not overloaded:
        yield f"raise its frame rate, or set analysis_fps = {max(1, round(fps))}: {analysis_fps:g} are asked for"


def _network_advice(facts: StreamFacts, gap_s: float, *, slow_machine: bool) -> Iterator[str]:
    """What to do about pictures that do not come as they should, where it is not this machine that is late."""
    fps, claimed_fps = facts.fps, facts.claimed_fps
    if facts.stalled:
        yield "it fell silent while it was watched: check the network, restart the camera"
    elif facts.ended:
        yield "it ended by itself: give a live stream, not a recording; close other viewers"
    elif slow_machine:
        pass
    elif facts.longest_wait_s is not None and facts.longest_wait_s > max(gap_s, 3.0 / (fps or 1.0)):
        yield "pictures come with gaps: check the network (cable rather than wireless) and the bit rate"
    if facts.damaged:
        yield "pictures are damaged: check the network, lower the bit rate"
    if not slow_machine and fps is not None and claimed_fps and 1 <= claimed_fps <= 240 and fps < 0.7 * claimed_fps:
        yield "fewer pictures come than it claims: slow shutter in the dark, or a network that is too slow"


def _picture(facts: StreamFacts) -> str:
    codec = {"h264": "H.264", "hevc": "H.265", "mjpeg": "Motion JPEG", "usb": "USB"}.get(facts.codec, facts.codec)
    claimed = f"claims {facts.claimed_fps:.4g}" if facts.claimed_fps else "claims nothing"
    fps = f"{facts.fps:.1f} fps ({claimed})" if facts.fps is not None else f"{claimed} fps"
    return f"{codec} {facts.width}x{facts.height}, {fps}"


def _keys(facts: StreamFacts) -> str:
    if facts.key_frame_s is None:
        return f"no second key frame in {facts.without_key_s:.1f} s"
    if facts.key_frame_s < 1.5 / (facts.fps or facts.claimed_fps or 25.0):
        return "every picture a key frame"
    return f"key frame every {facts.key_frame_s:.1f} s"


def judge_footage(name: str, facts: FootageFacts, request: Request) -> Finding:
    """A file or folder that gives pictures, with what is amiss in it."""
    folder = request.kind == "folder"
    if facts.complete:
        read = f"all {facts.read:,} {plural(facts.read, 'image' if folder else 'picture')} read"
    elif facts.total is None:
        read = f"the first {facts.read:,} {plural(facts.read, 'picture')} read"
    else:
        read = f"{facts.total:,} images, {facts.read:,} read"
    found = [f"{facts.width}x{facts.height}", f"{facts.fps:.4g} fps", read]
    mends = []
    if facts.unreadable:
        found.append(f"{facts.unreadable} unreadable" + (f" ({', '.join(facts.examples)})" if facts.examples else ""))
        mends.append("copy them again; the monitor leaves them out and counts them")
    if facts.missing:
        what = (
            f"{plural(facts.missing, 'number')} missing" if folder else f"{plural(facts.missing, 'gap')} in its clock"
        )
        found.append(f"{facts.missing:,} {what}")
        mends.append("copy what is missing, if it should be there; a long hole starts temporal state anew")
    if facts.sizes > 1:
        found.append(f"{facts.sizes} frame sizes")
        mends.append("keep each size in a folder of its own: a change of size starts temporal state anew")
    state = State.WARNING if mends else State.OK
    return Finding("footage", name, state, ", ".join(found), "; ".join(mends), facts)
