"""An RTSP server on loopback for the tests: it serves H.264 from a test picture or from a looped video file.

It runs with the system's Python, which has GStreamer's bindings (Debian: python3-gi, gir1.2-gst-rtsp-server-1.0,
gstreamer1.0-plugins-good, -bad, -ugly and gstreamer1.0-libav):

    server.py PORT /ball=ball:320x240@25 /clip=/path/to/video.mp4 ...
    server.py PORT --tls=CERTIFICATE_AND_KEY.pem --only=udp /ball=...

``--tls`` serves rtsps:// (Debian: glib-networking). ``--only`` allows one transport of pictures, udp or tcp. PORT 0
takes a free port. It prints ``ready PORT`` as soon as clients can connect. It ends when its standard input is
closed, so that it never runs longer than the program that started it.
"""

import re
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, GLib, Gst, GstRtsp, GstRtspServer  # noqa: E402

ENCODE = (
    "videoconvert ! video/x-raw,format=I420 "
    "! x264enc tune=zerolatency speed-preset=ultrafast bitrate=1500 key-int-max=10 "
    "! rtph264pay name=pay0 pt=96 config-interval=1"
)


class LoopedFile(GstRtspServer.RTSPMediaFactory):
    """Serves a video file in an endless loop. A separate pipeline decodes it for the encoder; timestamps increase."""

    def __init__(self, path):
        super().__init__()
        self.set_launch(f"( appsrc name=src is-live=true block=false format=time ! {ENCODE} )")
        self.path = path
        self.decoder = None

    def do_media_configure(self, media):
        """Start decoding from the beginning of the file; GStreamer calls it for each new media."""
        if self.decoder is not None:
            self.decoder.set_state(Gst.State.NULL)
        self.decoder = Gst.parse_launch(
            f'filesrc location="{self.path}" ! decodebin ! videoconvert ! video/x-raw,format=I420 '
            "! appsink name=sink max-buffers=4 sync=false"
        )
        self.decoder.set_state(Gst.State.PLAYING)
        self.sink = self.decoder.get_by_name("sink")
        self.next_pts = 0
        media.get_element().get_by_name("src").connect("need-data", self.feed)

    def feed(self, appsrc, _length):
        """Push the next decoded picture to the encoder, with the next timestamp."""
        sample = self.sink.emit("pull-sample")
        if sample is None:  # the end of the file: continue from its start
            self.decoder.seek_simple(Gst.Format.TIME, Gst.SeekFlags.FLUSH, 0)
            sample = self.sink.emit("pull-sample")
            if sample is None:
                appsrc.emit("end-of-stream")
                return
        caps = sample.get_caps()
        _, numerator, denominator = caps.get_structure(0).get_fraction("framerate")
        buffer = sample.get_buffer().copy_deep()
        buffer.duration = Gst.SECOND * denominator // (numerator or 25)
        buffer.pts = buffer.dts = self.next_pts
        self.next_pts += buffer.duration
        appsrc.set_caps(caps)
        appsrc.emit("push-buffer", buffer)


def factory(what):
    """The media factory for ``ball:WIDTHxHEIGHT@FPS`` (or another videotestsrc pattern) or a file's path."""
    pattern = re.fullmatch(r"([a-z-]+):(\d+)x(\d+)@(\d+)", what)
    if pattern is None:
        made = LoopedFile(what)
    else:
        name, width, height, fps = pattern.groups()
        made = GstRtspServer.RTSPMediaFactory()
        made.set_launch(
            f"( videotestsrc is-live=true pattern={name} "
            f"! video/x-raw,width={width},height={height},framerate={fps}/1 ! {ENCODE} )"
        )
    made.set_shared(True)
    return made


TRANSPORTS = {"udp": GstRtsp.RTSPLowerTrans.UDP, "tcp": GstRtsp.RTSPLowerTrans.TCP}


def encrypt(server, certificate):
    """Serve with TLS, for everybody."""
    auth = GstRtspServer.RTSPAuth()
    auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "anybody")
    auth.set_default_token(token)
    server.set_auth(auth)


def main():
    """Serve until standard input is closed."""
    Gst.init(None)
    port, *mounts = sys.argv[1:]
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    only = None
    for mount in mounts:
        path, _, what = mount.partition("=")
        if path == "--tls":
            encrypt(server, what)
        elif path == "--only":
            only = TRANSPORTS[what]
        else:
            made = factory(what)
            made.add_role_from_structure(
                Gst.Structure.new_from_string("anybody, media.factory.access=true, media.factory.construct=true")
            )
            if only is not None:
                made.set_protocols(only)
            server.get_mount_points().add_factory(path, made)
    if server.attach(None) == 0:
        sys.exit(f"cannot listen on port {port}")
    loop = GLib.MainLoop()
    GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IO_HUP, lambda *_: loop.quit())
    sys.stdout.write(f"ready {server.get_bound_port()}\n")
    sys.stdout.flush()
    loop.run()


main()
