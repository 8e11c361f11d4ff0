import pytest

from monitor.text.wording import about, counted, joined, listed, nearest, plural, shortened


def test_one_is_singular_and_all_else_plural() -> None:
    assert [counted(number, "alarm") for number in (0, 1, 2, 0.5, 1.0, 1e6, 1_000_000)] == [
        "0 alarms",
        "1 alarm",
        "2 alarms",
        "0.5 alarms",
        "1 alarm",
        "1e+06 alarms",
        "1000000 alarms",
    ]
    assert (plural(1, "frame"), plural(3, "frame")) == ("frame", "frames")


def test_an_estimate_has_two_digits() -> None:
    numbers = (2204.08, 535.0, 1442.4, 99.6, 9.96, 5.44, 2.0, 0.0341, 0.0, 1.2e7)
    assert [about(number) for number in numbers] == [
        "2200", "540", "1400", "100", "10", "5.4", "2", "0.034", "0", "12000000"
    ]  # fmt: skip


def test_names_are_joined_as_in_a_sentence() -> None:
    assert [joined(("motion", "static", "scene")[:count]) for count in range(4)] == [
        "",
        "motion",
        "motion and static",
        "motion, static and scene",
    ]


def test_of_many_names_some_are_listed_and_the_rest_counted() -> None:
    names = ["a", "b", "c", "d", "e"]
    assert [listed(names[:count], 3) for count in (1, 3, 4, 5)] == [
        "a",
        "a, b, c",
        "a, b, c and 1 more",
        "a, b, c and 2 more",
    ]


def test_a_mistyped_name_is_taken_for_the_known_one_that_it_is_most_like() -> None:
    assert nearest("gaet", ["door", "gate", "gates"]) == "gate"
    assert nearest("yard", ["door", "gate"]) is None
    assert nearest("gate", []) is None


@pytest.mark.parametrize(
    ("path", "room", "shown"),
    [
        ("clips/01.avi", 12, "clips/01.avi"),
        ("avenue/testing_videos/17.avi", 20, "avenue/testi…/17.avi"),
        ("rtsp://***@192.168.1.20/live/stream2", 30, "rtsp://***@192.168.1.…/stream2"),
        ("data/door_2026-03-02_front.mp4", 22, "door_2026-0…_front.mp4"),
        ("data/17.avi", 9, "17.avi"),
        ("testing_videos-01", 11, "testi…os-01"),
        ("data/footage/", 12, "footage/"),
    ],
)
def test_a_path_is_cut_before_its_last_part(path: str, room: int, shown: str) -> None:
    assert len(shortened(path, room)) <= room
    assert shortened(path, room) == shown
