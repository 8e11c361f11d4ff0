"""The gateway: makes one monitor of many nodes. No sockets to nodes here; clients connect to its Publisher as to any.

It takes each step of a node exactly once, journals it, and sends it to today's subscribers. A step counts if its frame
was captured under a lease: of the present epoch of its camera, or of an older one while that still held. What a node
captured after its lease was over is rejected and counted, because another node watched the camera by then. The gateway
is also one of the two that renew leases, see ``monitor.machines.leases``.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Sequence
from enum import StrEnum

from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import LeaseBody
from monitor.alerts.messages import AlertMessage, HealthMessage, MalformedError, Stored, decode
from monitor.alerts.publisher import Publisher
from monitor.machines.fleet_desk import Watcher
from monitor.machines.fleet_messages import PROTOCOL, Fence, Fenced, Granted, Renewal, StepHead, Taken
from monitor.machines.gateway_ledger import Ledger
from monitor.machines.leases import LEASE_S, LeaseVoter
from monitor.machines.told_events import ToldEvents
from monitor.states import CameraState, Phase

log = logging.getLogger("monitor")

END_AFTER_S = 30.0
"""An event of an epoch that is over is ended by the gateway if its own end has not come after this time."""
LOOK_EVERY_S = 0.5
SAVE_EVERY_S = 10.0
COMPLAIN_EVERY_S = 60.0


class Verdict(StrEnum):
    """What became of a step."""

    TAKEN = "taken"
    DUPLICATE = "duplicate"
    """It was taken before."""
    STALE = "stale"
    """The node had no lease any more when it captured the frame."""
    LATE = "late"
    """It belongs to an event that the gateway has ended, because its node was away."""
    MALFORMED = "malformed"


class GatewayDesk:
    """Only the thread of the publisher may use it.

    publisher  entered, with ``carries``
    journal    of the publisher
    """

    def __init__(
        self,
        publisher: Publisher,
        journal: Journal,
        ledger: Ledger,
        now: float,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self._publisher, self._journal, self._ledger, self._unix = publisher, journal, ledger, unix
        self._voter = LeaseVoter(now, {camera: epoch for camera, (epoch, _) in ledger.fences.items()})
        self._saved_at, self._looked_at = now, -math.inf
        self._streams: dict[str, tuple[str, int, int]] = {}  # node -> boot, session, steps dealt with
        self.counts: Counter[str] = Counter()
        """Verdict -> number of steps; also ``wrong version``: renewals that were refused."""
        self._heard = {node: now for _, node in ledger.fences.values()}
        self._open: dict[str, tuple[AlertMessage, int, str]] = {}  # event id -> last message, epoch, node
        self._over_at: dict[str, float] = {}  # event id -> when its epoch was found over
        for last in publisher.left_open:
            if last.lease is not None:
                self._open[last.event_id] = last, last.lease.epoch, last.lease.node
        self._renewed = dict.fromkeys(ledger.fences, now)
        self._offline: set[str] = set()
        self._health: dict[str, tuple[HealthMessage, LeaseBody]] = {}
        self._complained: dict[str, float] = {}
        self._watching: dict[str, int] = {}  # camera -> the epoch in which its node has watched it
        self.events = ToldEvents(journal)
        """Finds events that were told."""

    # Who watches what

    def watcher(self, camera: str) -> Watcher | None:
        """See ``fleet_desk.Fleet``."""
        epoch, node = self._ledger.fences.get(camera, (0, ""))
        return Watcher(node, epoch, watching=self._watching.get(camera) == epoch) if node else None

    def holders(self) -> set[str]:
        """The nodes to which a camera was given last. The monitor of any other node does not run."""
        return {node for _, node in self._ledger.fences.values() if node}

    def heard_s(self, node: str, now: float) -> float:
        """Seconds since a node was heard; infinite if it never was."""
        return now - self._heard.get(node, -math.inf)

    # Steps

    def arrived(self, head: StepHead, parts: Sequence[bytes], now: float) -> Taken:
        """A step has come from a node: deal with it if it is the next one of its session. Returns what to answer."""
        boot, session, count = self._streams.get(head.node, ("", 0, 0))
        if head.boot != boot or head.session > session:
            boot, session, count = head.boot, head.session, 0
        if head.session < session or head.index != count:
            again = head.session == session and head.index > count
            return Taken(boot=head.boot, session=head.session, count=count if again else 0, again=again)
        self.take(head, parts, now)
        self._streams[head.node] = boot, session, count + 1
        return Taken(boot=boot, session=session, count=count + 1)

    def take(self, head: StepHead, parts: Sequence[bytes], now: float) -> Verdict:
        """Deal with a step. parts: topic, body and perhaps a picture, as its node published them."""
        verdict = self._take(head, parts, now)
        self.counts[verdict] += 1
        return verdict

    def _take(self, head: StepHead, parts: Sequence[bytes], now: float) -> Verdict:
        lowest = self._ledger.fences.get(head.camera, (0, ""))[0]
        last = self._ledger.last(head.camera, head.epoch)
        if last is not None and head.position <= last:
            return Verdict.DUPLICATE
        if last is None or (head.epoch < lowest and head.age_s > LEASE_S):
            self._complain(
                f"stale {head.node}",
                f"{head.node} alerts for {head.camera}, but its lease was over: the alert is rejected, because another "
                "node watches this camera",
                now,
            )
            return Verdict.STALE
        try:
            message = _message_about(head.camera, parts)
        except MalformedError as error:
            self._complain(f"malformed {head.node}", f"{head.node} sends what is no message ({error}): ignored", now)
            self._ledger.note(head.camera, head.epoch, head.position, head.node)
            return Verdict.MALFORMED
        if isinstance(message, AlertMessage) and message.event_id in self._ledger.closed:
            self._ledger.note(head.camera, head.epoch, head.position, head.node)
            return Verdict.LATE
        lease = LeaseBody(node=head.node, epoch=head.epoch, seq=head.position)
        self._publisher.publish_carried(message, parts[2] if len(parts) > 2 and parts[2] else None, lease)
        self._ledger.note(head.camera, head.epoch, head.position, head.node)
        if isinstance(message, AlertMessage):
            self._note_event(message, lease)
        elif isinstance(message, HealthMessage) and head.epoch >= lowest:
            self._health[head.camera] = message, lease
            self._offline.discard(head.camera)
        return Verdict.TAKEN

    def _note_event(self, message: AlertMessage, lease: LeaseBody) -> None:
        self.events.note(message, lease.node)
        self._over_at.pop(message.event_id, None)
        if message.phase is Phase.END:
            self._open.pop(message.event_id, None)
        else:
            kept = message.model_copy(update={"lease": lease})
            self._open[message.event_id] = kept, lease.epoch, lease.node

    # Leases

    def renew(self, renewal: Renewal, now: float) -> Granted:
        """A node asks to renew its leases."""
        if renewal.protocol != PROTOCOL:
            sentence = (
                f"{renewal.node} speaks version {renewal.protocol} of the fleet's protocol, and this gateway "
                f"{PROTOCOL}: install the same version of True Sight on all machines"
            )
            self.counts["wrong version"] += 1
            self._complain(f"version {renewal.node}", sentence, now)
            return Granted(number=renewal.number, refused=tuple(renewal.cameras), error=sentence)
        self._heard[renewal.node] = now
        for camera, gone in renewal.released.items():
            self._voter.release(camera, gone.epoch)
        refused = []
        for camera, report in renewal.cameras.items():
            if not self._voter.renew(camera, report.epoch, now):
                refused.append(camera)
            elif report.epoch == self._ledger.fences.get(camera, (report.epoch, ""))[0]:
                self._renewed[camera] = now
                if report.state == "watching":
                    self._watching[camera] = report.epoch
                self._back(camera)
        return Granted(number=renewal.number, refused=tuple(refused))

    def fence(self, asked: Fence, now: float) -> Fenced | None:
        """The coordinator gives cameras to other nodes. None if that cannot be stored: it asks again."""
        wait_s = {}
        for camera, (old, new, node) in asked.cameras.items():
            if not self._voter.fence(camera, new):
                continue
            wait_s[camera] = self._voter.wait_s(camera, old, now) if old else 0.0
            if self._ledger.fences.get(camera) != (new, node):
                self._ledger.fences[camera] = new, node
                self._ledger.dirty = True
                self._renewed[camera] = now
        if wait_s and self._ledger.dirty and not self._save(now):
            return None
        return Fenced(
            number=asked.number,
            wait_s=wait_s,
            heard_s={node: max(0.0, now - at) for node, at in self._heard.items()},
            highest=max((epoch for epoch, _ in self._ledger.fences.values()), default=0),
        )

    # Time

    def tick(self, now: float) -> None:
        """Say which cameras are not watched, end events that nobody will end, and save. Call it often."""
        if now - self._looked_at < LOOK_EVERY_S:
            return
        self._looked_at = now
        self._voter.tidy(now)
        for camera, at in self._renewed.items():
            if now - at > LEASE_S and camera not in self._offline:
                self._offline.add(camera)
                node = self._ledger.fences.get(camera, (0, "its node"))[1]
                self._publisher.publish_health(
                    camera, CameraState.OFFLINE, since=self._unix(), detail=f"{node}, which watches it, does not answer"
                )
        for event_id, (last, epoch, _) in list(self._open.items()):
            if epoch >= self._ledger.fences.get(last.camera, (0, ""))[0]:
                continue
            if now - self._over_at.setdefault(event_id, now) > END_AFTER_S:
                log.warning("%s: event %s ends, because its node is away", last.camera, event_id)
                self._publisher.end_interrupted(last)
                self._ledger.close_event(event_id)
                del self._open[event_id], self._over_at[event_id]
        if self._ledger.dirty and now - self._saved_at >= SAVE_EVERY_S:
            self._save(now)

    def close(self, now: float) -> None:
        """Save at the end."""
        self._save(now)

    def _back(self, camera: str) -> None:
        """A camera was said to be offline, and its node is back: say again how it is."""
        if camera in self._offline:
            self._offline.discard(camera)
            if (known := self._health.get(camera)) is not None:
                self._publisher.publish_carried(known[0], None, known[1])

    def _save(self, now: float) -> bool:
        self._saved_at = now
        try:
            self._ledger.save(self._journal.last_position)
        except OSError as error:
            self._complain(
                "ledger",
                f"the ledger of the gateway cannot be written ({error.strerror or error}), so no camera changes its "
                "node: free space on its disk, or bring the disk back",
                now,
            )
            return False
        return True

    def _complain(self, about: str, sentence: str, now: float) -> None:
        if now - self._complained.get(about, -COMPLAIN_EVERY_S) >= COMPLAIN_EVERY_S:
            self._complained[about] = now
            log.error("%s", sentence)


def _message_about(camera: str, parts: Sequence[bytes]) -> Stored:
    """The message of a step. Raises MalformedError."""
    message = decode(parts).message
    if not isinstance(message, Stored) or message.camera != camera:
        raise MalformedError("it is no message about this camera")
    return message
