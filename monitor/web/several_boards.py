"""The boards of several monitors as one, for the API and the pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitor.web.board import Board


class SeveralBoards(Board):
    """Reads what each monitor's board knows; it takes no messages itself. boards: one at least."""

    def __init__(self, boards: Sequence[Board]) -> None:
        super().__init__()
        self.boards = tuple(boards)

    def link(self) -> dict[str, Any]:
        """The connection to the monitors: of the first that is not connected, else of the first; and each of them."""
        links = [board.link() for board in self.boards]
        away = [link for link in links if link["state"] != "connected"]
        found = dict(away[0] if away else links[0])
        for name in ("lost_messages", "malformed_messages"):
            found[name] = sum(link[name] for link in links)
        return found | {"monitors": links}

    def cameras(self) -> list[dict[str, Any]]:
        """All cameras of all monitors, by name."""
        return sorted(
            (camera for board in self.boards for camera in board.cameras()), key=lambda camera: camera["name"]
        )

    def camera(self, name: str) -> dict[str, Any] | None:
        """One camera; None if it is not known."""
        return next((found for board in self.boards if (found := board.camera(name)) is not None), None)

    def fresh_scores(self) -> dict[str, Any]:
        """Camera -> score now and the points of its curve that are new, of all monitors."""
        found: dict[str, Any] = {}
        for board in self.boards:
            found |= board.fresh_scores()
        return found
