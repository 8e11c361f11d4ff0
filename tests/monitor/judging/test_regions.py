import numpy as np

from monitor.judging.regions import find_regions


def test_boxes_are_in_pixels_of_the_source_frame_highest_first() -> None:
    anomaly_map = np.zeros((9, 16), np.float32)
    anomaly_map[2:4, 3:6] = 0.8
    anomaly_map[6, 10] = 1.0
    high, low = find_regions(anomaly_map, 640, 360)
    assert (high.x, high.y, high.width, high.height, high.score) == (400, 240, 40, 40, 1.0)
    assert (low.x, low.y, low.width, low.height) == (120, 80, 120, 80)


def test_a_flat_map_has_no_region_and_a_busy_one_at_most_three() -> None:
    assert find_regions(np.ones((8, 8), np.float32), 80, 80) == []
    busy = np.zeros((20, 20), np.float32)
    busy[::4, ::4] = 1
    assert len(find_regions(busy, 200, 200)) == 3
