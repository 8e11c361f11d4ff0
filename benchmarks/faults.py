"""Injects every fault that a camera can have. Measures how the monitor detects it, recovers, and how much it misses.

    python -m benchmarks.faults [--json] [--only silent,frozen]

Each fault hits one of two cameras (RTSP over loopback, H.264, 160x120, 25 frames per second, 10 analysed). It continues
for 5 s after the monitor has shown it, and then it is removed. The settings of the monitor are the defaults: 5 s to
connect, 4 s to read, waits of 0.5 to 30 s between attempts, frozen after 5 s, dark after 2 s. Faults that happen once
(a camera dies, a decoder is killed) are over at once; their recovery counts from the fault itself.

  shown          state of the camera during the fault
  detected       time from the fault to that state
  recovered      time from the end of the fault to the first frame that is scored again
  missed during  frames that a camera without fault would have sent during the fault and that did not arrive
  after          the same, from the end of the fault to the recovery
  other          longest pause between two analysed frames of the other camera, which has no fault
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict

from monitor.testing.faulty_camera import Fault
from monitor.testing.injected_faults import EXPECTED, Deadlines, FaultResult, run_fault

HEADINGS = ("a camera that ...", "shown", "detected", "recovered", "missed during", "after", "other")
ROW = "| {:<38} | {:<8} | {:>8} | {:>9} | {:>13} | {:>5} | {:>6} |"


def rows(results: Iterator[FaultResult]) -> Iterator[str]:
    """The table, line by line."""
    yield ROW.format(*HEADINGS)
    yield ROW.format(*["---"] * len(HEADINGS))
    for result in results:
        detected = "-" if result.detected_s is None else f"{result.detected_s:.2f} s"
        recovered, other = f"{result.recovered_s:.2f} s", f"{result.other_gap_s:.2f} s"
        missed = (result.missed_during, result.missed_after)
        yield ROW.format(result.fault, result.state, detected, recovered, *missed, other)


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object per fault instead of the table")
    parser.add_argument(
        "--only", default="", help=f"faults, separated by commas: {','.join(fault.name.lower() for fault in Fault)}"
    )
    arguments = parser.parse_args()
    wanted = {name for name in arguments.only.upper().split(",") if name}
    results = (run_fault(fault, Deadlines()) for fault in EXPECTED if not wanted or fault.name in wanted)
    for line in (json.dumps(asdict(result)) for result in results) if arguments.json else rows(results):
        print(line, flush=True)


if __name__ == "__main__":
    main()
