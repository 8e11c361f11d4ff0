from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.io import savemat

from monitor.errors import UsageError
from tests.helpers.fuzzing import broken, cases, damaged, said
from tests.helpers.matlab_bytes import saved
from training.evaluate.label_files import SUFFIXES, read_labels, read_masks, video_key
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


def test_a_folder_with_labels_json_is_read_by_it_and_not_by_files_with_the_same_number(tmp_path: Path) -> None:
    video(tmp_path / "lawn_1")
    video(tmp_path / "ped1" / "01")
    np.savez(tmp_path / "ped1" / "01.npz", mask=masks([1] * 5))
    entries = {"lawn_1": {"frames": 12, "abnormal": [[3, 6]]}}
    (tmp_path / "labels.json").write_text(json.dumps(entries))
    (found,) = load_labels(tmp_path)
    assert found.name == "lawn_1"
    assert np.flatnonzero(found.abnormal).tolist() == [3, 4, 5, 6]


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


def array_file(suffix: str) -> bytes:
    file = io.BytesIO()
    match suffix:
        case ".npy":
            np.save(file, np.array(LABELS, np.uint8))
        case ".npz":
            np.savez_compressed(file, mask=masks(LABELS))
        case _:
            return saved({"volLabel": np.array([LABELS])})
    return file.getvalue()


@cases(150, 10_000)
@given(data=st.data())
def test_a_label_file_of_any_bytes_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    suffix = data.draw(st.sampled_from(SUFFIXES))
    path = tmp_path / f"01{suffix}"
    path.write_bytes(data.draw(broken(array_file(suffix)) | st.binary(max_size=40)))
    for read in (read_labels, read_masks):
        try:
            read(path)
        except UsageError as error:
            said(error)


@pytest.mark.parametrize("dtype", ["U3", "M8[s]", "c8", "i4,i4", "V3", "S2"])
def test_values_that_are_not_numbers_are_refused(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "01.npy", np.zeros(3, dtype))
    with pytest.raises(UsageError, match="values that are not numbers"):
        read_labels(tmp_path / "01.npy")


@pytest.mark.parametrize("shape", [(3,), (3, 2, 2)])
def test_a_label_that_is_nan_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    np.save(tmp_path / "01.npy", np.full(shape, np.nan))
    with pytest.raises(UsageError, match="values that are not numbers"):
        read_labels(tmp_path / "01.npy")


def header(shape: str) -> bytes:
    text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize("shape", ["(10**9,)", f"({2**62}, 4)", "(20_000_000_000,)", "(-1,)", "(True,)", "(1.5,)"])
def test_an_array_that_claims_more_than_there_is_is_refused(tmp_path: Path, shape: str) -> None:
    (tmp_path / "01.npy").write_bytes(header(shape) + b"\1\0\1")
    with pytest.raises(UsageError, match="labels"):
        read_labels(tmp_path / "01.npy")


def test_a_compressed_array_of_gigabytes_is_refused_before_it_is_read(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "01.npz", "w", zipfile.ZIP_DEFLATED) as bomb, bomb.open("mask.npy", "w") as member:
        member.write(header("(2_000_000_000,)"))
    content = (tmp_path / "01.npz").read_bytes()
    entry = content.index(b"PK\x01\x02")  # the directory of the archive: it declares the size
    claimed = content[: entry + 24] + (2_000_000_000).to_bytes(4, "little") + content[entry + 28 :]
    (tmp_path / "01.npz").write_bytes(claimed)
    with pytest.raises(UsageError, match="larger than 1000 MB"):
        read_labels(tmp_path / "01.npz")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_pipe_is_no_label_file(tmp_path: Path, suffix: str) -> None:
    os.mkfifo(tmp_path / f"01{suffix}")
    with pytest.raises(UsageError, match="it is a pipe, not a file"):
        read_labels(tmp_path / f"01{suffix}")


ENTRIES = {"door.mp4": {"frames": 12, "abnormal": [[3, 6]]}, "yard": {"frames": 9, "abnormal": []}}


@cases(150, 10_000)
@example(b"[" * 100_000)
@example(b'{"door": {"frames": 1000000000000000000, "abnormal": []}}')
@example(b'{"door": {"frames": 1' + b"0" * 400 + b', "abnormal": []}}')
@example(b'{"[*": {"frames": 1, "abnormal": []}, "": {"frames": 1, "abnormal": []}}')
@example(b'{"\\u0000": {"frames": 1, "abnormal": []}}')
@example(b'{"\\ud800": {"frames": 1, "abnormal": []}}')
@example(json.dumps({"n" * 5000: ENTRIES["yard"]}).encode())
@given(broken(json.dumps(ENTRIES).encode()) | damaged(ENTRIES).map(lambda content: json.dumps(content).encode()))
def test_labels_json_of_any_bytes_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "door.mp4").touch()
    (tmp_path / "yard").mkdir(exist_ok=True)
    (tmp_path / "labels.json").write_bytes(content)
    with suppress(UsageError):
        load_labels(tmp_path / "labels.json")


@pytest.mark.parametrize("name", ["", "**", "[", "n" * 4000, "a\0b", "missing/door", "../nowhere/x"])
def test_a_name_that_is_no_file_is_one_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "labels.json").write_text(json.dumps({f"{name}.mp4": ENTRIES["yard"]}))
    with pytest.raises(UsageError, match=r"the labels name .* but it is not in"):
        load_labels(tmp_path / "labels.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "as a whole: it is empty"),
        ("[1,", "as a whole: line 1 is no JSON"),
        ("[]", "as a whole: it must hold names with values"),
        ('{"door.mp4": {"abnormal": []}}', "door.mp4.frames: it is missing"),
        ('{"door.mp4": {"frames": 3, "abnormal": 1}}', "door.mp4.abnormal: it must be a list"),
        ("{}", "names no video: add at least one"),
    ],
)
def test_a_mistake_in_labels_json_is_said_in_plain_words(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "labels.json").write_text(content)
    with pytest.raises(UsageError, match=re.escape(said)):
        load_labels(tmp_path / "labels.json")
