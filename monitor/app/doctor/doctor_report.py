"""Prints the findings: a table in a terminal, otherwise one line per finding; JSON lines for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from monitor.app.doctor.facts import Failure, FootageFacts, StreamFacts
from monitor.app.doctor.finding_report import Finding, ModelFacts, State
from monitor.text.outside import plain, safe

Facts = StreamFacts | FootageFacts | ModelFacts | Failure
_STYLES = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "bold red"}


def hide_secrets(finding: Finding) -> Finding:
    """The finding with all its texts safe to show: no credentials, no control characters."""
    facts = finding.facts if finding.facts is None else _safe_texts(finding.facts)
    return replace(finding, name=safe(finding.name), found=safe(finding.found), mend=safe(finding.mend), facts=facts)


def _safe_texts(facts: Facts) -> Facts:
    changed: dict[str, Any] = {}
    for field in fields(facts):
        value = getattr(facts, field.name)
        if type(value) is str:  # an enumeration is no text from outside
            changed[field.name] = safe(value)
        elif isinstance(value, tuple):
            changed[field.name] = tuple(safe(part) if isinstance(part, str) else part for part in value)
    return replace(facts, **changed)


def json_line(finding: Finding) -> str:
    """One finding as JSON: check, name, state, found, mend, facts. ``mend`` is the text after "fix:" on the screen."""
    return json.dumps(asdict(finding), allow_nan=False)


def text_line(finding: Finding) -> str:
    """One finding as a line of text."""
    mend = f"; fix: {finding.mend}" if finding.mend else ""
    return f"{finding.state:8} {f'{finding.check} {finding.name}'.strip()}: {finding.found}{mend}"


def table(findings: Iterable[Finding], width: int) -> Table:
    """The findings for a terminal of ``width`` columns, at least 80. The fix is below what was found."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column()
    grid.add_column(max_width=width // 4, overflow="fold")
    grid.add_column(overflow="fold")
    for finding in findings:
        style = _STYLES[finding.state]
        text = plain(finding.found)
        if finding.mend:
            text.append(f"\nfix: {safe(finding.mend)}", style)
        grid.add_row(Text(finding.state, style), plain(f"{finding.check} {finding.name}".strip(), "bold"), text)
    return grid


def summary(findings: Iterable[Finding]) -> str:
    """The number of findings in each state."""
    counts = Counter(finding.state for finding in findings)
    parts = [f"{counts[state]} {state}{'s' if state is not State.OK and counts[state] != 1 else ''}" for state in State]
    return f"{', '.join(parts)}{': fix the problems first' if counts[State.PROBLEM] else ''}."


def show_table(findings: Iterable[Finding], console: Console) -> None:
    """Print the table and the summary below it."""
    findings = list(findings)
    console.print(table(findings, console.width), highlight=False)
    console.print(f"\n{summary(findings)}", highlight=False)
