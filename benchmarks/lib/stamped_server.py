# mypy: ignore-errors
# This file runs in the system's Python; the gi bindings there have no types.
"""RTSP cameras that write into each frame the time at which they give it to the encoder (see ``stamp``).

Runs in the system's Python, which has GStreamer's bindings (packages: see ``monitor/testing/gst_rtsp_server.py``):

    python3 -m benchmarks.lib.stamped_server FRAMES WIDTHxHEIGHT@FPS CAMERAS

FRAMES is a file of raw I420 frames that every camera plays in a loop. Each camera starts at another frame and with
another phase, like independent cameras. Prints ``ready PORT``; camera N is at ``/N``. Ends when its standard input is
closed, so that it never runs longer than the program that started it.
"""

import random
import re
import sys
import threading
import time
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

from benchmarks.lib.stamp import strip  # noqa: E402

LAUNCH = (
    "( appsrc name=src is-live=true format=time do-timestamp=true leaky-type=downstream max-buffers=2 "
    "caps=video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 "
    "! x264enc tune=zerolatency speed-preset=ultrafast threads=1 bitrate=2000 key-int-max={fps} "
    "! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


class StampedCamera(GstRtspServer.RTSPMediaFactory):
    """One camera. A thread pushes each frame when it is due."""

    def __init__(self, number, frames, width, height, fps):
        super().__init__()
        self.set_launch(LAUNCH.format(width=width, height=height, fps=fps))
        self.set_shared(True)
        self.frames, self.width, self.period_s = frames, width, 1.0 / fps
        chance = random.Random(number)
        self.first, self.phase_s = chance.randrange(len(frames)), chance.random() * self.period_s

    def do_media_configure(self, media):
        """Start to push frames, because a client has connected."""
        source = media.get_element().get_by_name("src")
        threading.Thread(target=self.feed, args=(source,), daemon=True).start()

    def feed(self, source):
        """Push frames until no client takes them any more."""
        started = time.monotonic()
        count = 0
        while True:
            due = started + self.phase_s + count * self.period_s
            time.sleep(max(0.0, due - time.monotonic()))
            picture = self.frames[(self.first + count) % len(self.frames)]
            stamp = strip(time.time(), self.width)
            flow = source.emit("push-buffer", Gst.Buffer.new_wrapped(stamp + picture[len(stamp) :]))
            if count and flow != Gst.FlowReturn.OK:
                return
            count += 1


def main():
    """Serve until standard input is closed."""
    Gst.init(None)
    file, shape, cameras = sys.argv[1:]
    width, height, fps = map(int, re.fullmatch(r"(\d+)x(\d+)@(\d+)", shape).groups())
    content, size = Path(file).read_bytes(), width * height * 3 // 2
    frames = [content[at : at + size] for at in range(0, len(content), size)]
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    for number in range(int(cameras)):
        server.get_mount_points().add_factory(f"/{number}", StampedCamera(number, frames, width, height, fps))
    if server.attach(None) == 0:
        sys.exit("cannot listen on a loopback port")
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IO_HUP, lambda *_: loop.quit())
    sys.stdout.write(f"ready {server.get_bound_port()}\n")
    sys.stdout.flush()
    loop.run()


if __name__ == "__main__":
    main()
