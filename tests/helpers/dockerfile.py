"""Reads a Dockerfile: its stages and their instructions. ``.ci/image`` runs them, so it needs no other package."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

KNOWN = {
    *("FROM", "ARG", "ENV", "RUN", "COPY", "WORKDIR"),
    *("VOLUME", "USER", "EXPOSE", "HEALTHCHECK", "ENTRYPOINT", "CMD"),
}
"""What ``.ci/image`` knows how to follow."""
_FLAG = re.compile(r"--([a-z-]+)=(\S+)\s+")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction. ``value`` is what follows its word, with continued lines joined."""

    word: str
    value: str

    @property
    def flags(self) -> dict[str, str]:
        """The flags before the arguments: name -> value."""
        return dict(self._divided()[0])

    @property
    def arguments(self) -> str:
        """What follows the flags."""
        return self._divided()[1]

    def listed(self) -> list[str]:
        """The words of an instruction in JSON form. Raises ValueError for another form."""
        words = json.loads(self.arguments.removeprefix("CMD").strip())
        if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
            raise ValueError(f"{self.word} is not a list of words: {self.value}")
        return words

    def _divided(self) -> tuple[list[tuple[str, str]], str]:
        rest, found = self.value, []
        while flag := _FLAG.match(rest):
            found.append((flag[1], flag[2]))
            rest = rest[flag.end() :]
        return found, rest


@dataclass(frozen=True, slots=True)
class Stage:
    """What one FROM begins.

    base   the image that it begins with
    name   empty for none
    """

    base: str
    name: str
    steps: list[Step] = field(default_factory=list)

    def last(self, word: str) -> Step:
        """The last instruction with this word. Raises ValueError if there is none."""
        for step in reversed(self.steps):
            if step.word == word:
                return step
        raise ValueError(f"the stage has no {word}")

    def environment(self) -> dict[str, str]:
        """The variables that ENV sets, as written."""
        pairs = [pair for step in self.steps if step.word == "ENV" for pair in step.value.split()]
        return dict(pair.split("=", 1) for pair in pairs)


def stages_of(path: Path) -> list[Stage]:
    """The stages of a Dockerfile. Raises ValueError for an instruction that ``.ci/image`` would not follow."""
    stages: list[Stage] = []
    for step in _steps(path.read_text()):
        if step.word not in KNOWN:
            raise ValueError(f"{path.name}: {step.word} is an instruction that .ci/image does not know")
        if step.word == "FROM":
            base, _, name = step.value.partition(" AS ")
            stages.append(Stage(base, name))
        elif not stages:
            raise ValueError(f"{path.name}: {step.word} stands before FROM")
        else:
            stages[-1].steps.append(step)
    return stages


def _steps(text: str) -> Iterator[Step]:
    lines = (line.rstrip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#"))
    whole = ""
    for line in lines:
        whole += line.removesuffix("\\")
        if not line.endswith("\\"):
            word, _, value = whole.strip().partition(" ")
            yield Step(word, " ".join(value.split()) if word != "RUN" else value.strip())
            whole = ""
