"""Leases: who may watch a camera, and since when nobody else does.

A camera is leased to a node for an **epoch**, a number that grows with each lease and never goes back. A lease lasts
``LEASE_S`` after its last renewal. There are two voters, the coordinator and the gateway. **One** of them is enough to
renew a lease, so cameras stay watched while the other one is away. **Both** have to agree before a camera goes to
another node: each first refuses the older epoch, and says how long the older lease may still last. So two nodes never
alert for one camera at the same time, whoever is cut off.

All times are seconds of a clock that the caller reads and passes in.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

LEASE_S = 10.0
"""A lease lasts so long after the request that was granted. A node that cannot renew stops capturing then."""
RENEW_EVERY_S = 2.0
"""Nodes ask for renewal this often."""


def boot_clock() -> float:
    """Seconds since this machine started. It also counts the time that the machine was suspended."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class LeaseVoter:
    """One of the two that renew leases. Pure.

    now     when it starts. It does not know which leases it renewed before
    epochs  camera -> the lowest epoch that it renews, as it was kept over its last end
    """

    def __init__(self, now: float, epochs: Mapping[str, int] | None = None) -> None:
        self._started_at = now
        self._known = dict(epochs or {})  # at the start
        self._lowest = dict(self._known)
        self._renewed: dict[str, dict[int, float]] = {}
        self._released: dict[str, int] = {}

    @property
    def lowest(self) -> Mapping[str, int]:
        """Camera -> the lowest epoch that is renewed."""
        return self._lowest

    def renew(self, camera: str, epoch: int, now: float) -> bool:
        """Renew a lease. False if its epoch is over."""
        if epoch < self._lowest.get(camera, 0) or epoch <= self._released.get(camera, 0):
            return False
        self._renewed.setdefault(camera, {})[epoch] = now
        return True

    def release(self, camera: str, epoch: int) -> None:
        """The holder of this epoch has let the camera go."""
        self._released[camera] = max(epoch, self._released.get(camera, 0))
        self._renewed.get(camera, {}).pop(epoch, None)

    def fence(self, camera: str, epoch: int) -> bool:
        """Renew nothing below this epoch from now on. False if a higher one is known: the asker is behind."""
        if epoch < self._lowest.get(camera, 0):
            return False
        self._lowest[camera] = epoch
        return True

    def wait_s(self, camera: str, epoch: int, now: float) -> float:
        """How long the lease of this epoch may still last, seconds; 0 if it is surely over.

        The holder counts from the moment when it asked, which is earlier than ``renew``.
        """
        if epoch <= self._released.get(camera, 0):
            return 0.0
        at = self._renewed.get(camera, {}).get(epoch)
        if at is None:
            # One that this voter may have renewed before it started.
            at = self._started_at if 0 < epoch <= self._known.get(camera, 0) else now - LEASE_S
        return max(0.0, at + LEASE_S - now)

    def forget(self, camera: str) -> None:
        """The camera has left the fleet. Its lowest epoch stays: it might come back."""
        self._renewed.pop(camera, None)

    def tidy(self, now: float) -> None:
        """Forget renewals that are over."""
        for camera, epochs in list(self._renewed.items()):
            for epoch, at in list(epochs.items()):
                if now - at > LEASE_S and epoch < self._lowest.get(camera, 0):
                    del epochs[epoch]
            if not epochs:
                del self._renewed[camera]
