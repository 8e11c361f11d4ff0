from __future__ import annotations

import io

from matplotlib.figure import Figure

from training.evaluate import plots


def test_a_dollar_sign_in_the_name_of_a_video_is_no_formula() -> None:
    assert plots.draw
    figure = Figure()
    figure.suptitle("a$\\frac$ b$.mp4")
    figure.savefig(io.BytesIO(), format="png", dpi=20)
