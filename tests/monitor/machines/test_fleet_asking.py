from __future__ import annotations

from pathlib import Path

import pytest

from monitor.errors import RefusedError, UsageError
from monitor.machines.coordinator_server import CoordinatorServer
from monitor.machines.fleet_asking import AwayError, FleetAsker
from tests.helpers.publishing import ANY
from tests.monitor.machines.test_fleet_network import pumped
from tests.monitor.machines.test_gateway_server import TOKEN

GATEWAY = "ipc://@true-sight-no-gateway"


def test_a_coordinator_that_is_away_is_said() -> None:
    with FleetAsker("ipc://@true-sight-no-coordinator", TOKEN, 0.2) as asker, pytest.raises(AwayError, match="nobody"):
        asker.status()


def test_a_coordinator_answers_who_has_the_token_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    with pumped(CoordinatorServer("lab", tmp_path, ANY, GATEWAY, TOKEN)) as server:
        endpoint = server.socket.endpoint
        with FleetAsker(endpoint, TOKEN) as asker:
            status = asker.status()
            assert (status.fleet, status.gateway, status.cameras) == ("lab", False, ())
            with pytest.raises(UsageError, match="no camera 'door'"):
                asker.move("door", "north")
            with pytest.raises(UsageError, match="no node 'north'"):
                asker.drain("north")
            with pytest.raises(UsageError, match="no node of this name"):
                asker.undrain("a b")
            assert asker.status() == status
        with FleetAsker(endpoint, TOKEN + "x") as asker, pytest.raises(RefusedError, match="refuses this token"):
            asker.status()
