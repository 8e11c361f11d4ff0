import sys

import pytest

from monitor.threads.switching import quick_switching


def test_the_usual_interval_comes_back_when_the_last_user_ends_even_by_an_error() -> None:
    usual = sys.getswitchinterval()
    with quick_switching():
        quick = sys.getswitchinterval()
        with pytest.raises(ZeroDivisionError), quick_switching():
            raise ZeroDivisionError
        assert sys.getswitchinterval() == quick < 0.001 < usual
    assert sys.getswitchinterval() == usual
