"""Where networks would run, and why not on a GPU."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

from monitor.app.doctor.finding_report import Finding, State

_BUSY = 1.5
"""Programs a core that want it, from which on a run would have too little."""
_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True, slots=True)
class Machine:
    """What there is to compute with.

    torch       version of PyTorch; ``built_for`` the CUDA version it was built for, None without CUDA
    gpus        names of the GPUs that it can use
    driver      an NVIDIA driver runs
    hidden      CUDA_VISIBLE_DEVICES hides all GPUs
    complaint   what PyTorch says about a GPU that it cannot use
    cores       CPU cores that this process may use
    load        programs that wanted a core, mean of the last minute
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
    """Imports PyTorch, which takes seconds, and tries a GPU if there is one."""
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
    """The device that is asked for if it is there, otherwise the CPU."""
    number = int(wanted.partition(":")[2] or 0) if wanted != "cpu" else 0
    return wanted if wanted == "cpu" or number < len(machine.gpus) else "cpu"


def judge_device(wanted: str, machine: Machine) -> Finding:
    """Does ``wanted`` (auto, cpu, cuda, cuda:N) exist, what would be better, and has it time for the monitor?"""
    finding = _judge_device(wanted, machine)
    if machine.load < _BUSY * machine.cores:
        return finding
    mend = (
        "other programs want more cores than there are, so a run would have too little and times measured now are too "
        "long: end them and check again"
    )
    state = State.WARNING if finding.state is State.OK else finding.state
    return replace(finding, state=state, mend="; ".join(filter(None, (finding.mend, mend))))


def _judge_device(wanted: str, machine: Machine) -> Finding:
    cores = f"PyTorch {machine.torch}, {machine.cores} CPU cores, load now {machine.load:.1f}"
    if wanted == "cpu":
        return Finding("device", wanted, State.OK, f"runs on the CPU as asked; {cores}")
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
            "no NVIDIA driver runs here",
            "install the driver of the GPU, if there is one (`nvidia-smi` must list it)",
        )
    if machine.built_for is None:
        return "this PyTorch is built without CUDA", "install the CUDA build of PyTorch, see pytorch.org"
    if machine.hidden:
        return "CUDA_VISIBLE_DEVICES hides every GPU", "unset CUDA_VISIBLE_DEVICES"
    why = machine.complaint or "PyTorch finds no GPU"
    return why, f"bring the driver up to date for CUDA {machine.built_for}, or install a PyTorch that fits it"
