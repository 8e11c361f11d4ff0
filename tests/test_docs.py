"""The documents hold together: every link leads somewhere, and the guide names flags and settings that exist."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import typer

import monitor.client.__main__ as client
import run_monitor
import training.__main__ as training
from monitor.app.doctor.doctor_command import app as doctor
from tests.places import ROOT

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_to_a_page_or_a_heading_leads_there(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        place = page if not name else page.parent / name
        assert place.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(place), f"{page.name} links to {target}"


def flags(app: typer.Typer) -> set[str]:
    """All options of a command line."""
    found: set[str] = set()
    command = typer.main.get_command(app)
    for each in (command, *getattr(command, "commands", {}).values()):
        for parameter in each.params:
            found |= {*parameter.opts, *parameter.secondary_opts}
    return found


def test_the_guide_names_only_flags_and_settings_that_exist() -> None:
    text = (ROOT / "docs/guide.md").read_text()
    known = flags(run_monitor.app) | flags(training.app) | flags(doctor) | flags(client.app)
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known
    settings = tomllib.loads((ROOT / "configs/cameras.toml").read_text())
    for group, name in re.findall(r"`\[(\w+)\] (\w+)", text):
        assert name in settings[group], f"[{group}] {name}"
