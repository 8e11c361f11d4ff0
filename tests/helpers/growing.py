"""Footage for a memory that grows: a stream of clips in which something glides, minutes instead of days."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from monitor.detector.motion.motion_detector import Motion
from monitor.detector.static_detector import StaticAge
from monitor.learning import growing_memory, look
from monitor.learning.growing_memory import GrowingMemory
from monitor.learning.look import Look
from monitor.model.model_store import save_model
from monitor.scores.held_out import HeldOut
from monitor.testing.fakes import provenance
from monitor.types import Frame
from tests.helpers.gliding import clip

BLOCK_S, DELAY_S = 5.0, 20.0


def hurried(monkeypatch: pytest.MonkeyPatch, *versions_s: float) -> None:
    """Blocks of time last 5 s, and what is watched enters after 20 s."""
    monkeypatch.setattr(look, "_FIRST_BLOCK_S", BLOCK_S)
    monkeypatch.setattr(look, "_FIRST_BLOCKS", int(3600 / BLOCK_S))
    monkeypatch.setattr(growing_memory, "LEAST_DELAY_S", DELAY_S)
    monkeypatch.setattr(growing_memory, "DAY_S", DELAY_S)
    if versions_s:
        monkeypatch.setattr(growing_memory, "VERSIONS_S", versions_s)


@cache
def slow_walker() -> Motion:
    """Motion that has learned a slow movement only."""
    return Motion.fit([clip(30, 6)])


@cache
def still_things() -> StaticAge:
    """A detector that does not grow."""
    return StaticAge.fit([clip(30, 20)])


def usual(seconds: float) -> list[Frame]:
    """What was learned."""
    return clip(30, seconds)


def runner(seconds: float) -> list[Frame]:
    """What was not learned, at another place."""
    return clip(90, seconds, row=60)


class Stream:
    """Gives a memory clips that follow each other without a gap. at_s: the time of the next frame."""

    def __init__(self, memory: GrowingMemory, score: Callable[[float], float] = lambda _: 0.1) -> None:
        self.memory, self._score, self.at_s = memory, score, 0.0

    def show(self, frames: list[Frame], *, moved: bool = False) -> None:
        for frame in frames:
            self.memory.take(self.look(frame, moved=moved))
            self.at_s += 0.1

    def look(self, frame: Frame, *, moved: bool = False) -> Look:
        own = replace(frame, time_s=self.at_s)
        found = Look.of(own, self.memory.base.picture_size, {"static": self._score(self.at_s)})
        return replace(found, moved=moved)


def grown_memory(monkeypatch: pytest.MonkeyPatch) -> GrowingMemory:
    """A memory that has watched 45 s, with an alarm from 12 to 15 s. It watches once; each test has its own copy."""
    hurried(monkeypatch)
    grown = _grown_once()
    shared = (grown.base, grown._front_end._flow)  # a detector does not change, nor does its optical flow
    return deepcopy(grown, {id(part): part for part in shared})


@cache
def _grown_once() -> GrowingMemory:
    memory = GrowingMemory(slow_walker())
    rng = np.random.default_rng(0)
    stream = Stream(memory, lambda _: 0.1 + float(rng.exponential(0.03)))
    stream.show(usual(12))
    memory.alarm_began(12.0)
    stream.show(runner(3))
    memory.alarm_ended(15.0)
    stream.show(usual(30))
    return memory


def first_version(folder: Path) -> Path:
    """A model of motion and a detector that does not grow, learned from a minute."""
    rng = np.random.default_rng(0)
    scores = {name: 0.1 + rng.exponential(0.1, 600) for name in ("motion", "static")}
    held = HeldOut(np.arange(600) / 10, np.zeros(600, np.int32), scores, np.zeros(600, np.int8))
    save_model(folder / "v0001", "door", [slow_walker(), still_things()], held, provenance())
    return folder / "v0001"
