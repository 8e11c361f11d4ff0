"""The command ``python -m training pretrain``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from monitor.settings import given_path
from monitor.text.wording import counted
from training.command_parts import MOST_SEED, AnalysisFps, Device, Fps, stoppable
from training.progress import Report


def pretrain(
    data: Annotated[
        list[str],
        typer.Option(
            metavar="PATH", help="Normal footage of one scene, a folder or a video; repeat it for each scene."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            parser=given_path,
            metavar="DIR",
            help="Folder of the weights; replaces older weights there when the new ones are complete.",
        ),
    ],
    more: Annotated[list[str] | None, typer.Argument(metavar="PATH", help="More scenes.")] = None,
    steps: Annotated[
        int, typer.Option(min=1, max=10_000_000, metavar="N", help="Training steps, 8 samples each.")
    ] = 400,
    seed: Annotated[
        int,
        typer.Option(
            min=0, max=MOST_SEED, metavar="N", help="Seed; the same seed gives the same weights on the same machine."
        ),
    ] = 0,
    device: Device = "auto",
    analysis_fps: AnalysisFps = 10.0,
    fps: Fps = 25.0,
    resume: Annotated[bool, typer.Option("--resume", help="Continue an interrupted pre-training.")] = False,
) -> None:
    """Pre-train the network true-sight-2 on normal footage of many scenes, for ``learn --pretrained DIR``."""
    import cv2

    from training.pretrain.pretrain_network import PretrainSettings, unfinished_steps
    from training.pretrain.pretrain_network import pretrain as pretrain_weights

    cv2.setNumThreads(1)
    report = Report()

    def kept() -> str:
        done = unfinished_steps(out)
        if not done:
            return "stopped before the first checkpoint: nothing is kept"
        return f"stopped: {counted(done, 'step')} kept; to continue, run the same command with --resume"

    settings = PretrainSettings(
        steps=steps, seed=seed, device=device, analysis_fps=analysis_fps, fps=fps, resume=resume
    )
    with stoppable(report, kept):
        pretrain_weights([*data, *(more or [])], out, settings, report)
