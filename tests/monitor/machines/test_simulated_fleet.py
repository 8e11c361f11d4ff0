"""The whole of leases, coordinator, journals and gateway on a simulated clock and network, with faults."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.errors import UsageError
from monitor.machines.fleet_coordinator import Coordinator
from monitor.machines.fleet_messages import Granted, Order, Renewal
from monitor.machines.fleet_state import StateFile, Wish
from monitor.testing.fleet_faults import kills, percentile, soak
from monitor.testing.simulated_fleet import COORDINATOR, GATEWAY, SimulatedFleet

FAULTS = 60 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 18
"""Of a soak; ``make nightly`` tries more."""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[SimulatedFleet]:
    with SimulatedFleet(tmp_path, cameras=12, nodes=5) as running:
        running.run_until(lambda: running.all_watched, 30.0)
        running.world.run(running.world.now + 15.0)
        running.run_until(lambda: running.at_rest, 60.0)
        yield running


def holder(fleet: SimulatedFleet, camera: str) -> str:
    assert fleet.coordinator is not None
    statuses = fleet.coordinator.status(fleet.world.now, fleet.world.unix).cameras
    return next(status.node for status in statuses if status.name == camera)


def coordinator_of(fleet: SimulatedFleet) -> Coordinator:
    assert fleet.coordinator is not None
    return fleet.coordinator


def blind_s(fleet: SimulatedFleet) -> float:
    return sum(watched.blind_s for watched in fleet.watched.values())


@pytest.mark.parametrize("seed", [1, 2])
def test_a_soak_of_random_faults_tells_each_alert_once_and_loses_none(tmp_path: Path, seed: int) -> None:
    with SimulatedFleet(tmp_path, cameras=20, nodes=8, seed=seed) as running:
        found = soak(running, FAULTS)
    assert found.told > 15 * FAULTS
    assert (found.twice, found.lost, found.unended, found.doubly_s) == (0, 0, 0, 0.0)
    assert percentile(found.plain_s, 0.5) <= 15.0
    assert found.counted <= found.watched + 0.005  # nothing is called watched that was not


def test_after_the_kill_of_a_node_its_cameras_are_watched_elsewhere_within_15_s(tmp_path: Path) -> None:
    with SimulatedFleet(tmp_path, cameras=20, nodes=6, seed=3) as running:
        found = kills(running, 6)
    assert max(found.kill_s) <= 15.0
    assert (found.twice, found.lost) == (0, 0)


def test_the_alerts_of_a_zombie_are_rejected_and_counted(fleet: SimulatedFleet) -> None:
    node = fleet.nodes[holder(fleet, "cam0")]
    fleet.quiet = True
    node.freeze()
    fleet.world.run(fleet.world.now + 30.0)
    assert holder(fleet, "cam0") != node.name
    assert fleet.desk is not None
    before = fleet.desk.counts["stale"]
    node.resume()  # something happens in each of its cameras before it looks at its clock
    fleet.world.run(fleet.world.now + 5.0)
    assert fleet.desk.counts["stale"] > before
    told = fleet.told()
    assert fleet.told_by_zombies
    assert not fleet.told_by_zombies & {message.event_id for message in told}


@pytest.mark.parametrize("away", ["coordinator", "gateway"])
def test_while_the_coordinator_or_the_gateway_is_away_all_cameras_stay_watched(
    fleet: SimulatedFleet, away: str
) -> None:
    before = blind_s(fleet)
    if away == "coordinator":
        fleet.kill_coordinator()
    else:
        fleet.kill_gateway()
    fleet.world.run(fleet.world.now + 120.0)
    fleet.start_coordinator() if away == "coordinator" else fleet.start_gateway()
    fleet.world.run(fleet.world.now + 60.0)
    assert blind_s(fleet) == before
    assert len(fleet.journalled - {message.event_id for message in fleet.told()}) <= 12  # those of the last moment


def test_a_node_that_reaches_neither_stops_capturing(fleet: SimulatedFleet) -> None:
    node = fleet.nodes[holder(fleet, "cam0")]
    fleet.kill_coordinator()  # so that nobody takes over
    fleet.world.cut(node.name, GATEWAY)
    fleet.world.cut(node.name, COORDINATOR)
    fleet.world.run(fleet.world.now + 10.5)
    assert node.keeper.cameras == {}
    assert node.keeper.expired > 0


def test_a_drained_node_gives_its_cameras_away_and_none_is_blind(fleet: SimulatedFleet) -> None:
    name, before = holder(fleet, "cam0"), blind_s(fleet)
    coordinator_of(fleet).drain(name, fleet.world.now)
    fleet.run_until(lambda: not fleet.nodes[name].keeper.cameras, 60.0)
    fleet.world.run(fleet.world.now + 5.0)
    assert fleet.all_watched
    assert blind_s(fleet) - before <= 0.5 * 12  # the alert may be nobody's for a message and its answer
    coordinator_of(fleet).undrain(name, fleet.world.now)
    assert coordinator_of(fleet).status(fleet.world.now, fleet.world.unix).problems == ()


def test_a_new_engine_takes_over_all_cameras_of_an_old_one(fleet: SimulatedFleet) -> None:
    old, new = "node0", "node1"
    wishes = {camera: Wish(source=f"rtsp://{camera}", pin=old) for camera in fleet.cameras[:6]}
    coordinator_of(fleet).set_cameras(wishes, fleet.world.now, fleet.world.unix)
    fleet.run_until(lambda: all(holder(fleet, camera) == old for camera in wishes), 120.0)
    unpinned = {camera: wish.but(pin=None) for camera, wish in wishes.items()}
    coordinator_of(fleet).set_cameras(unpinned, fleet.world.now, fleet.world.unix)
    coordinator_of(fleet).drain(old, fleet.world.now, heir=new)
    fleet.run_until(lambda: all(holder(fleet, camera) == new for camera in wishes), 60.0)


def test_nodes_get_what_people_have_chosen_with_their_orders_and_cameras_stay(fleet: SimulatedFleet) -> None:
    before = holder(fleet, "cam0")
    orders: dict[str, Order] = {}

    def chosen() -> bool:
        orders.update(fleet.nodes[before].keeper.orders)
        return orders["cam0"].choice == '{"armed": false}'

    assert not chosen()
    epoch = orders["cam0"].epoch
    coordinator_of(fleet).set_chosen({"cam0": '{"armed": false}', "gone": "{}"})
    fleet.run_until(chosen, 20.0)
    assert (holder(fleet, "cam0"), orders["cam0"].epoch) == (before, epoch)


def test_a_camera_moves_to_the_node_that_is_asked_for(fleet: SimulatedFleet) -> None:
    target = next(name for name in fleet.nodes if name != holder(fleet, "cam0"))
    coordinator_of(fleet).move("cam0", target, fleet.world.now)
    with pytest.raises(UsageError, match=f"cam0 moves to {target} already: wait"):
        coordinator_of(fleet).move("cam0", target, fleet.world.now)
    fleet.run_until(lambda: holder(fleet, "cam0") == target, 20.0)


def test_what_cannot_be_done_is_refused_in_one_sentence(fleet: SimulatedFleet) -> None:
    coordinator, now = coordinator_of(fleet), fleet.world.now
    away = next(name for name in fleet.nodes if name != holder(fleet, "cam0"))
    with pytest.raises(UsageError, match=r"the fleet has no camera 'door': .*lists them"):
        coordinator.move("door", "node0", now)
    with pytest.raises(UsageError, match=r"the fleet has no node 'moon': its nodes are node0, node1"):
        coordinator.move("cam0", "moon", now)
    with pytest.raises(UsageError, match=f"cam0 is on {holder(fleet, 'cam0')} already"):
        coordinator.move("cam0", holder(fleet, "cam0"), now)
    with pytest.raises(UsageError, match="node0 cannot take over from itself"):
        coordinator.drain("node0", now, heir="node0")
    coordinator.drain(away, now)
    with pytest.raises(UsageError, match=f"{away} takes no cameras now, because it is away or drained"):
        coordinator.move("cam0", away, now)


def test_a_camera_that_a_node_cannot_open_goes_to_another_one(fleet: SimulatedFleet) -> None:
    name = holder(fleet, "cam0")
    fleet.nodes[name].unreachable.add("cam0")
    fleet.run_until(lambda: holder(fleet, "cam0") != name, 60.0)


def test_without_its_disk_the_coordinator_moves_nothing_and_says_so(fleet: SimulatedFleet) -> None:
    name = holder(fleet, "cam0")
    fleet.store.failing = True
    fleet.nodes[name].kill()
    fleet.world.run(fleet.world.now + 30.0)
    assert holder(fleet, "cam0") == name
    (problem,) = coordinator_of(fleet).status(fleet.world.now, fleet.world.unix).problems
    assert "the state of the fleet cannot be stored" in problem
    with pytest.raises(OSError, match="Input/output"):
        coordinator_of(fleet).drain(name, fleet.world.now)
    fleet.bring_disk_back()
    fleet.run_until(lambda: fleet.all_watched, 15.0)


def test_a_camera_that_no_node_can_take_says_why(fleet: SimulatedFleet) -> None:
    wishes = {"cam0": Wish(source="rtsp://cam0"), "attic": Wish(source="rtsp://attic", needs={"site": "attic"})}
    coordinator_of(fleet).set_cameras(wishes, fleet.world.now, fleet.world.unix)
    fleet.world.run(fleet.world.now + 5.0)
    attic, cam0 = coordinator_of(fleet).status(fleet.world.now, fleet.world.unix).cameras
    assert "none has the label site=attic" in attic.why
    assert (attic.node, cam0.why) == ("", "")


def test_a_node_of_another_version_and_a_second_one_of_a_name_are_refused(fleet: SimulatedFleet) -> None:
    coordinator, world = coordinator_of(fleet), fleet.world

    def ask(boot: str, **changed: object) -> Granted:
        fields = {"node": "new", "boot": boot, "number": 1, "fresh": True}
        return coordinator.renew(Renewal.model_validate(fields | changed), world.now, world.unix)

    assert "install the same version of True Sight" in ask("a", protocol=9).error
    assert ask("a").error == ""
    assert ask("b").error == ""
    assert "two nodes are named new, and the newer one counts" in ask("a").error
    assert len(coordinator.status(world.now, world.unix).problems) == 1


def test_a_coordinator_that_was_started_again_gives_higher_epochs(tmp_path: Path) -> None:
    with StateFile(tmp_path / "fleet.json", "lab") as file:
        epochs = []
        for _ in range(3):
            coordinator = Coordinator(file, 0.0)
            coordinator.set_cameras({"gate": Wish(source="rtsp://gate")}, 0.0, 1e9)
            epochs.append(file.load().epoch)
    assert epochs == sorted(set(epochs))
