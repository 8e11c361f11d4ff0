"""Memory of processes; memory that several processes share counts once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """Memory of one or several processes, in units of 2^20 bytes.

    pss  resident memory; a page that n processes share counts 1/n in each, so values of several processes add up
    uss  resident memory that no other process shares; this is what the end of the process would free
    """

    pss: float = 0.0
    uss: float = 0.0

    def __add__(self, other: Memory) -> Memory:
        return Memory(self.pss + other.pss, self.uss + other.uss)


def parse_rollup(text: str) -> Memory:
    """Parse the content of /proc/PID/smaps_rollup. Raises ValueError for anything else."""
    kilobytes = {
        key: int(value.split()[0])
        for key, _, value in (line.partition(":") for line in text.splitlines())
        if key in ("Pss", "Private_Clean", "Private_Dirty", "Private_Hugetlb")
    }
    if "Pss" not in kilobytes:
        raise ValueError("there is no Pss: this is not the content of smaps_rollup")
    pss = kilobytes.pop("Pss")
    return Memory(pss / 1024, sum(kilobytes.values()) / 1024)


def memory_of(pid: int) -> Memory:
    """The present memory of a process; zero for one that has just ended."""
    try:
        return parse_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return Memory()
