"""What a process holds, with memory that several processes share counted once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Memory:
    """Megabytes (2^20 bytes) of a process, or of several together.

    pss  resident, pages shared by n processes counted as an n-th each: those of a monitor and its decoders add up
    uss  resident and shared with nobody: what ending the process would free
    """

    pss: float = 0.0
    uss: float = 0.0

    def __add__(self, other: Memory) -> Memory:
        return Memory(self.pss + other.pss, self.uss + other.uss)


def parse_rollup(text: str) -> Memory:
    """The content of /proc/PID/smaps_rollup. Raises ValueError for anything else."""
    kilobytes = {
        key: int(value.split()[0])
        for key, _, value in (line.partition(":") for line in text.splitlines())
        if key in ("Pss", "Private_Clean", "Private_Dirty", "Private_Hugetlb")
    }
    if "Pss" not in kilobytes:
        raise ValueError("no Pss in it: this is no smaps_rollup")
    pss = kilobytes.pop("Pss")
    return Memory(pss / 1024, sum(kilobytes.values()) / 1024)


def memory_of(pid: int) -> Memory:
    """A process's memory now; nothing for one that has just ended."""
    try:
        return parse_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return Memory()
