"""Is the model that a camera has by its name really the one of this camera, or should it be learned again?

A model is found by the camera's name alone. Another video may get the same name, or an address may change.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from monitor.errors import ConfigError, MonitorError
from monitor.model.model_store import CARD_FILE, Model
from monitor.model.model_versions import version_folders
from monitor.sources.naming import address_mark
from monitor.sources.source import Source
from monitor.stream.health.health_view import Look
from monitor.stream.health.moved import is_shifted
from monitor.stream.health.viewpoint import Views

log = logging.getLogger("monitor")

_LOOKS, _EVERY_S = 5, 1.0  # pictures of a file to look at, and the stream time between them
# Shares of the usual likeness. Other scenes reach 0.08, mostly less than 0.04; the same room by day and night 0.18.
_ANOTHER_SCENE = 0.12
_ANOTHER_SCENE_BY_NIGHT = 0.06  # if one of the two has no colour: infrared light shows a scene differently
_SHIFT_PX = 1.0


class Relearning:
    """Which cameras learn again although they have a model.

    asked     the user wants all cameras without a model setting to learn again
    duration  the user has given a learning time
    """

    def __init__(self, *, asked: bool = False, duration: bool = False) -> None:
        self._asked, self._duration = asked, duration
        self._first: dict[str, Path] = {}

    def wanted(self, name: str, folder: Path) -> bool:
        """Whether the camera learns again. folder: its model's folder.

        True until there is a newer version than at the first call: a reload must not learn a third time. Raises
        ConfigError if no version can be added to the folder.
        """
        if not self._asked:
            return False
        if (folder / CARD_FILE).exists():
            raise ConfigError(
                f"{name} cannot learn again, because {folder} is a single model, not a folder of versions: move it away"
            )
        newest = version_folders(folder)[0]
        return self._first.setdefault(name, newest) == newest

    def tell(self, name: str, folder: Path, model: Model, *, named: bool) -> None:
        """Warn that flags have no effect on a camera that has a model. named: a setting names the model."""
        if named and (self._asked or self._duration):
            flag = "--relearn" if self._asked else "--learn"
            log.warning("%s has the model %s by a setting, so %s has no effect on it", name, folder, flag)
        elif self._duration and not self._asked:
            log.warning(
                "%s has learned already (%s, %s), so --learn has no effect on it; to learn it again, add --relearn",
                name,
                folder,
                model.provenance.trained_at[:10],
            )


def check_scene(source: Source, folder: Path, model: Model) -> None:
    """Raise ConfigError if a file shows another scene than its model has learned. Warn if a camera's address differs.

    A file that shows the scene by another light, or from a camera that was moved a little, passes.
    """
    learned_from = model.provenance.notes.get("source")
    if source.live:
        if learned_from is not None and (mark := address_mark(source.label)) and mark != learned_from:
            log.warning(
                "%s: %s was learned from a camera with another address; if this is another camera, give it a name of "
                "its own or add --relearn",
                source.name,
                folder,
            )
        return
    if model.viewpoint is None or not _shows_another(model, list(islice(_looks(source), _LOOKS))):
        return
    raise ConfigError(
        f"{source.name}: {source.label} shows another scene than {folder} has learned: give it a name of its own "
        f"(NAME={source.label}), learn this scene instead with --relearn, or use the model all the same with "
        f"--model {folder}"
    )


def _shows_another(model: Model, looks: list[Look]) -> bool:
    assert model.viewpoint is not None
    views = Views(model.viewpoint)
    usual = views.viewpoint.likeness.clip(1e-3)
    looks = [look for look in looks if look.detail.any()]  # in the dark, nobody can tell
    for look in looks:
        likeness = views.compare(look)
        least = _ANOTHER_SCENE if views.nearest(look, likeness[0]) is not None else _ANOTHER_SCENE_BY_NIGHT
        if (likeness / usual).max() >= least:
            return False
        pairs = zip(views.details, usual, strict=True)
        if any(not view.any() or is_shifted(look.detail, view, float(most), _SHIFT_PX) for view, most in pairs):
            return False
    return bool(looks)


def _looks(source: Source) -> Iterator[Look]:
    """A few pictures of the beginning. What cannot be read gives none: the run reports it."""
    next_s = 0.0
    try:
        with source.open() as reader:
            while (position := reader.grab()) is not None and next_s < 10 * _LOOKS * _EVERY_S:
                if position.time_s >= next_s and (image := reader.retrieve()) is not None:
                    next_s = position.time_s + _EVERY_S
                    yield Look.of(image)
    except MonitorError:
        return
