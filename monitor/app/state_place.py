"""Where a run keeps its models and its journal: settings that name no place get one in the state folder."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

from monitor.app.config import MonitorConfig
from monitor.errors import ConfigError
from monitor.state_folder import state_folder
from monitor.text.wording import shortened

_SHOWN = 300
"""Characters of a path that a sentence shows."""


def with_places(settings: MonitorConfig) -> MonitorConfig:
    """The settings with a place for the models and the journal. Places that the user has named stay as they are.

    Raises ConfigError if there is no state folder, or if it cannot be a folder.
    """
    no_models = "models_folder" not in settings.model_fields_set
    no_journal = "path" not in settings.journal.model_fields_set
    if not (no_models or no_journal):
        return settings
    place = state_folder(settings.state)
    for folder in (place.folder, place.models, place.journal.parent):
        _check_folder(folder)
    journal = settings.journal.model_copy(update={"path": place.journal}) if no_journal else settings.journal
    return settings.model_copy(
        update={"models_folder": place.models if no_models else settings.models_folder, "journal": journal}
    )


def _check_folder(folder: Path) -> None:
    """Raise ConfigError if this cannot be a folder: something else stands in its place, or in that of one above it."""
    for path in (folder, *folder.parents):
        try:
            why = None if stat.S_ISDIR(path.stat().st_mode) else "is not a folder"
        except NotADirectoryError:
            continue
        except FileNotFoundError:
            if not path.is_symlink():
                continue
            why = "is a link that leads to no folder"
        except OSError as error:
            if error.errno == errno.ELOOP and not path.is_symlink():
                continue  # a link above it leads to itself
            looped = error.errno == errno.ELOOP
            why = "is a link that leads to itself" if looped else f"cannot be used ({error.strerror})"
        except ValueError:
            why = "holds a null character"
        if why is not None:
            raise ConfigError(
                f"models and journal cannot be kept in {shortened(str(folder), _SHOWN)}, because "
                f"{shortened(str(path), _SHOWN)} {why}: name a folder with --state (or the setting 'state')"
            )
        return


def where_state_is(settings: MonitorConfig) -> str:
    """The sentence that says where models and journal are, logged at the start."""
    places = f"models are kept in {settings.models_folder}"
    if settings.publish.enabled and settings.journal.enabled:
        places += f", the journal in {settings.journal.path}"
    if settings.models_folder.is_absolute() and settings.journal.path.is_absolute():
        return f"{places}; --state moves both"
    if settings.state is None and state_folder().found:
        places += ", where an earlier run has left them"
    return f"{places}: this depends on the working directory, unless --state names a folder with its whole path"
