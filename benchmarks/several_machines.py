"""A fleet of machines under faults, and with many cameras: what it loses, how fast it places, where it bends.

    python -m benchmarks.several_machines [--faults 200] [--kills 50] [--cameras 1000 10000] [--per-s 150 500 1000 0]

1. A soak of random faults over simulated nodes, on a simulated clock and network: leases, coordinator, journals and
   gateway are the real ones.
2. Placement of many cameras: all at once, and those of one node that is lost; the time to decide when nothing changes,
   to deal with a renewal, and to store the state.
3. A real gateway over ZeroMQ on this machine, encrypted, with 10 nodes in a second process and a subscriber in a third:
   alerts per second, their age at the subscriber, and memory of the gateway. 0 per second means: as many as it takes.
   Nodes and subscriber share the cores with the gateway.
4. A real store on this machine, encrypted: claims per second, and a file of 25 MB, as large as a memory of a week, sent
   and fetched. The store and its one client share a process.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.lib.machine import this_machine
from monitor.alerts.journal import Journal
from monitor.alerts.publisher import Publisher
from monitor.machines.fleet_coordinator import Coordinator
from monitor.machines.fleet_messages import Fence, Fenced, Renewal, Report
from monitor.machines.fleet_state import StateFile, Wish
from monitor.machines.gateway_server import GatewayServer
from monitor.machines.learned_store import digest_of
from monitor.machines.store_client import StoreClient
from monitor.machines.store_messages import KeptFile
from monitor.machines.store_server import StoreServer
from monitor.testing.fleet_faults import Outcome, kills, percentile, soak
from monitor.testing.simulated_fleet import SimulatedFleet

NODES = 10
TOKEN = "the token of a benchmark"  # noqa: S105 - of this machine alone
ANY = "tcp://127.0.0.1:*"


def say_outcome(found: Outcome) -> None:
    """Print what a soak found."""
    print(f"  simulated time {found.simulated_s / 3600:.2f} h; faults: {dict(sorted(found.faults.items()))}")
    print(
        f"  happenings {found.happened}, told {found.told}, told twice {found.twice}, journalled and lost {found.lost}"
    )
    print(
        f"  of nodes without a lease: {found.zombies} events, told {found.sole} (no other node had the camera); "
        f"steps: {dict(sorted(found.verdicts.items()))}"
    )
    print(f"  two nodes with a lease of one camera: {found.doubly_s:.1f} s; events without an end: {found.unended}")
    print(
        f"  watched {100 * found.watched:.2f} % of the time, as counted by the coordinator {100 * found.counted:.2f} %"
    )
    for name, values in (
        ("after a kill alone, until all cameras are watched", found.kill_s),
        ("camera not watched, coordinator and gateway at work", found.plain_s),
        ("camera not watched, all", found.wait_s),
    ):
        if values:
            print(
                f"  {name}: {len(values)} times, median {percentile(values, 0.5):.1f} s, p99 "
                f"{percentile(values, 0.99):.1f} s, longest {max(values):.1f} s"
            )


def faults(count: int, killed: int) -> None:
    """The soaks."""
    for name, amount in ((f"{count} random faults, 40 cameras, 8 nodes", count), (f"{killed} nodes killed", killed)):
        began = time.monotonic()
        with TemporaryDirectory() as folder, SimulatedFleet(Path(folder)) as fleet:
            found = soak(fleet, amount) if amount == count else kills(fleet, amount)
        print(f"{name} ({time.monotonic() - began:.0f} s):")
        say_outcome(found)


class _Placing:
    """A coordinator with a state file, and a gateway that agrees to everything at once."""

    def __init__(self, folder: Path, cameras: int, nodes: int) -> None:
        self.now, self.cameras, self.nodes = 1000.0, cameras, nodes
        self.file = StateFile(folder / "fleet.json", "lab")
        self.coordinator = Coordinator(self.file, self.now)
        wishes = {f"cam{n}": Wish(source=f"rtsp://10.0.0.1/{n}", fps=5.0) for n in range(cameras)}
        self.coordinator.set_cameras(wishes, self.now, 1e9)
        self.alive = [f"node{n}" for n in range(nodes)]
        self.numbers = 0

    def hear(self) -> float:
        """All nodes renew. Returns the seconds per renewal."""
        self.numbers += 1
        held: dict[str, dict[str, Report]] = {name: {} for name in self.alive}
        for status in self.coordinator.status(self.now, 1e9 + self.now).cameras:
            if status.node in held:
                held[status.node][status.name] = Report(epoch=status.epoch, state="watching", since_s=5.0)
        asked = [
            Renewal(
                node=name,
                boot="b",
                number=self.numbers,
                cameras=held[name],
                capacity_fps=7.0 * self.cameras / self.nodes,
            )
            for name in self.alive
        ]
        began = time.perf_counter()
        for renewal in asked:
            self.coordinator.renew(renewal, self.now, 1e9 + self.now)
        return (time.perf_counter() - began) / len(asked)

    def agree(self) -> None:
        """The gateway agrees, and tells which nodes it hears."""
        asked: Fence = self.coordinator.fence_request()
        waits = dict.fromkeys(asked.cameras, 0.0)
        heard = {f"node{n}": 0.0 if f"node{n}" in self.alive else 60.0 for n in range(self.nodes)}
        reply = Fenced(number=asked.number, wait_s=waits, heard_s=heard, highest=0)
        self.coordinator.fenced(asked, reply, self.now)

    def step(self) -> float:
        """Decide. Returns the seconds that it took."""
        began = time.perf_counter()
        self.coordinator.step(self.now)
        return time.perf_counter() - began

    def settle(self) -> float:
        """Decide until nobody waits. Returns the seconds that the decisions took."""
        took = 0.0
        for _ in range(20):
            self.agree()
            took += self.step()
            if all(c.node in self.alive and not c.next_node for c in self.coordinator.status(self.now, 1e9).cameras):
                break
        return took


def placement(cameras: int) -> None:
    """Time to place cameras over nodes with about 50 each."""
    nodes = max(4, cameras // 50)
    with TemporaryDirectory() as folder:
        placing = _Placing(Path(folder), cameras, nodes)
        placing.hear()
        placing.agree()
        all_s = placing.settle()
        renew_s = placing.hear()
        idle_s = min(placing.step() for _ in range(3))
        lost = placing.alive.pop()
        before = {c.name: c.node for c in placing.coordinator.status(placing.now, 1e9).cameras}
        placing.now += 15.0
        placing.hear()
        lost_s = placing.settle()
        after = {c.name: c.node for c in placing.coordinator.status(placing.now, 1e9).cameras}
        moved = sum(before[camera] != after[camera] for camera in before)
        state = placing.file.load()
        began = time.perf_counter()
        placing.file.save(state)
        save_s = time.perf_counter() - began
        size = placing.file.path.stat().st_size
    print(
        f"{cameras} cameras, {nodes} nodes: all placed in {all_s:.2f} s; after the loss of {lost}, {moved} moved in "
        f"{lost_s:.2f} s; a look without a change {1000 * idle_s:.0f} ms; a renewal {1000 * renew_s:.2f} ms; storing "
        f"{1000 * save_s:.0f} ms, {size / 1e6:.1f} MB"
    )


def gateway(cameras: int, per_s: float, seconds: float) -> None:
    """Throughput, age of alerts and memory of a real gateway."""
    with TemporaryDirectory() as folder:
        here = Path(folder)

        def publisher(journal: Journal) -> Publisher:
            return Publisher(ANY, ANY, node="lab", journal=journal, carries=True)

        with GatewayServer("lab", here, ANY, TOKEN, publisher) as server:
            fences = {f"cam{n}": (0, 1, f"node{n % NODES}") for n in range(cameras)}
            server.desk.fence(Fence(number=1, cameras=fences), 0.0)
            command = [sys.executable, "-m", "benchmarks.lib.fleet_nodes"]
            subscriber = [*command, "subscriber", server.publisher.alerts_endpoint, str(seconds + 8)]
            nodes = [*command, "nodes", server.socket.endpoint, TOKEN, folder, str(NODES), str(cameras)]
            hearing = subprocess.Popen(subscriber, stdout=subprocess.PIPE, text=True)
            _pump(server, 3.0)
            sending = subprocess.Popen([*nodes, str(per_s), str(seconds)], stdout=subprocess.PIPE, text=True)
            began, cpu = time.monotonic(), time.process_time()
            while sending.poll() is None:
                server.pump(0.02)
            busy, took_s = (time.process_time() - cpu), time.monotonic() - began
            while hearing.poll() is None:
                server.pump(0.02)
            taken = server.desk.counts["taken"]
            sent, heard = json.loads(sending.communicate()[0]), json.loads(hearing.communicate()[0])
    rate = per_s or taken / took_s
    print(
        f"{cameras} cameras, {'as fast as it can' if not per_s else f'{per_s:g} alerts per second'}: {taken} of "
        f"{sent['offered']} taken, {rate:.0f} per second, {sent['waiting']} waited at the end; age at the subscriber "
        f"median {heard['p50_ms']:.0f} ms, p99 {heard['p99_ms']:.0f} ms ({heard['count']}); gateway "
        f"{100 * busy / took_s:.0f} % of a core, {_memory_mb():.0f} MB; heartbeat {heard['heartbeat'] / 1000:.0f} kB"
    )


def _pump(server: GatewayServer, seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        server.pump(0.02)


def _memory_mb() -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1000
    return 0.0


def store(cameras: int, size: int = 25_000_000) -> None:
    """Print what the store can do."""
    ended, ready = threading.Event(), threading.Event()
    with TemporaryDirectory() as name:
        server, folder = StoreServer(Path(name) / "store", ANY, TOKEN), Path(name)

        def run() -> None:
            with server:
                ready.set()
                while not ended.is_set():
                    server.pump(0.05)

        thread = threading.Thread(target=run)
        thread.start()
        ready.wait()
        try:
            with StoreClient(server.socket.endpoint, TOKEN, "node", lambda: False) as client:
                first, again = (_claims(client, cameras) for _ in range(2))
                (folder / "memory").write_bytes(os.urandom(size))
                file = KeptFile(name="memory", digest=digest_of(folder / "memory"), size=size)
                began = time.perf_counter()
                client.send("cam0", file, folder / "memory", lambda: True)
                sent = time.perf_counter()
                client.fetch("cam0", file, folder / "fetched")
                fetched = time.perf_counter()
        finally:
            ended.set()
            thread.join()
    print(
        f"store, {cameras} cameras: a claim {1000 * first:.1f} ms, again {1000 * again:.1f} ms; {size / 1e6:g} MB sent "
        f"in {sent - began:.1f} s, fetched in {fetched - sent:.1f} s"
    )


def _claims(client: StoreClient, cameras: int) -> float:
    """Seconds per claim."""
    began = time.perf_counter()
    for camera in range(cameras):
        client.claim(f"cam{camera}", 1)
    return (time.perf_counter() - began) / cameras


def main() -> None:
    """Print all figures."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--faults", type=int, default=200, metavar="N")
    parser.add_argument("--kills", type=int, default=50, metavar="N")
    parser.add_argument("--cameras", type=int, nargs="+", default=[1000, 10_000], metavar="N")
    parser.add_argument("--per-s", type=float, nargs="+", default=[150.0, 500.0, 1000.0, 0.0], metavar="N")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--only", choices=["faults", "placement", "gateway", "store"])
    given = parser.parse_args()
    logging.disable(logging.CRITICAL)
    print(this_machine())
    if given.only in (None, "faults"):
        faults(given.faults, given.kills)
    for cameras in given.cameras:
        if given.only in (None, "placement"):
            placement(cameras)
    for cameras in given.cameras:
        for per_s in given.per_s:
            if given.only in (None, "gateway"):
                gateway(cameras, per_s, given.seconds)
    if given.only in (None, "store"):
        store(min(given.cameras))


if __name__ == "__main__":
    main()
