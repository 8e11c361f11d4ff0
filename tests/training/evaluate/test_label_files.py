from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from scipy.io import savemat

from monitor.errors import UsageError
from training.evaluate.label_files import read_labels, read_masks, video_key
from training.evaluate.labels import load_labels


def video(folder: Path, count: int = 12) -> None:
    """A folder of frames."""
    folder.mkdir(parents=True)
    for i in range(count):
        cv2.imwrite(str(folder / f"{i:04}.png"), np.full((16, 24, 3), i, np.uint8))


def masks(abnormal: Sequence[int]) -> np.ndarray:
    found = np.zeros((len(abnormal), 16, 24), np.uint8)
    found[:, 3:6, 4:8] = np.array(abnormal)[:, None, None]
    return found


def avenue_labels(path: Path, abnormal: Sequence[int]) -> None:
    """Write labels in the format of Avenue: volLabel, a cell array (1, frames) of masks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cells = np.empty((1, len(abnormal)), object)
    for i, mask in enumerate(masks(abnormal)):
        cells[0, i] = mask
    savemat(path, {"volLabel": cells})


LABELS = [0, 0, 0, 1, 1, 1, 1, 0, 0, 1, 0, 0]


@pytest.mark.parametrize(
    ("name", "key"),
    [("1_label.mat", "1"), ("01.avi", "1"), ("testing_01.npy", "1"), ("door_gt.npy", "door"), ("Door.mp4", "door"),
     ("a12.npz", "12"), ("room2-mask.npz", "2")],
)  # fmt: skip
def test_video_and_labels_have_a_key_in_common(name: str, key: str) -> None:
    assert video_key(Path(name)) == key


def test_avenue_s_own_labels_give_frames_and_masks(tmp_path: Path) -> None:
    video(tmp_path / "testing_videos/01")
    video(tmp_path / "training_videos/02")
    avenue_labels(tmp_path / "ground_truth_demo/testing_label_mask/1_label.mat", LABELS)
    savemat(tmp_path / "vol01.mat", {"vol": np.zeros((4, 4))})  # Avenue's volumes of frames are not labels
    (found,) = load_labels(tmp_path)
    assert found.name == "testing_videos/01"
    assert found.abnormal.astype(int).tolist() == LABELS
    where = found.masks()
    assert where is not None
    assert where.shape == (12, 16, 24)
    assert (where.any(axis=(1, 2)) == found.abnormal).all()


@pytest.mark.parametrize("kind", ["npy", "npz", "named", "column"])
def test_vectors_of_a_label_a_frame_are_matched_by_name(tmp_path: Path, kind: str) -> None:
    video(tmp_path / "door")
    vector = np.array(LABELS, np.float32 if kind == "npy" else np.int64)
    if kind == "npy":
        np.save(tmp_path / "door.npy", vector)
    elif kind == "npz":
        np.savez(tmp_path / "door.npz", vector)
    elif kind == "named":
        np.savez(tmp_path / "door_gt.npz", labels=vector, other=np.zeros(3))
    else:
        np.save(tmp_path / "door.npy", vector[:, None])
    (found,) = load_labels(tmp_path)
    assert found.abnormal.astype(int).tolist() == LABELS
    assert found.masks() is None


def test_masks_beside_the_labels_say_where_and_the_labels_say_when(tmp_path: Path) -> None:
    video(tmp_path / "test/01")
    np.save(tmp_path / "01.npy", np.array(LABELS))
    (tmp_path / "masks").mkdir()
    np.savez_compressed(tmp_path / "masks/01.npz", mask=masks([1] * 12))
    (found,) = load_labels(tmp_path)
    assert found.abnormal.astype(int).tolist() == LABELS
    where = found.masks()
    assert where is not None
    assert where.any(axis=(1, 2)).all()


def test_video_without_labels_and_two_files_for_one_are_named(tmp_path: Path) -> None:
    video(tmp_path / "01")
    with pytest.raises(UsageError, match="has no labels: add"):
        load_labels(tmp_path)
    np.save(tmp_path / "02.npy", np.array(LABELS))
    with pytest.raises(UsageError, match=r"01 has no labels in .*: add 01\.npy"):
        load_labels(tmp_path)
    np.save(tmp_path / "01.npy", np.array(LABELS))
    assert len(load_labels(tmp_path)) == 1
    np.save(tmp_path / "1_labels.npy", np.array(LABELS))
    with pytest.raises(UsageError, match="could both be labels of the same video"):
        load_labels(tmp_path)


def test_labels_that_do_not_fit_the_frames_are_refused_with_both_numbers(tmp_path: Path) -> None:
    video(tmp_path / "01")
    np.save(tmp_path / "01.npy", np.array(LABELS))
    (found,) = load_labels(tmp_path)
    found.check_frames(12)
    found.check_frames(8)  # a few frames at the end may be missing
    for frames in (13, 6):
        with pytest.raises(UsageError, match=f"01 has {frames} frames but 12 labels"):
            found.check_frames(frames)


def test_masks_of_another_length_are_refused_with_both_numbers(tmp_path: Path) -> None:
    video(tmp_path / "01")
    np.save(tmp_path / "01.npy", np.array(LABELS))
    (tmp_path / "masks").mkdir()
    np.savez(tmp_path / "masks/01.npz", mask=masks([1] * 5))
    with pytest.raises(UsageError, match="masks for 5 frames, but 01 has labels for 12"):
        load_labels(tmp_path)[0].masks()


@pytest.mark.parametrize("kind", ["values", "shape", "empty", "garbage", "mat", "names", "pickle", "sizes"])
def test_malformed_files_are_one_sentence(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("1_label.mat" if kind in ("mat", "sizes") else "01.npz" if kind == "names" else "01.npy")
    if kind == "garbage":
        path.write_bytes(b"no array")
    elif kind == "mat":
        savemat(path, {"other": np.zeros(3)})
    elif kind == "names":
        np.savez(path, a=np.zeros(3), b=np.zeros(3))
    elif kind == "sizes":
        cells = np.empty((1, 2), object)
        cells[0, 0], cells[0, 1] = np.zeros((3, 4)), np.zeros((3, 5))
        savemat(path, {"volLabel": cells})
    else:
        arrays = {"values": np.array([0, 1, 2]), "shape": np.zeros((3, 4)), "empty": np.zeros(0)}
        np.save(path, arrays.get(kind, np.array([{}], object)))
    with pytest.raises(UsageError, match=path.name) as caught:
        read_labels(path)
    assert "\n" not in str(caught.value)


def test_a_vector_is_no_mask(tmp_path: Path) -> None:
    np.save(tmp_path / "01.npy", np.array(LABELS))
    with pytest.raises(UsageError, match="contains no masks"):
        read_masks(tmp_path / "01.npy")
