"""The status of a fleet for people, and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from monitor.machines.coordinator_server import STATUS
from monitor.machines.fleet_status import FleetStatus


def status_json(status: FleetStatus) -> str:
    """One line of JSON: the fields of FleetStatus."""
    return STATUS.dump_json(status).decode()


def status_lines(status: FleetStatus) -> list[str]:
    """Two tables, then what is wrong."""
    gateway = "up" if status.gateway else "away"
    nodes = [
        (node.name, node.state, str(node.cameras), f"{node.load_fps:g} of {node.capacity_fps:g}", node.version)
        for node in status.nodes
    ]
    cameras = [
        (
            camera.name,
            camera.node or "-",
            camera.state,
            f"{100 * camera.watched:.2f} %",
            f"moves to {camera.next_node}" if camera.next_node and camera.node else camera.why,
        )
        for camera in status.cameras
    ]
    lines = [f"fleet {status.fleet}: the gateway is {gateway}", ""]
    lines += _table(("NODE", "STATE", "CAMERAS", "FPS", "VERSION"), nodes) if nodes else ["no node has joined"]
    lines += ["", *(_table(("CAMERA", "NODE", "STATE", "WATCHED", ""), cameras) if cameras else ["no cameras"])]
    return [*lines, *([""] if status.problems else []), *status.problems]


def _table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines with columns of equal width."""
    table = [titles, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(titles))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in table]
