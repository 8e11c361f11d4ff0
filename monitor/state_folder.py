"""The place of what the program keeps: learned models and the journal, in ``models`` and ``runs``.

It does not depend on the working directory, because cron and systemd start programs anywhere. A folder from before,
when it did, is still used.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_state_path

from monitor.errors import ConfigError

MODELS = Path("models")
JOURNAL = Path("runs/journal.sqlite3")
_LOOK_BYTES = 1000
_MARKS = (b'"true-sight-model"', b'"true-sight-footage"', b"TSJ1")
"""In the first bytes of our models, recordings and journals."""


CALIBRATIONS = Path("calibrations")
"""Beside the journal: what cameras' thresholds have learned from what was watched."""
CHOICES = Path("choices.json")
"""Beside the journal: the budgets and arming that clients have set."""
MOMENTS = Path("moments")
"""Beside the journal: the most unusual moments of each camera and day."""
NORMAL = Path("normal")
"""Beside the journal: small pictures of calm footage of each camera."""
MEMORIES = Path("memories")
"""Beside the journal: what cameras' memories have learned from what was watched."""
CHOSEN = Path("chosen")
"""Beside the journal, on a node of a fleet: what people have chosen, one file per camera that moves."""
TAUGHT = Path("taught")
"""Beside the journal, on a node of a fleet: what people have said about events, one file per camera that moves."""


def given_event(taught: Path, event_id: str) -> Path:
    """The file of an event that another monitor has told, in the folder ``TAUGHT``."""
    return taught / "given" / f"{hashlib.sha256(event_id.encode(errors='surrogatepass')).hexdigest()}.json"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """Where models and journal are kept.

    folder  ``.`` for the working directory
    found   True if it is the working directory, because an earlier run has left its models or journal there
    """

    folder: Path
    found: bool = False

    @property
    def models(self) -> Path:
        """The folder of learned models."""
        return self.folder / MODELS

    @property
    def journal(self) -> Path:
        """The file of the journal."""
        return self.folder / JOURNAL


def state_folder(named: Path | None = None) -> StateFolder:
    """The state folder: the one named, else the working directory if it holds state, else that of the user.

    Raises ConfigError if the user has no home folder.
    """
    if named is not None:
        return StateFolder(named)
    if _holds_state(Path()):
        return StateFolder(Path(), found=True)
    folder = user_state_path("true-sight", appauthor=False)
    if not folder.is_absolute():
        raise ConfigError("this user has no home folder to keep models and the journal in: name a folder with --state")
    return StateFolder(folder)


def _holds_state(folder: Path) -> bool:
    models = folder / MODELS
    files = [folder / JOURNAL, *models.glob("*/model.json"), *models.glob("*/v*/model.json")]
    try:
        return any(_has_mark(path) for path in (*files, *models.glob("*/footage/footage.json")))
    except OSError:
        return False


def _has_mark(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        begin = file.read(_LOOK_BYTES)
    return any(mark in begin for mark in _MARKS)
