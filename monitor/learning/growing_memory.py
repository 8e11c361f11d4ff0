"""The memory of one camera that goes on learning from what it watches. Pure: no threads, no wall clock, bounded memory.

What is watched enters the memory after a delay, except alarms. So an intruder does not become normal while he is there.
Now and then the memory gives new detectors, with the scores that each hour gets by what the other hours know. Memory:
at most about 30 MB.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.detector.base import Detector
from monitor.detector.coverage import Coverage
from monitor.detector.motion.cell_memory import CellMemory, frame_scores
from monitor.detector.motion.cells import FEATURES, TERMS
from monitor.detector.motion.motion_detector import Motion
from monitor.detector.scene.scene_detector import LEAST_S, Scene
from monitor.detector.scene.whole_scene import EVERY_S, EXEMPLARS, RADIUS, scene_of
from monitor.errors import UsageError
from monitor.learning.held_pieces import PICTURE, PIECE_FRAMES, HeldPieces, Piece, clips_of, cut_off
from monitor.learning.look import HOUR_S, Look, Seen, block_at, block_end, piece_of
from monitor.learning.waiting_blocks import WaitingBlock
from monitor.learning.watched_clock import SETTLED_S, Quarantine, WatchedClock
from monitor.scores.held_out import HeldOut
from monitor.stream.regimes import LightWatch, Regime

DAY_S = 86_400.0
VERSIONS_S = tuple(hours * HOUR_S for hours in (1, 2, 4, 8, 16, 24))
"""A version is due after so many watched seconds, then every day."""
LEAST_DELAY_S = 600.0
_LEARNED_BLOCK = -2  # the block of what the first version has learned
_LATE_S = 600.0  # a version waits for a calm picture for at most this long
_CALM_S = 10.0
_MOVED_S = 600.0
"""A camera that is reported as moved for this long has been moved for good."""

_REGIMES = tuple(Regime)


@dataclass(frozen=True, slots=True, eq=False)
class Grown:
    """What the memory gives: detectors by name, and their held-out scores, with those of the other detectors.

    known_s  watched seconds that the memory knows; watched_s: seconds that were watched
    """

    detectors: dict[str, Detector]
    held_out: HeldOut
    known_s: float
    watched_s: float


class GrowingMemory:
    """Takes what is watched, in order. ``due`` says when ``make`` should be called.

    base        the camera's present motion: its background and units are used, and what it knows is kept
    settled_s   after so many seconds it is known whether a frame belongs to an alarm
    most_bytes  memory of what is kept to be scored

    Raises UsageError if the camera is too slow for optical flow.
    """

    def __init__(self, base: Motion, settled_s: float = SETTLED_S, most_bytes: int | None = None) -> None:
        if base.slow:
            raise UsageError("its frames are too far apart to follow movement: its memory does not grow")
        self.base = base
        self._settled_s = settled_s
        self._most_bytes = most_bytes
        self.clock = WatchedClock()
        self.notes: list[str] = []
        """What it has to say, for the log; the caller empties it."""
        self.clip = 0
        self.next_number = 0
        self._moved_s = 0.0
        self.began_anew = False
        self._begin()
        learned = base.exemplars.reshape(-1, base.exemplars.shape[2], FEATURES).astype(np.float32)
        for cell, points in enumerate(learned[: len(self.cells.coverage.points)]):
            self.cells.coverage.add(cell, points[points.any(axis=1)], _LEARNED_BLOCK)

    def _begin(self) -> None:
        """Know nothing."""
        self.cells = CellMemory(self.base)
        self.scenes = Coverage(1, EXEMPLARS, PICTURE, RADIUS)
        self.known_s = np.zeros(2)
        """Seconds by day and by infrared light that it knows."""
        self.known_regimes = np.zeros(len(Regime), np.int64)
        self.held = HeldPieces() if self._most_bytes is None else HeldPieces(self._most_bytes)
        self.waiting: list[WaitingBlock] = []
        self.quarantine = Quarantine()
        self._front_end = self.base.stream(light=True)
        self._light = LightWatch()
        self._looked_s = self._active_s = -np.inf
        self._recent: deque[Seen] = deque()
        self._piece: list[Seen] = []
        self.made = 0
        """Number of versions that were due so far."""

    @property
    def watched_s(self) -> float:
        """Seconds that were watched."""
        return self.clock.watched_s

    @property
    def delay_s(self) -> float:
        """Seconds until what is watched now enters: a day, in the first two days half of the time watched so far."""
        return min(DAY_S, max(LEAST_DELAY_S, self.watched_s / 2))

    @property
    def due_s(self) -> float:
        """Watched seconds after which the next version is due."""
        extra = self.made - len(VERSIONS_S)
        return VERSIONS_S[self.made] if extra < 0 else VERSIONS_S[-1] + (extra + 1) * DAY_S

    @property
    def due(self) -> bool:
        """Whether a version is due; it waits some minutes for a calm picture."""
        late_s = self.watched_s - self.due_s
        calm = self.watched_s - self._active_s >= _CALM_S and not self.quarantine.open
        return late_s >= 0 and (calm or late_s >= _LATE_S)

    def take(self, look: Look) -> None:
        """Take the next frame that was scored."""
        fresh, step_s = self.clock.take(look.segment, look.time_s)
        if fresh:
            self._front_end, self._light = self.base.stream(light=True), LightWatch()
            self._looked_s = -np.inf
            self.clip += 1
        self._watch_viewpoint(look.moved, step_s)
        at_s = self.watched_s
        regime = self._front_end.light(look.picture)
        view = self._front_end.update_grey(look.grey, look.time_s)
        active = None
        if view is not None and (view.moving.any() or view.changed.any()):
            cells = self.base.comparable(view)
            places = self.base.active(cells)
            if len(places) and not cells.only_area:
                self._active_s = at_s
                active = (
                    (places + self._front_end.part * self.cells.cells).astype(np.int16),
                    cells.features.reshape(-1, FEATURES)[places] / self.base.deviation,
                    cells.terms.reshape(-1, len(TERMS))[places],
                )
        steady = not self._light.update(look.time_s, look.picture).settling
        picture = None
        if steady and at_s - self._looked_s >= EVERY_S - 1e-6:
            self._looked_s = at_s
            picture = look.picture.reshape(-1).astype(np.float16)
        self._recent.append(
            Seen(
                at_s,
                step_s,
                block_at(at_s),
                self.clip,
                _REGIMES.index(regime),
                self._front_end.part,
                view is not None,
                active,
                picture,
                steady,
                look.scores,
            )
        )
        while self._recent and at_s - self._recent[0].at_s >= self._settled_s:
            self._settle(self._recent.popleft())

    def alarm_began(self, time_s: float) -> None:
        """An alarm began at this time of the stream."""
        self.quarantine.began(self.clock.at(time_s))

    def alarm_ended(self, time_s: float) -> None:
        """The alarm ended; the score was high until this time of the stream."""
        self.quarantine.ended(self.clock.at(time_s))

    def make(self) -> Grown:
        """New detectors from what the memory knows now. The next version is due later, also if this fails.

        Raises UsageError if there is too little yet.
        """
        self._postpone()
        self.end_piece()
        self._enter()
        pieces = self.held.pieces
        moving = [piece for piece in pieces if len(piece.cells)]
        if not moving or not self.cells.coverage.counts.any():
            raise UsageError("nothing has moved so far")
        motion, distances = self.cells.build(
            moving, self.known_s.tolist(), [~piece.odd[piece.frames] for piece in moving]
        )
        scores: dict[str, list[NDArray[np.float64]]] = {motion.name: []}
        found = iter(distances)
        for piece in pieces:
            own = np.where(piece.judged, 0.0, np.nan)
            if len(piece.cells):
                cells = self.cells.cells_of(piece.cells, self.known_s.tolist())
                for frame, score in frame_scores(motion, piece.frames, cells, next(found), piece.terms).items():
                    own[frame] = score
            scores[motion.name].append(own)
        detectors: dict[str, Detector] = {motion.name: motion}
        if self.known_s.sum() >= LEAST_S:
            detectors[Scene.name], scores[Scene.name] = self._scene(pieces)
        others = {name for piece in pieces for name in piece.scores} - set(scores)
        for name in sorted(others):
            scores[name] = [
                piece.scores.get(name, np.full(len(piece.times), np.nan, np.float32)).astype(np.float64)
                for piece in pieces
            ]
        odd = np.concatenate([piece.odd for piece in pieces])
        held_out = HeldOut(
            np.concatenate([piece.times for piece in pieces]),
            clips_of(pieces),
            {name: cut_off(np.concatenate(own), odd) for name, own in scores.items()},
            np.concatenate([piece.regimes for piece in pieces]),
        )
        return Grown(detectors, held_out, float(self.known_s.sum()), self.watched_s)

    def _scene(self, pieces: list[Piece]) -> tuple[Scene, list[NDArray[np.float64]]]:
        """The memory of whole pictures, and the scores of each piece."""
        counts = [len(piece.pictures) for piece in pieces]
        times = [
            piece.times[[int(np.argmax(piece.shown == k)) for k in range(count)]]
            for piece, count in zip(pieces, counts, strict=True)
        ]
        seen = {regime: int(count) for regime, count in zip(_REGIMES, self.known_regimes, strict=True)}
        scene, raw = scene_of(
            self.scenes,
            seen,
            np.concatenate([piece.pictures for piece in pieces]),
            np.repeat([piece.block for piece in pieces], counts),
            np.repeat([piece.number for piece in pieces], counts),
            np.concatenate(times),
        )
        of_picture = np.split(np.append(raw, []), np.cumsum(counts)[:-1])
        return scene, [
            np.append(own, np.nan)[np.where(piece.shown < 0, len(own), piece.shown)]
            for own, piece in zip(of_picture, pieces, strict=True)
        ]

    def _postpone(self) -> None:
        while self.due_s <= self.watched_s:
            self.made += 1

    def _watch_viewpoint(self, moved: bool, step_s: float) -> None:
        if moved != self.began_anew:
            self._moved_s += step_s
        else:
            self._moved_s = 0.0
        if self._moved_s < _MOVED_S:
            return
        self.began_anew, self._moved_s = moved, 0.0
        if moved:
            self.notes.append("the camera was moved for good: what its memory knows of the old view is forgotten")
            self.clock = WatchedClock()
            self._begin()

    def _settle(self, seen: Seen) -> None:
        """It is known now whether the frame belongs to an alarm."""
        seen.odd = self.quarantine.holds(seen.at_s)
        last = self._piece[-1] if self._piece else None
        if last is not None and (
            last.block != seen.block or last.clip != seen.clip or len(self._piece) >= PIECE_FRAMES
        ):
            self.end_piece()
        self._piece.append(seen)

    def end_piece(self) -> None:
        """Keep the settled frames as a piece, to score them, and let what is not odd wait to enter."""
        frames, self._piece = self._piece, []
        if not frames:
            return
        piece = piece_of(frames, self.next_number)
        self.next_number += 1
        self.held.add(piece)
        if not self.waiting or self.waiting[-1].number != piece.block:
            if self.waiting:
                self.waiting[-1].close()
            self.waiting.append(WaitingBlock(piece.block, 2 * self.cells.cells))
        block = self.waiting[-1]
        block.last_s = frames[-1].at_s
        for seen in frames:
            if not seen.odd:
                block.seen_s[seen.part] += seen.step_s
                block.regimes[seen.regime] += seen.picture is not None
        odd = piece.odd[piece.frames]
        shown = np.array([seen.odd for seen in frames if seen.picture is not None], bool)
        pictures = piece.pictures[~shown].astype(np.float32)
        block.add(piece.cells[~odd], piece.features[~odd].astype(np.float32), pictures)
        self._enter()

    def _enter(self) -> None:
        """Learn what has waited long enough."""
        until_s = self.watched_s - self.delay_s
        while self.waiting and self.waiting[0].last_s <= until_s and block_end(self.waiting[0].number) <= until_s:
            block = self.waiting.pop(0)
            block.close()
            cells, features, pictures = block.exemplars
            self.cells.cover(cells, features.astype(np.float32), block.number)
            if len(pictures):
                self.scenes.add(0, pictures.astype(np.float32), block.number)
            self.known_s += block.seen_s
            self.known_regimes += block.regimes
