"""Names of cameras: safe as a file name, and different if what they name is different."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.app.config_file import load_config
from monitor.errors import ConfigError, SourceError, UsageError
from monitor.sources.finding import open_sources
from monitor.sources.naming import LONGEST_NAME, is_name, name_of, safe_name, shortened
from tests.helpers.made_footage import write_video
from training.learn.learn_model import LearnSettings, check_name

BAD = [".", "..", "...", ".hidden", "-x", "a/b", "a b", "", "a\n", "é", "x" * 65, "\udcff"]
GOOD = ["door", "a", "_x", "1", "10.00", "front-door_2", "x" * 64]


@pytest.mark.parametrize("name", BAD)
def test_a_name_that_is_no_file_name_is_refused_everywhere(tmp_path: Path, name: str) -> None:
    assert not is_name(name)
    with pytest.raises(UsageError, match="at most 64"):
        check_name(LearnSettings(name, tmp_path))
    if name.isascii() and "\n" not in name and name:
        (tmp_path / "c.toml").write_text(f'[cameras."{name}"]\nsource = "0"\n')
        with pytest.raises(ConfigError, match=r"camera name .*at most 64"):
            load_config(tmp_path / "c.toml")
        if "/" not in name:
            with pytest.raises(SourceError, match=r"cannot name a source: .*at most 64"):
                open_sources([f"{name}=0"])


@pytest.mark.parametrize("name", GOOD)
def test_a_usual_name_is_taken_everywhere(tmp_path: Path, name: str) -> None:
    check_name(LearnSettings(name, tmp_path))
    (tmp_path / "c.toml").write_text(f'[cameras."{name}"]\nsource = "0"\n')
    assert list(load_config(tmp_path / "c.toml").cameras) == [name]
    assert open_sources([f"{name}=0"])[0].name == name


def test_plain_names_stay_as_they_are() -> None:
    for text, name in {
        "street60": "street60",
        "my video (1)": "my-video-1",
        "10:00": "10-00",
        "café": "caf",
        "Süd": "S-d",
    }.items():
        assert name_of(text) == name


def test_names_without_ascii_letters_differ() -> None:
    texts = ["двор", "ворота", "门", "庭", "!!!", "???", "🚪", "камера 1", "дверь 1", "1", ""]
    names = [name_of(text) for text in texts]
    assert len(set(names)) == len(names)
    assert all(map(is_name, names))
    assert name_of("двор").startswith("stream-")
    assert name_of("камера 1").startswith("1-")


def test_a_name_is_the_same_however_its_accents_are_coded() -> None:
    for text in ("café", "двой", "が"):
        assert name_of(unicodedata.normalize("NFD", text)) == name_of(unicodedata.normalize("NFC", text))


def test_videos_named_in_another_script_have_a_model_each(tmp_path: Path) -> None:
    folders = [tmp_path / "дом" / "a", tmp_path / "сад" / "a"]
    videos = [write_video(tmp_path / "двор.avi", frames=1), write_video(tmp_path / "门.avi", frames=1)]
    for folder in folders:
        folder.mkdir(parents=True)
        videos.append(write_video(folder / "cam.avi", frames=1))
    alone = [open_sources([str(video)])[0].name for video in videos[:2]]
    together = [source.name for source in open_sources([str(video) for video in videos])]
    assert alone == together[:2]
    assert len(set(together)) == 4


def test_long_names_are_cut_and_stay_different(tmp_path: Path) -> None:
    videos = [write_video(tmp_path / f"{'x' * 200}{end}.avi", frames=1) for end in "ab"]
    names = [source.name for source in open_sources([*map(str, videos), str(videos[0])])]
    assert len(set(names)) == 3
    urls = [f"rtsp://10.0.0.1/{'a' * 290}{end}" for end in "xy"]
    names += [source.name for source in open_sources([*urls, urls[0]])]
    hosts = [f"rtsp://{'.'.join(['h' * 60] * 4)}{end}/live" for end in "xy"]
    names += [source.name for source in open_sources(hosts)]
    assert len(set(names)) == 8
    assert all(is_name(name) and len(name) <= LONGEST_NAME for name in names)


@given(st.text(max_size=300))
def test_whatever_a_file_is_called_its_camera_has_a_name(text: str) -> None:
    assert is_name(shortened(name_of(text)))
    assert safe_name(name_of(text)) == name_of(text)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_texts_of_other_letters_never_share_a_name(first: str, second: str) -> None:
    letters = [[c for c in unicodedata.normalize("NFC", text) if c.isalnum()] for text in (first, second)]
    if letters[0] != letters[1] and not any(c.isascii() for text in letters for c in text) and letters[0]:
        kept = [unicodedata.normalize("NFKD", text) for text in (first, second)]
        if not any(c.isascii() and c.isalnum() for text in kept for c in text):
            assert name_of(first) != name_of(second)
