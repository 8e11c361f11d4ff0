from monitor.machines.fleet_messages import Granted, Order, Watching
from monitor.machines.leases import LEASE_S
from monitor.machines.node_keeper import NodeKeeper


class Engine:
    def __init__(self) -> None:
        self.did: list[tuple[str, str]] = []
        self.state: Watching = "watching"

    def open(self, camera: str, order: Order) -> None:
        self.did.append(("open", f"{camera} {order.source}"))

    def choose(self, camera: str, order: Order) -> None:
        self.did.append(("choose", f"{camera} {order.choice}"))

    def tell(self, camera: str, epoch: int) -> None:
        self.did.append(("tell", f"{camera} {epoch}"))

    def let_go(self, camera: str) -> None:
        self.did.append(("let go", camera))

    def state_of(self, camera: str) -> Watching:  # noqa: ARG002 - all are alike
        return self.state


def order(epoch: int, role: str = "active", source: str = "rtsp://gate") -> Order:
    return Order(epoch=epoch, role="active" if role == "active" else "standby", source=source, fps=10.0)


def keeper_with(engine: Engine, role: str = "active") -> NodeKeeper:
    keeper = NodeKeeper("south", "boot", engine, capacity_fps=100.0)
    asked = keeper.renewal(0.0)
    assert asked.fresh
    keeper.granted(Granted(number=asked.number, orders={"gate": order(5, role)}, at=(1, 1)), 0.0)
    return keeper


def renew(keeper: NodeKeeper, now: float, *refused: str) -> None:
    keeper.granted(Granted(number=keeper.renewal(now).number, refused=refused), now)


def test_nothing_is_told_before_a_voter_has_agreed() -> None:
    keeper = keeper_with(Engine())
    assert keeper.lease_of("gate", 0.5) is None
    assert keeper.due(0.0)
    renew(keeper, 1.0)
    assert keeper.lease_of("gate", 1.5) == (5, 0.5)


def test_a_standby_opens_the_camera_and_tells_nothing_until_it_is_active() -> None:
    engine = Engine()
    keeper = keeper_with(engine, "standby")
    renew(keeper, 1.0)
    assert keeper.lease_of("gate", 1.5) is None
    keeper.granted(Granted(number=0, orders={"gate": order(5)}, at=(1, 2)), 2.0)
    assert keeper.lease_of("gate", 2.0) == (5, 1.0)
    assert engine.did == [("open", "gate rtsp://gate"), ("tell", "gate 5")]


def test_what_is_chosen_reaches_the_engine_once() -> None:
    engine = Engine()
    keeper = keeper_with(engine, "standby")
    for version, role, choice in ((2, "standby", "{}"), (3, "active", "{}"), (4, "active", '{"armed": false}')):
        changed = order(5, role).model_copy(update={"choice": choice})
        keeper.granted(Granted(number=0, orders={"gate": changed}, at=(1, version)), 2.0)
    assert engine.did == [
        ("open", "gate rtsp://gate"),
        ("choose", "gate {}"),
        ("tell", "gate 5"),
        ("choose", 'gate {"armed": false}'),
    ]


def test_a_lease_counts_from_the_request_and_a_node_that_cannot_renew_stops_capturing() -> None:
    engine = Engine()
    keeper = keeper_with(engine)
    asked = keeper.renewal(1.0)
    keeper.granted(Granted(number=asked.number), 4.0)
    keeper.tick(1.0 + LEASE_S)
    assert keeper.cameras == {"gate": 5}
    keeper.tick(1.1 + LEASE_S)
    assert keeper.cameras == {}
    assert engine.did[-1] == ("let go", "gate")
    assert keeper.expired == 1
    told = keeper.renewal(2.0 + LEASE_S).released["gate"]
    assert (told.epoch, round(told.ended_s, 3)) == (5, 1.0)


def test_one_voter_is_enough() -> None:
    keeper = keeper_with(Engine())
    for now in range(1, 40, 2):
        renew(keeper, now)
        keeper.tick(now)
    assert keeper.cameras == {"gate": 5}


def test_a_refused_camera_is_let_go_at_once() -> None:
    engine = Engine()
    keeper = keeper_with(engine)
    renew(keeper, 1.0, "gate")
    assert engine.did[-1] == ("let go", "gate")
    assert keeper.lease_of("gate", 1.0) is None


def test_a_camera_that_was_let_go_is_not_opened_again_with_the_same_epoch() -> None:
    engine = Engine()
    keeper = keeper_with(engine)
    renew(keeper, 1.0, "gate")
    keeper.granted(Granted(number=0, orders={"gate": order(5)}, at=(1, 2)), 2.0)
    assert keeper.cameras == {}
    keeper.granted(Granted(number=0, orders={"gate": order(6)}, at=(1, 3)), 3.0)
    assert keeper.cameras == {"gate": 6}
    asked = keeper.renewal(3.0)
    assert asked.released["gate"].epoch == 5
    keeper.granted(Granted(number=asked.number), 3.0)  # from the gateway
    assert keeper.renewal(3.0).released.keys() == {"gate"}
    keeper.granted(Granted(number=asked.number, at=(1, 3)), 3.0)  # from the coordinator
    assert keeper.renewal(3.0).released == {}


def test_orders_that_are_older_do_not_count() -> None:
    keeper = keeper_with(Engine())
    keeper.granted(Granted(number=0, orders={}, at=(0, 9)), 1.0)
    assert keeper.cameras == {"gate": 5}
    keeper.granted(Granted(number=0, orders={}, at=(2, 1)), 1.0)
    assert keeper.cameras == {}


def test_another_source_is_opened_anew() -> None:
    engine = Engine()
    keeper = keeper_with(engine)
    keeper.granted(Granted(number=0, orders={"gate": order(6, source="rtsp://other")}, at=(1, 2)), 1.0)
    assert engine.did[-3:] == [("let go", "gate"), ("open", "gate rtsp://other"), ("tell", "gate 6")]
    assert keeper.cameras == {"gate": 6}


def test_a_late_reply_to_an_old_request_renews_only_from_that_request() -> None:
    keeper = keeper_with(Engine())
    old = keeper.renewal(1.0)
    renew(keeper, 5.0)
    keeper.granted(Granted(number=old.number), 6.0)
    assert keeper.lease_of("gate", 6.0) == (5, 1.0)


def test_the_end_lets_all_go() -> None:
    engine = Engine()
    keeper = keeper_with(engine)
    keeper.close(1.0)
    assert engine.did[-1] == ("let go", "gate")
    assert keeper.renewal(1.0).cameras == {}
