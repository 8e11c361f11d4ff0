"""Turns the facts of a probe into a sentence and advice on how to fix it. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator

from monitor.app.doctor.facts import Failure, FootageFacts, Request, StreamFacts, Trouble
from monitor.app.doctor.finding_report import Finding, State
from monitor.sources.proxy import proxy_of
from monitor.sources.reach import PORTS, SENTENCES, Barrier
from monitor.text.addresses import shown_address
from monitor.text.commands import monitor_command
from monitor.text.wording import plural

LONG_KEY_FRAME_S = 4.0
_LARGE = (1920, 1080)
_FAST_FPS = 30
_ENOUGH = (1280, 720)
"""Detectors look at 320x180, people at the pictures of alerts: a larger stream is decoded for nothing ..."""
_DEAR = 0.1
"""... which is worth a word if it costs this share of a core."""
_LEAST_FPS = 0.5
"""Detectors are made for this many frames per second and more."""
_FEW = 5
_NEAR_TIMEOUT, _NEARLY_OPEN, _ROOM = 0.7, 0.9, 2.0
"""A wait of this share of the read timeout is too near to it; so many times the longest wait is enough."""
_OVERLOADED = 0.1
"""Share of the time that the check waited for a core. From this value on, measured arrival times are not reliable."""
_ALL_OF_A_CORE = 0.9
"""Share of a core that decoding uses. From this value on, decoding makes frames late."""
_ENCODE = "in a password, write / ? # @ : as %2F %3F %23 %40 %3A"
_CODECS = {"h264": "H.264", "hevc": "H.265", "mjpeg": "Motion JPEG", "usb": "USB", "snapshots": "single pictures"}
_PATH = "look up the path of its stream in the camera's manual or its ONVIF profile"

# What was found and how to fix it. The placeholders {host}, {port}, {scheme}, {open_s}, {detail} are filled in.
_SENTENCES: dict[Trouble, tuple[str, str]] = {
    Trouble.BAD_ADDRESS: (
        "the address is not valid",
        f"write user and password before the host, as USER:PASSWORD@HOST; {_ENCODE}",
    ),
    Trouble.UNKNOWN_HOST: (SENTENCES[Barrier.UNKNOWN_HOST], "check the spelling, or give its IP address"),
    Trouble.UNREACHABLE: (SENTENCES[Barrier.UNREACHABLE], "check the network and the cable; try `ping {host}`"),
    Trouble.NO_ANSWER: (
        SENTENCES[Barrier.NO_ANSWER],
        "check that the camera is on, in this network, and not behind a firewall; try `ping {host}`",
    ),
    Trouble.REFUSED: (
        SENTENCES[Barrier.REFUSED],
        "check the port, and check that {scheme} is switched on in the camera's settings",
    ),
    Trouble.PROXY: (
        SENTENCES[Barrier.PROXY],
        "check the variable http_proxy, or ask the camera directly: put its host into the variable no_proxy",
    ),
    Trouble.CERTIFICATE: (
        "its certificate is refused: {detail}",
        "check the setting 'ca' of the camera and the host in its address, or remove the check",
    ),
    Trouble.TRANSPORT: (
        "this camera gives no pictures over {detail}, but over the other transport it does",
        "remove transport of this camera",
    ),
    Trouble.SILENT: (
        "{host} accepts the connection but does not answer within {open_s:g} s",
        "restart the camera, check that port {port} is for {scheme}, or raise open_timeout_s",
    ),
    Trouble.UNAUTHORIZED: ("the user name or the password is wrong (401)", f"check both; {_ENCODE}"),
    Trouble.FORBIDDEN: (
        "this user is not allowed to watch the stream (403)",
        "allow it in the camera's settings, or use another user",
    ),
    Trouble.NOT_FOUND: ("the camera has no stream with this path (404)", _PATH),
    Trouble.CLIENT_ERROR: (
        "the camera rejects the request",
        "check that it has not too many viewers (close one), that the path is right, and that RTSP over TCP is on",
    ),
    Trouble.SERVER_ERROR: ("the camera reports an internal error (5xx)", "restart it, or close another viewer"),
    Trouble.NOT_VIDEO: ("this address sends no video", f"it may be a web page: {_PATH}"),
    Trouble.NO_VIDEO_STREAM: ("the stream contains no video, only {detail}", _PATH),
    Trouble.UNKNOWN_CODEC: ("its codec{detail} cannot be decoded here", "set the camera to H.264 or H.265"),
    Trouble.NO_PICTURE: (
        "it opens, then sends no frame that can be decoded (received: {detail})",
        "shorten its key-frame interval, set it to H.264, or restart it",
    ),
    Trouble.NO_DEVICE: (
        "it cannot be opened",
        "plug it in, close any program that uses it, and let this user read /dev/video* (group video)",
    ),
    Trouble.UNUSABLE: ("{detail}", "check the path, or copy the footage again"),
    Trouble.OTHER: ("it cannot be opened: {detail}", "check the address in a player such as VLC or ffplay"),
    Trouble.CRASHED: (
        "decoding it crashes ({detail})",
        "set the camera to another codec (for a file: encode it again with ffmpeg); with isolation = 'process' under "
        "[capture] such a crash cannot end the monitor",
    ),
    Trouble.HUNG: ("it hung while {detail}, so the check was stopped", "restart the camera; check its network"),
    Trouble.TOO_BUSY: (
        "this machine is too busy to check it: the check was stopped while {detail}",
        "end other programs, or check again when the load is lower; this says nothing about the camera",
    ),
    Trouble.BROKEN: ("the check itself failed: {detail}", "please report it"),
}


def judge_failure(check: str, name: str, failure: Failure, request: Request) -> Finding:
    """A problem: the source cannot be watched."""
    found, mend = _SENTENCES[failure.trouble]
    detail = failure.detail
    if failure.trouble is Trouble.UNKNOWN_CODEC and detail:
        detail = f" {detail}"
    host, port, scheme, has_user = _address(request.target) if request.kind == "url" else ("", "", "", True)
    if failure.trouble is Trouble.UNAUTHORIZED and not has_user:
        found = "it asks for a user name and a password (401)"
        mend = f"write them before the host, as USER:PASSWORD@{{host}}; {_ENCODE}"
    proxy = proxy_of(request.target) if request.kind == "url" and failure.trouble is not Trouble.PROXY else None
    if proxy is not None:
        found += f", asked through the proxy {proxy[0]}:{proxy[1]}"
        mend += "; the proxy (variable http_proxy) may be the cause: put {host} into the variable no_proxy"
    words = {
        "host": host, "port": port, "scheme": scheme.upper(),
        "open_s": request.open_timeout_s, "detail": detail,
    }  # fmt: skip
    return Finding(check, name, State.PROBLEM, found.format(**words), mend.format(**words), failure)


def _address(url: str) -> tuple[str, str, str, bool]:
    """Host, port, scheme, and whether the address names a user. Contains no credentials."""
    scheme, _, rest = url.partition("://")
    shown = shown_address(f"{scheme}://", rest)
    port = shown.port or str(PORTS.get(scheme.lower(), ""))
    return (shown.host or "the host").strip("[]"), port, scheme, bool(shown.user)


def judge_stream(name: str, facts: StreamFacts, request: Request, analysis_fps: float) -> Finding:
    """A finding for a camera that sends frames, with advice on how to improve the stream."""
    overloaded = facts.core_wait is not None and facts.core_wait >= _OVERLOADED
    mends = [*_camera_advice(facts, analysis_fps, overloaded=overloaded)]
    mends += _network_advice(facts, request, slow_machine=overloaded or _decoding(facts) >= _ALL_OF_A_CORE)
    found = [_picture(facts), f"open after {facts.open_s:.1f} s, first frame after {facts.first_picture_s:.1f} s"]
    if facts.codec not in ("usb", "snapshots"):
        found.append(_keys(facts))
    if facts.longest_wait_s is not None and facts.jitter_s is not None:
        found.append(f"longest wait {facts.longest_wait_s:.2f} s, jitter {1000 * facts.jitter_s:.0f} ms")
    if facts.fps is not None:
        percent = 100.0 * _decoding(facts)
        found.append(f"decoding takes {f'{percent:.0f}' if percent >= 1 else 'less than 1'} % of a core")
    if overloaded and facts.core_wait is not None:
        found.append(f"the check waited {100.0 * facts.core_wait:.0f} % of the time for a core of this machine")
    if facts.burst_s:
        found.append(f"frames come in bursts of about {facts.burst_s:.0f} s, so alerts come up to so much later")
    if facts.damaged:
        found.append(f"{facts.damaged} of {facts.pictures} frames damaged")
    if facts.stalled or facts.ended:
        found.append("silent" if facts.stalled else f"ended within {request.seconds:g} s")
    return Finding("camera", name, State.WARNING if mends else State.OK, ", ".join(found), "; ".join(mends), facts)


def _decoding(facts: StreamFacts) -> float:
    """Share of a core that decoding uses, 1 = a full core."""
    return facts.decode_ms * (facts.fps or 0.0) / 1000.0


def _camera_advice(facts: StreamFacts, analysis_fps: float, *, overloaded: bool) -> Iterator[str]:
    """What to change in the camera's settings. Gives no advice on a rate that an overloaded machine has lowered."""
    if overloaded:
        yield (
            "this machine is overloaded: end other programs or use a faster machine, then check again; until then the "
            "measured waits and rate do not describe the camera"
        )
    fps = facts.fps
    yield from _sub_stream_advice(facts)
    if max(facts.key_frame_s or 0.0, facts.without_key_s) > LONG_KEY_FRAME_S:
        yield "set the key-frame (I-frame) interval to 1 to 2 s: a reconnect waits for the next key frame"
    if facts.codec == "snapshots":
        yield "use the address of its video stream, if it has one: pictures that are requested one by one miss much"
    elif fps is not None and fps < 0.9 * analysis_fps and not overloaded:
        suits = f"{round(fps)}" if fps >= 1 else f"{math.ceil(10 * fps) / 10:g}"
        yield f"raise its frame rate, or set analysis_fps = {suits}: the setting asks for {analysis_fps:g}"
    if fps is not None and fps < _LEAST_FPS and not overloaded:
        yield f"below {_LEAST_FPS:g} frames per second, most of what moves is missed"
    if fps is None and facts.pictures < _FEW and not (facts.stalled or facts.ended):
        yield "too few frames arrived to know its rate: check it again with more --seconds, or raise its frame rate"


def _sub_stream_advice(facts: StreamFacts) -> Iterator[str]:
    """To use a smaller stream, if this one costs much to decode or is larger than any detector needs."""
    long_side, short_side = max(facts.width, facts.height), min(facts.width, facts.height)
    share, fps = _decoding(facts), round(facts.fps or 0.0)
    dear = share >= _DEAR and long_side * short_side > _ENOUGH[0] * _ENOUGH[1]
    if dear or share >= _ALL_OF_A_CORE:
        yield (
            f"{facts.width}x{facts.height} at {fps} frames/s costs {100.0 * share:.0f} % of a core to decode: set its "
            f"sub-stream, such as 640x360 at 10 to 15 fps; `{monitor_command('discover')}` lists its streams"
        )
    elif long_side > _LARGE[0] or short_side > _LARGE[1] or fps > _FAST_FPS:
        yield "use the camera's sub-stream, such as 640x360 at 10 to 15 fps: it needs much less CPU time to decode"


def _network_advice(facts: StreamFacts, request: Request, *, slow_machine: bool) -> Iterator[str]:
    """What to do about frames that are late or damaged, unless this machine itself causes the delay."""
    gap_s, timeout_s = request.gap_s, request.read_timeout_s
    fps, claimed_fps = facts.fps, facts.claimed_fps
    longest_s = facts.longest_wait_s if facts.longest_step_s is None else facts.longest_step_s
    if facts.stalled and facts.burst_s:
        pass  # it waits for its next burst
    elif facts.stalled:
        yield "it stopped sending during the check: check the network, restart the camera"
    elif facts.ended:
        yield "it ended by itself: use a live stream, not a recording; close other viewers"
    elif slow_machine:
        pass
    elif longest_s is not None and longest_s > max(gap_s, 3.0 / (fps or 1.0)):
        yield "frames arrive with gaps: check the network (cable rather than wireless) and the bit rate"
    if facts.open_s >= _NEARLY_OPEN * request.open_timeout_s and not slow_machine:
        after = f"a run gives up after {request.open_timeout_s:g} s"
        yield f"set open_timeout_s = {math.ceil(_ROOM * facts.open_s)} under [capture]: {after}"
    waited_s = max(facts.longest_wait_s or 0.0, facts.burst_s)
    if waited_s > _NEAR_TIMEOUT * timeout_s and (facts.burst_s or not slow_machine):
        after = f"a run takes it for lost after {timeout_s:g} s without a frame"
        yield f"set read_timeout_s = {math.ceil(_ROOM * waited_s)} under [capture]: {after}"
    if facts.damaged:
        yield "frames are damaged: check the network, lower the bit rate"
    if not slow_machine and fps is not None and claimed_fps and 1 <= claimed_fps <= 240 and fps < 0.7 * claimed_fps:
        yield "fewer frames arrive than it claims: slow shutter in the dark, or a network that is too slow"


def _picture(facts: StreamFacts) -> str:
    codec = _CODECS.get(facts.codec, facts.codec)
    claimed = f"claims {facts.claimed_fps:.4g}" if facts.claimed_fps else "claims nothing"
    rate = "" if facts.fps is None else f"{facts.fps:.1f}" if facts.fps >= 1 else f"{facts.fps:.2f}"
    fps = f"{rate} fps ({claimed})" if facts.fps is not None else f"{claimed} fps"
    return f"{codec} {facts.width}x{facts.height}, {fps}"


def _keys(facts: StreamFacts) -> str:
    if facts.key_frame_s is None:
        return f"no second key frame in {facts.without_key_s:.1f} s"
    if facts.key_frame_s < 1.5 / (facts.fps or facts.claimed_fps or 25.0):
        return "every frame is a key frame"
    return f"key frame every {facts.key_frame_s:.1f} s"


def judge_footage(name: str, facts: FootageFacts, request: Request) -> Finding:
    """A finding for a file or folder with readable frames, with everything that is wrong with it."""
    folder = request.kind == "folder"
    if facts.complete:
        read = f"all {facts.read:,} {plural(facts.read, 'image' if folder else 'frame')} read"
    elif facts.total is None:
        read = f"the first {facts.read:,} {plural(facts.read, 'frame')} read"
    else:
        read = f"{facts.total:,} images, {facts.read:,} read"
    found = [f"{facts.width}x{facts.height}", f"{facts.fps:.4g} fps", read]
    mends = []
    if facts.unreadable:
        found.append(f"{facts.unreadable} unreadable" + (f" ({', '.join(facts.examples)})" if facts.examples else ""))
        mends.append("copy them again; the monitor skips and counts them")
    if facts.missing:
        what = (
            f"{plural(facts.missing, 'number')} missing" if folder else f"{plural(facts.missing, 'gap')} in its clock"
        )
        found.append(f"{facts.missing:,} {what}")
        mends.append("if something is lost, copy it again; a long gap resets temporal state")
    if facts.sizes > 1:
        found.append(f"{facts.sizes} frame sizes")
        mends.append("use one folder per size: a change of size resets temporal state")
    state = State.WARNING if mends else State.OK
    return Finding("footage", name, state, ", ".join(found), "; ".join(mends), facts)
