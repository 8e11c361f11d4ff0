from __future__ import annotations

import numpy as np
import pytest

from monitor.errors import UsageError
from monitor.testing.fakes import LevelSource
from monitor.types import Image
from training.evaluate.corrupt import CorruptedSource, Corruption


def read(corruption: Corruption, count: int = 400, video: str = "01") -> dict[int, Image]:
    found: dict[int, Image] = {}
    with CorruptedSource(LevelSource("01", [100] * count), corruption, video).open() as reader:
        while (position := reader.grab()) is not None:
            image = reader.retrieve()
            assert image is not None
            found[position.index] = image
    return found


def test_words_on_the_command_line_become_shares() -> None:
    assert Corruption.parse("flip=0.1, noise=0.2,drop=0.05,seed=3") == Corruption(0.1, 0.2, 0.05, seed=3)
    assert Corruption.parse("noise=1,noise_sigma=40").noise_sigma == 40


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("flp=0.1", "did you mean 'flip'"),
        ("flip", "give key=value pairs; known keys are flip, noise, drop"),
        ("", "known keys are"),
        ("flip=2", "between 0 and 1"),
        ("flip=nan", "between 0 and 1"),
        ("flip=some", "flip must be a number"),
        ("seed=1.5", "seed must be a whole number"),
        ("seed=-1", "give 0 or more"),
        ("drop=1", "drops all frames"),
        ("noise_sigma=-3", "0 to 255"),
        ("flip=0.1,flip=0.2", "twice"),
    ],
)
def test_wrong_words_are_refused_with_one_sentence(words: str, sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence) as caught:
        Corruption.parse(words)
    assert "\n" not in str(caught.value)


def test_missing_frames_keep_the_numbers_of_the_others_and_come_as_often_as_asked() -> None:
    found = read(Corruption(drop=0.25))
    assert 250 < len(found) < 350
    assert set(found) < set(range(400))


def test_noise_has_the_asked_strength_in_the_asked_share_of_frames() -> None:
    spreads = [float(image.std()) for image in read(Corruption(noise=0.5, noise_sigma=20)).values()]
    noisy = [spread for spread in spreads if spread]
    assert 150 < len(noisy) < 250
    assert np.mean(noisy) == pytest.approx(20, rel=0.05)


def test_flips_go_all_three_ways() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    flipped = [Corruption(flip=1).apply(image, "01", i) for i in range(60)]
    ways = {"up": image[::-1], "side": image[:, ::-1], "both": image[::-1, ::-1]}
    counts = {way: sum(np.array_equal(found, wanted) for found in flipped) for way, wanted in ways.items()}
    assert sum(counts.values()) == 60, "each frame is flipped"
    assert min(counts.values()) > 8


def test_same_seed_corrupts_the_same_frames_in_the_same_way_and_another_does_not() -> None:
    corruption = Corruption(0.3, 0.3, 0.2)
    first, again = read(corruption), read(corruption)
    assert first.keys() == again.keys()
    assert all(np.array_equal(first[i], again[i]) for i in first)
    assert read(Corruption(0.3, 0.3, 0.2, seed=1)).keys() != first.keys()
    assert read(corruption, video="02").keys() != first.keys()


def test_without_faults_every_frame_is_as_it_was() -> None:
    assert all((image == 100).all() for image in read(Corruption()).values())
