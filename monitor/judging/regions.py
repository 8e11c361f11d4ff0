"""Finds the regions of a source frame in which an anomaly map is high."""

from __future__ import annotations

import cv2
import numpy as np

from monitor.states import Region
from monitor.types import FloatArray


def find_regions(anomaly_map: FloatArray, width: int, height: int, most: int = 3, share: float = 0.6) -> list[Region]:
    """Boxes, in pixels of a ``width`` x ``height`` frame, around the highest parts of the map; highest first.

    anomaly_map: (h, w) float32 over the whole frame. most: number of boxes, at most. share: a cell belongs to a region
    if its value is at least ``median + share * (peak - median)`` of the map. Returns [] for a flat map.
    """
    peak, middle = float(anomaly_map.max()), float(np.median(anomaly_map))
    if not peak > middle:
        return []
    above = (anomaly_map >= middle + share * (peak - middle)).astype(np.uint8)
    count, labels, boxes, _ = cv2.connectedComponentsWithStats(above, connectivity=8)
    scale_x, scale_y = width / anomaly_map.shape[1], height / anomaly_map.shape[0]
    regions = []
    for label in range(1, count):
        x, y, w, h = (int(v) for v in boxes[label][:4])
        left, top = round(x * scale_x), round(y * scale_y)
        right, bottom = round((x + w) * scale_x), round((y + h) * scale_y)
        score = float(anomaly_map[labels == label].max())
        regions.append(Region(left, top, max(1, right - left), max(1, bottom - top), score))
    return sorted(regions, key=lambda region: -region.score)[:most]
