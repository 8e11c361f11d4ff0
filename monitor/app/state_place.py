"""Where a run keeps its models and its journal: settings that name no place get one in the state folder."""

from __future__ import annotations

import stat
from pathlib import Path

from monitor.app.config import MonitorConfig
from monitor.errors import ConfigError
from monitor.state_folder import state_folder


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
    """Raise ConfigError if something that is no folder stands in the place of a folder, or of one above it."""
    for path in (folder, *folder.parents):
        try:
            mode = path.stat().st_mode
        except NotADirectoryError:
            continue
        except (OSError, ValueError):  # not there yet, or a name too long: whoever uses it says so
            return
        if not stat.S_ISDIR(mode):
            raise ConfigError(
                f"models and journal cannot be kept in {folder}, because {path} is not a folder: "
                "name a folder with --state (or the setting 'state')"
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
