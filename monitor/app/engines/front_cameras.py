"""The cameras of a run with engines, for requests that change them: the run keeps what is chosen, engines obey."""

from __future__ import annotations

from collections.abc import Iterator

from monitor.alerts.control_desk import Done, Steps
from monitor.app.changed_run import RunCamera
from monitor.app.choice_store import ChoiceStore
from monitor.app.engines.engine_messages import Chosen
from monitor.app.engines.front import Front
from monitor.app.engines.front_calls import FrontCalls, Question
from monitor.app.engines.seats import Seat


class SeatCameras:
    """See RunCameras. An engine that is started later begins with what is in the store. Main thread only."""

    def __init__(self, front: Front, calls: FrontCalls, store: ChoiceStore) -> None:
        self._front, self._calls, self._store = front, calls, store

    def __iter__(self) -> Iterator[RunCamera]:
        return (_camera_of(seat) for seat in self._front.seats if not seat.leaving)

    def get(self, camera: str) -> RunCamera | None:
        """See RunCameras."""
        seat = self._front.seats.get(camera)
        return None if seat is None or seat.leaving else _camera_of(seat)

    def renewed(self, camera: str, done: Done) -> Done | Steps:
        """See RunCameras. Answers once the camera's engine has obeyed."""
        seat = self._front.seats.get(camera)
        if seat is None or seat.engine is None:
            return done  # its next engine begins with it
        choice = self._store.of(camera)
        question = self._calls.ask(seat.engine, lambda number: Chosen(number, camera, choice))
        if seat.engine not in self._front.running:
            return done  # it obeys before its first frame
        return self._obeyed(question, done)

    def _obeyed(self, question: Question, done: Done) -> Steps:
        yield from self._calls.wait(question)  # if the engine has ended, the next one begins with it
        return done


def _camera_of(seat: Seat) -> RunCamera:
    source, facts = seat.carried.inner, seat.facts
    if facts is None:
        return RunCamera(seat.name, source.label, source.live, own_model=False, model=None, size=None)
    return RunCamera(seat.name, source.label, source.live, facts.own_model, facts.model, facts.size)
