"""WS-Discovery against a fake camera on the loopback: what it finds, and what hostile answers cannot do."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from threading import Thread

import pytest

from monitor.app.discovery.probing import MOST_DEVICES, device_at, find_devices
from monitor.errors import UsageError
from monitor.testing.onvif_camera import OnvifCamera
from tests.places import ROOT

QUICK_S = 0.3


@pytest.fixture
def group() -> tuple[str, int]:
    """A multicast group of this test alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", 0))
        port = int(holder.getsockname()[1])
    return "239.255.255.250", port


@pytest.fixture
def camera(group: tuple[str, int]) -> Iterator[OnvifCamera]:
    with OnvifCamera(group=group) as opened:
        yield opened


@pytest.mark.parametrize("interface", ["lo", "127.0.0.1"])
def test_a_camera_is_found_at_an_interface_by_its_name_and_its_address(
    camera: OnvifCamera, group: tuple[str, int], interface: str
) -> None:
    (found,) = find_devices(interface, QUICK_S, group)
    assert found.address == camera.address
    assert found.host == "127.0.0.1"
    assert found.name == "Front door"


IN_A_NETWORK = """
import socket, struct, threading
from monitor.app.discovery.probing import GROUP, find_devices
from monitor.testing.onvif_camera import OnvifCamera

with OnvifCamera(host="10.9.9.1") as camera, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probed:
    probed.bind(("", GROUP[1]))
    member = struct.pack("@4s4si", socket.inet_aton(GROUP[0]), bytes(4), socket.if_nametoindex("cams0"))
    probed.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)

    def answer():
        asker = probed.recvfrom(65_535)[1]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("10.9.9.1", 0))
            sender.sendto(camera.own_probe_answer(), asker)

    threading.Thread(target=answer, daemon=True).start()
    assert [device.address for device in find_devices(None, 1.0)] == [camera.address]
"""


def test_without_an_interface_all_of_them_are_asked() -> None:
    network = "ip link set lo up && ip link add cams0 type veth peer name cams1 && ip link set cams1 up"
    up = "ip addr add 10.9.9.1/24 dev cams0 && ip link set cams0 up"
    made = ["unshare", "--net", "sh", "-c", f'{network} && {up} && exec "$@"', "sh"]
    if shutil.which("unshare") is None or subprocess.run([*made, "true"], capture_output=True).returncode:
        pytest.skip("this user cannot make a network of its own")
    result = subprocess.run([*made, sys.executable, "-c", IN_A_NETWORK], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_an_interface_that_does_not_exist_is_one_sentence(group: tuple[str, int]) -> None:
    for name in ("eth99", "192.0.2.1", "1.2.3", "\x1b[31m"):
        with pytest.raises(UsageError, match=r"^this machine has no interface '.*': choose from .*lo"):
            find_devices(name, QUICK_S, group)


@pytest.mark.parametrize(
    "named",
    [
        "http://192.0.2.7/onvif/device_service",
        "http://user:secret@192.0.2.7:99/x http://[::1/",
        "",
        "ftp://127.0.0.1/x",
        "http://" + "a" * 5000,
        "http://127.0.0.1:0/",
    ],
)
def test_whatever_address_an_answer_names_only_its_sender_is_asked(
    camera: OnvifCamera, group: tuple[str, int], named: str
) -> None:
    camera.xaddrs = named
    (found,) = find_devices("lo", QUICK_S, group)
    assert found.address.startswith("http://127.0.0.1")
    assert "secret" not in found.address


def test_of_several_addresses_its_own_plain_one_is_taken(camera: OnvifCamera, group: tuple[str, int]) -> None:
    camera.xaddrs = f"http://192.0.2.7/x https://127.0.0.1/secure {camera.address}"
    (found,) = find_devices("lo", QUICK_S, group)
    assert found.address == camera.address


BOMB = b"""<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
<ProbeMatch><XAddrs>http://127.0.0.1/&b;</XAddrs></ProbeMatch>"""


def test_answers_that_are_no_answers_are_left_out(camera: OnvifCamera, group: tuple[str, int]) -> None:
    deep = b"<a>" * 9000
    no_match = b"<a xmlns='b'><Hello/></a>"
    camera.probe_answers = [b"", b"\xff\xfe\x00", b"<", BOMB, deep, no_match, b'<?xml version="1.0" encoding="x"?><a/>']
    assert find_devices("lo", QUICK_S, group) == []
    camera.probe_answers.append(camera.own_probe_answer())
    assert [device.host for device in find_devices("lo", QUICK_S, group)] == ["127.0.0.1"]


def test_control_characters_of_a_name_do_not_reach_a_terminal(camera: OnvifCamera, group: tuple[str, int]) -> None:
    answer = camera.own_probe_answer().replace(b"Front%20door", b"%1b[31mred%0a[cameras.x]" + b"y" * 2000)
    camera.probe_answers = [answer]
    (found,) = find_devices("lo", QUICK_S, group)
    assert found.name.isprintable()
    assert len(found.name) <= 200


def test_thousands_of_answers_end_in_time_with_a_limited_number_of_devices(group: tuple[str, int]) -> None:
    match = b"<a><ProbeMatch><XAddrs>http://127.0.0.1/x</XAddrs></ProbeMatch></a>"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(group)
        member = struct.pack("@4s4si", socket.inet_aton(group[0]), bytes(4), socket.if_nametoindex("lo"))
        listener.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)

        def flood() -> None:
            asker = listener.recvfrom(65_535)[1]
            for number in range(3000):  # from many loopback addresses
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                    sender.bind((f"127.0.{number // 250}.{number % 250 + 1}", 0))
                    sender.sendto(match, asker)

        thread = Thread(target=flood)
        thread.start()
        found = find_devices("lo", 5.0, group)
        thread.join(30)
    assert 1 <= len(found) <= MOST_DEVICES


def test_a_camera_can_be_named() -> None:
    assert device_at("192.168.1.20").address == "http://192.168.1.20/onvif/device_service"
    assert device_at("cam.local:8000").address == "http://cam.local:8000/onvif/device_service"
    assert device_at("[fe80::1]:80").host == "fe80::1"
    assert device_at("https://cam/own/path").address == "https://cam/own/path"


@pytest.mark.parametrize(
    "text", ["", "rtsp://cam/x", "cam:99999", "user:secret@cam", "a b", "http://[::1", "x\x1b[31m"]
)
def test_what_is_no_address_is_one_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="is no address of a camera") as raised:
        device_at(text)
    assert "secret" not in str(raised.value)
