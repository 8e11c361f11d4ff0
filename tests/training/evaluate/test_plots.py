from __future__ import annotations

import io

from matplotlib.figure import Figure

import training.evaluate.plots  # noqa: F401 - it makes the settings


def test_a_dollar_sign_in_the_name_of_a_video_is_no_formula() -> None:
    figure = Figure()
    figure.suptitle("a$\\frac$ b$.mp4")
    figure.savefig(io.BytesIO(), format="png", dpi=20)
