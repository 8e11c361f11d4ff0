"""Checks which device networks would run on, and explains why it is not a GPU."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.app.doctor.finding_report import Finding, State

_BUSY = 1.5
"""Runnable programs per core. From this value on, a run would not get enough CPU time."""
_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True)
class Machine:
    """The computing hardware and software of this machine.

    torch       version of PyTorch
    built_for   CUDA version that PyTorch was built for; None without CUDA
    gpus        names of the GPUs that PyTorch can use
    driver      True if an NVIDIA driver is loaded
    hidden      True if CUDA_VISIBLE_DEVICES hides all GPUs
    complaint   PyTorch's message about a GPU that it cannot use; empty if there is none
    cores       CPU cores that this process may use
    load        load average: runnable programs, mean over the last minute
    """

    torch: str
    built_for: str | None
    gpus: tuple[str, ...]
    driver: bool
    hidden: bool
    complaint: str
    cores: int
    load: float


def look_at_machine() -> Machine:
    """Describe this machine. Imports PyTorch, which takes seconds, and tries to use a GPU if there is one."""
    import torch

    complaint = ""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        gpus = tuple(torch.cuda.get_device_name(number) for number in range(count))
        try:
            if count:
                torch.ones(1, device="cuda").add(1).item()
        except RuntimeError as error:
            gpus, complaint = (), str(error)
    complaint = complaint or (str(heard[0].message) if heard and not gpus else "")
    return Machine(
        torch=str(torch.__version__),
        built_for=torch.version.cuda,
        gpus=gpus,
        driver=_DRIVER.exists(),
        hidden=os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"),
        complaint=complaint.splitlines()[0] if complaint else "",
        cores=len(os.sched_getaffinity(0)),
        load=os.getloadavg()[0],
    )


def usable_device(wanted: str, machine: Machine) -> str:
    """The requested device if it exists, otherwise the CPU."""
    number = int(wanted.partition(":")[2] or 0) if wanted != "cpu" else 0
    return wanted if wanted == "cpu" or number < len(machine.gpus) else "cpu"


def judge_device(wanted: str, machine: Machine) -> Finding:
    """Check that ``wanted`` (auto, cpu, cuda, cuda:N) exists and that the machine is not overloaded; advise."""
    finding = _judge_device(wanted, machine)
    if machine.load < _BUSY * machine.cores:
        return finding
    mend = (
        "other programs need more cores than this machine has, so a run would be too slow and the times measured now "
        "are too long: end those programs and check again"
    )
    state = State.WARNING if finding.state is State.OK else finding.state
    return replace(finding, state=state, mend="; ".join(filter(None, (finding.mend, mend))))


def _judge_device(wanted: str, machine: Machine) -> Finding:
    cores = f"PyTorch {machine.torch}, {machine.cores} CPU cores, load now {machine.load:.1f}"
    if wanted == "cpu":
        return Finding("device", wanted, State.OK, f"runs on the CPU as requested; {cores}")
    if usable_device(wanted, machine) != "cpu":
        number = int(wanted.partition(":")[2] or 0)
        return Finding("device", wanted, State.OK, f"runs on {machine.gpus[number]}; {cores}")
    if machine.gpus:
        last = len(machine.gpus) - 1
        return Finding(
            "device", wanted, State.PROBLEM, f"the last GPU here is cuda:{last}", f"set device = cuda:{last}"
        )
    why, mend = _why_no_gpu(machine)
    if wanted == "auto":
        state = State.WARNING if machine.driver else State.OK
        return Finding("device", wanted, state, f"runs on the CPU: {why}; {cores}", mend if machine.driver else "")
    return Finding("device", wanted, State.PROBLEM, f"{why}; {cores}", f"{mend}, or set device = cpu")


def _why_no_gpu(machine: Machine) -> tuple[str, str]:
    if not machine.driver:
        return (
            "no NVIDIA driver is loaded",
            "if there is a GPU, install its driver (`nvidia-smi` must list the GPU)",
        )
    if machine.built_for is None:
        return "this PyTorch is built without CUDA", "install the CUDA build of PyTorch, see pytorch.org"
    if machine.hidden:
        return "CUDA_VISIBLE_DEVICES hides every GPU", "unset CUDA_VISIBLE_DEVICES"
    why = machine.complaint or "PyTorch finds no GPU"
    return why, f"update the driver to support CUDA {machine.built_for}, or install a PyTorch that fits the driver"
