"""Pictures of alerts for people: the frame with its anomaly map as heat, boxes around the regions, and a caption."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import cv2
import numpy as np
from numpy.typing import NDArray

from monitor.judging.camera_monitor import Alert
from monitor.states import Phase, Region
from monitor.text.durations import place
from monitor.types import FloatArray, Image

_HEAT = 0.6  # opacity at the peak of the map
_LINE_PX = 18
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.42
_SMALLEST_SCALE = 0.1
_WHITE, _RED = (255, 255, 255), (0, 0, 255)


def fit(image: Image, width: int) -> Image:
    """Scale an image to at most ``width`` pixels wide. Sides are even, as video requires. (h, w, 3) uint8 BGR."""
    height_px, width_px = image.shape[:2]
    scale = min(1.0, width / width_px)
    size = (max(2, int(width_px * scale) // 2 * 2), max(2, int(height_px * scale) // 2 * 2))
    return image if size == (width_px, height_px) else resized(image, size)


def resized(image: Image, size: tuple[int, int]) -> Image:
    """Resize an image to ``size`` (width, height), pixels."""
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def to_jpeg(image: Image, quality: int) -> bytes:
    """Encode an image as JPEG. Raises ValueError if OpenCV cannot encode it."""
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError(f"OpenCV cannot encode a picture of shape {image.shape} as JPEG")
    return encoded.tobytes()


def from_jpeg(content: bytes) -> Image:
    """Decode a JPEG, (h, w, 3) uint8 BGR."""
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def snapshot(alert: Alert, width: int) -> Image:
    """Draw the alert's frame with heat and boxes, and a caption below; (h, w, 3) uint8 BGR, at most ``width`` wide."""
    return explained(alert.snapshot.frame.image, alert.anomaly_map, alert.regions, caption(alert), width)


def explained(
    image: Image,
    anomaly_map: FloatArray | None,
    regions: Sequence[Region],
    lines: Sequence[Sequence[str]],
    width: int,
) -> Image:
    """Draw a picture with heat and boxes, and a caption below; (h, w, 3) uint8 BGR, at most ``width`` wide.

    regions  in pixels of the image
    lines    of the caption, each a list of parts; a part is never broken
    """
    picture = fit(image, width)
    if anomaly_map is not None:
        picture = heated(picture, anomaly_map)
    picture = boxed(picture, regions, picture.shape[1] / image.shape[1])
    return np.vstack([picture, _caption(lines, picture.shape[1])])


def heated(picture: Image, anomaly_map: FloatArray, strength: float = 1.0) -> Image:
    """Tint the picture from yellow to red where the map is high. Pixels at the map's median keep their colours.

    anomaly_map: (h, w) float32 over the whole picture, any resolution. strength: of the tint, 0..1.
    """
    height, width = picture.shape[:2]
    heat = cv2.resize(relative_heat(anomaly_map), (width, height), interpolation=cv2.INTER_LINEAR)
    colours = np.zeros_like(picture)
    colours[..., 1] = (255 * (1 - heat)).astype(np.uint8)
    colours[..., 2] = 255
    opacity = _HEAT * strength * heat
    return np.asarray(cv2.blendLinear(picture, colours, 1 - opacity, opacity), np.uint8)


def relative_heat(anomaly_map: FloatArray) -> NDArray[np.float32]:
    """Scale the map to heat, (h, w) float32: 0 at its median and below, 1 at its peak; all 0 for a flat map."""
    finite = np.nan_to_num(anomaly_map.astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    middle, peak = float(np.median(finite)), float(finite.max())
    if not peak > middle:
        return np.zeros_like(finite)
    return np.asarray(np.clip((finite - middle) / (peak - middle), 0.0, 1.0), np.float32)


def boxed(picture: Image, regions: Sequence[Region], scale: float) -> Image:
    """Return a copy of the picture with boxes. Regions are in source pixels; ``scale`` converts them."""
    drawn = picture.copy()
    for region in regions:
        left, top = round(region.x * scale), round(region.y * scale)
        right, bottom = round((region.x + region.width) * scale), round((region.y + region.height) * scale)
        cv2.rectangle(drawn, (left, top), (right, bottom), _RED, 2)
    return drawn


def caption(alert: Alert) -> list[list[str]]:
    """Return the caption: a line with camera, time and score, and a line with the first reason.

    Each line is a list of parts; a part is never broken.
    """
    event = alert.event
    at = datetime.fromtimestamp(alert.snapshot.frame.wall_time).astimezone()
    media_s = alert.snapshot.frame.media_s
    what = "start" if event.phase is Phase.START else "peak"
    first = [
        f"{alert.camera} ",
        f"{at:%Y-%m-%d}",
        f"{at:%H:%M:%S %z} ",
        *([] if media_s is None else [f"at {place(media_s)} of the footage "]),
        f"{what} of alert {event.number} ",
        f"score {event.peak_score:.2f}",
    ]
    return [first, *(str(reason).split() for reason in alert.reasons[:1])]


def _caption(lines: Sequence[Sequence[str]], width: int) -> Image:
    """Draw the caption as a strip that is high enough for all text: a cut number would read as another number."""
    room = width - 8
    texts = [text for parts in lines for text in _wrapped([_ascii(part) for part in parts], room)]
    strip = np.zeros((_LINE_PX * len(texts) + 6, width, 3), np.uint8)
    for number, text in enumerate(texts):
        scale = _FONT_SCALE
        while (
            _length_px(text, scale) > room and scale > _SMALLEST_SCALE
        ):  # glyphs do not shrink in proportion to the scale
            scale -= 0.02
        at = (4, _LINE_PX * (number + 1) - 3)
        cv2.putText(strip, text, at, _FONT, scale, _WHITE, 1, cv2.LINE_AA)
    return strip


def _wrapped(parts: Sequence[str], room: int) -> list[str]:
    """Join the parts to as few lines of ``room`` pixels as possible. A longer part gets its own line."""
    texts = [parts[0]]
    for part in parts[1:]:
        longer = f"{texts[-1]} {part}"
        if _length_px(longer.rstrip(), _FONT_SCALE) <= room:
            texts[-1] = longer
        else:
            texts.append(part)
    return texts


def _ascii(text: str) -> str:
    """Replace other characters: the fonts of OpenCV contain only ASCII."""
    return text.encode("ascii", "replace").decode()


def _length_px(text: str, scale: float) -> int:
    return cv2.getTextSize(text, _FONT, scale, 1)[0][0]
