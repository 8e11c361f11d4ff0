from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from monitor.machines.rendezvous import FULL, Demand, Host, place, relief, score_of

HOSTS = [Host(f"node{number}", 1000.0) for number in range(10)]
CAMERAS = [Demand(f"cam{number}", 1.0) for number in range(1000)]


def test_if_a_node_leaves_only_its_cameras_are_placed_elsewhere() -> None:
    before = place(CAMERAS, HOSTS, {}).where
    after = place(CAMERAS, HOSTS[1:], {}).where
    moved = {camera for camera in before if before[camera] != after[camera]}
    assert moved == {camera for camera, node in before.items() if node == "node0"}


def test_if_a_node_joins_about_its_share_prefers_it() -> None:
    before = place(CAMERAS, HOSTS, {}).where
    after = place(CAMERAS, [*HOSTS, Host("new", 1000.0)], {}).where
    moved = [camera for camera in before if before[camera] != after[camera]]
    assert {after[camera] for camera in moved} == {"new"}
    assert 50 < len(moved) < 140  # a share of 1/11 would be 91


def test_a_node_gets_cameras_by_its_capacity() -> None:
    hosts = [Host("small", 1000.0), Host("large", 3000.0)]
    counts = Counter(place(CAMERAS, hosts, {}).where.values())
    assert 0.7 < counts["large"] / len(CAMERAS) < 0.8


@given(
    cameras=st.lists(st.floats(0.5, 30.0), max_size=30),
    capacities=st.lists(st.floats(0.0, 200.0), min_size=1, max_size=6),
    sites=st.lists(st.sampled_from(["north", "south"]), min_size=6, max_size=6),
    pins=st.lists(st.sampled_from([None, "node0", "node9"]), min_size=30, max_size=30),
)
def test_no_node_is_overfilled_and_labels_and_pins_are_kept(
    cameras: list[float], capacities: list[float], sites: list[str], pins: list[str | None]
) -> None:
    hosts = {
        f"node{number}": Host(f"node{number}", capacity, {"site": sites[number]})
        for number, capacity in enumerate(capacities)
    }
    demands = {
        f"cam{number}": Demand(f"cam{number}", fps, {"site": "south"} if number % 2 else {}, pins[number])
        for number, fps in enumerate(cameras)
    }
    placed = place(demands.values(), hosts.values(), {})
    assert placed.where.keys() | placed.waiting.keys() == demands.keys()
    assert not placed.where.keys() & placed.waiting.keys()
    load: Counter[str] = Counter()
    for camera, node in placed.where.items():
        demand = demands[camera]
        assert all(hosts[node].labels[label] == value for label, value in demand.needs.items())
        assert demand.pin in (None, node)
        load[node] += demand.fps  # type: ignore[assignment]
    assert all(load[node] <= FULL * hosts[node].capacity_fps + 1e-9 for node in load)


def test_why_a_camera_waits_is_one_sentence_that_says_what_to_do() -> None:
    south = [Host("south", 100.0, {"site": "south"})]

    def why(demand: Demand, hosts: list[Host]) -> str:
        return place([demand], hosts, {}).waiting[demand.camera]

    assert why(Demand("gate", 10.0), []) == "no node can take gate, because none is up: start one"
    assert "none has the label site=north: change the camera, or add a node" in why(
        Demand("gate", 10.0, {"site": "north"}), south
    )
    assert "north is away or drained: start it, or remove the pin" in why(Demand("gate", 10.0, pin="north"), south)
    assert "none has room for 500 frames per second: add a node" in why(Demand("gate", 500.0), south)
    assert "south could not open it" in why(Demand("gate", 10.0, avoid=["south"]), south)


def test_an_even_load_needs_no_relief_and_a_newcomer_gets_cameras_that_prefer_it() -> None:
    current = {demand.camera: "node0" for demand in CAMERAS[:100]}
    even = {"node0": 50.0, "node1": 50.0}
    hosts = [Host("node0", 100.0), Host("node1", 100.0)]
    assert relief(CAMERAS[:100], hosts, current, even) is None
    found = relief(CAMERAS[:100], hosts, current, {"node0": 90.0, "node1": 0.0})
    assert found is not None
    camera, node = found
    assert node == "node1"
    assert score_of(camera, hosts[1]) > score_of(camera, hosts[0])
    assert relief(CAMERAS[:100], hosts[:1], current, {"node0": 90.0}) is None


@given(fps=st.lists(st.floats(1.0, 20.0), min_size=1, max_size=40), nodes=st.integers(2, 5))
def test_relief_comes_to_an_end(fps: list[float], nodes: int) -> None:
    hosts = [Host(f"node{number}", 400.0) for number in range(nodes)]
    demands = [Demand(f"cam{number}", each) for number, each in enumerate(fps)]
    current = {demand.camera: "node0" for demand in demands}
    load = {"node0": sum(fps)}
    for _ in range(len(fps) * nodes * 4):
        found = relief(demands, hosts, current, load)
        if found is None:
            return
        camera, node = found
        size = fps[int(camera.removeprefix("cam"))]
        load[current[camera]] -= size
        load[node] = load.get(node, 0.0) + size
        current[camera] = node
    raise AssertionError("cameras go back and forth")
