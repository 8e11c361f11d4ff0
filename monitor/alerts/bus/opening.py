"""Opens an address of the bus: binds it, and says which peers come through it and with which security."""

from __future__ import annotations

from monitor.alerts.binding import listen
from monitor.alerts.bus.doors import Door
from monitor.alerts.bus.mechanisms import CurveMechanism, Mechanism, NullMechanism
from monitor.alerts.bus.peer import Peer
from monitor.alerts.keys import ServerKeys


def open_door(endpoint: str, kind: type[Peer], room: int, keys: ServerKeys | None) -> Door:
    """Bind an address for peers of one kind. Raises BindError.

    room  number of messages that wait for one peer before it loses some
    keys  the monitor's keys; None: no encryption, and everybody may connect
    """
    properties = {"Socket-Type": kind.socket_type.encode()}

    def mechanism(address: str) -> Mechanism:
        if keys is None:
            return NullMechanism(properties)
        return CurveMechanism(*keys.pair, lambda key: keys.admit(key, address), properties)

    return Door(listen(endpoint), lambda address: kind(address, mechanism(address), room))
