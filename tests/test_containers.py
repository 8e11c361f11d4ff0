"""The image and the compose files: they copy what exists, agree with each other, the flags and the documents."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml

import run_monitor
from tests.helpers.dockerfile import Stage, stages_of
from tests.places import ROOT
from tests.test_deploy import UNIT
from tests.test_docs import flags

DEPLOY = ROOT / "deploy"
PORT = 9108
PAGE = (ROOT / "docs/containers.md").read_text()


@pytest.fixture(scope="module")
def stages() -> list[Stage]:
    return stages_of(DEPLOY / "Dockerfile")


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    return found


def test_what_the_image_copies_exists_and_is_not_ignored(stages: list[Stage]) -> None:
    allowed = {line[1:] for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] == "!"}
    copied = [
        name
        for stage in stages
        for step in stage.steps
        if step.word == "COPY" and "from" not in step.flags
        for name in step.arguments.split()[:-1]
    ]
    assert {name.partition("/")[0] for name in copied} == allowed
    assert all((ROOT / name).exists() for name in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["setuptools"]["packages"]["find"]["include"]
    assert all(any(fnmatch(name, pattern) for name in copied) for pattern in packages)


def test_the_image_runs_a_command_with_flags_that_exist_as_a_user_without_rights(stages: list[Stage]) -> None:
    last = stages[-1]
    assert last.last("ENTRYPOINT").listed() == ["true-sight"]
    words = last.last("CMD").listed()
    assert {word for word in words if word.startswith("--")} <= flags(run_monitor.app)
    state = last.last("VOLUME").value
    assert words[words.index("--state") + 1] == state == last.last("WORKDIR").value
    assert last.environment()["XDG_STATE_HOME"] == str(Path(state).parent)
    user, _, group = last.last("USER").value.partition(":")
    assert int(user) > 0
    assert int(group) > 0
    for stated in ("--state", "--headless", "--config"):
        assert stated in UNIT.read_text()


def test_the_port_is_the_same_everywhere(stages: list[Stage], services: dict[str, Any]) -> None:
    last = stages[-1]
    assert last.last("EXPOSE").value == str(PORT)
    assert last.last("CMD").listed()[-1].endswith(f":{PORT}")
    assert f"127.0.0.1:{PORT}/livez" in last.last("HEALTHCHECK").value
    assert services["monitor"]["ports"] == [f"127.0.0.1:{PORT}:{PORT}"]
    scraped = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text())
    assert scraped["scrape_configs"][0]["static_configs"] == [{"targets": [f"monitor:{PORT}"]}]
    for service in services.values():
        for port in service["ports"]:
            assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port), port
            assert port.rpartition(":")[0] in PAGE


def test_no_service_may_do_more_than_it_needs(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_files_that_the_services_mount_exist(services: dict[str, Any]) -> None:
    volumes = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["volumes"]
    for service in services.values():
        for mount in service["volumes"]:
            if isinstance(mount, str):
                source = mount.partition(":")[0]
                assert (DEPLOY / source).is_file() if source.startswith(".") else source in volumes, mount
    own = next(mount for mount in services["monitor"]["volumes"] if isinstance(mount, dict))
    assert own["target"] in (DEPLOY / "Dockerfile").read_text()
    assert own["bind"] == {"create_host_path": False}  # otherwise a missing file becomes a folder of root's


def test_the_page_names_the_profiles_and_services_that_exist(services: dict[str, Any]) -> None:
    profiles = {profile for service in services.values() for profile in service.get("profiles", ())}
    assert set(re.findall(r"--profile (\w+)", PAGE)) == profiles
    assert set(re.findall(r"^host = \"(\w+)\"", PAGE, re.MULTILINE)) <= set(services)
    added = yaml.safe_load((DEPLOY / "compose.cuda.yaml").read_text())["services"]
    assert set(added) <= set(services)
    assert set(added["monitor"]["build"]["args"]) == {"TORCH"}


def test_prometheus_accepts_its_settings(tmp_path: Path) -> None:
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("needs promtool")
    shutil.copy(DEPLOY / "prometheus/prometheus.yml", tmp_path)
    shutil.copy(DEPLOY / "prometheus-rules.yml", tmp_path)
    checked = subprocess.run([program, "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_grafana_finds_the_dashboard_and_its_data_source(services: dict[str, Any]) -> None:
    folder = yaml.safe_load((DEPLOY / "grafana/dashboards.yaml").read_text())["providers"][0]["options"]["path"]
    mounts = [mount.split(":") for mount in services["grafana"]["volumes"]]
    assert [source for source, target, *_ in mounts if target.startswith(f"{folder}/")] == ["./grafana-dashboard.json"]
    source = yaml.safe_load((DEPLOY / "grafana/datasources.yaml").read_text())["datasources"][0]
    assert source["url"] == "http://prometheus:9090"
    variables = json.loads((DEPLOY / "grafana-dashboard.json").read_text())["templating"]["list"]
    assert source["type"] in [variable["query"] for variable in variables]


def test_an_instruction_that_the_check_of_the_image_would_not_follow_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "Dockerfile"
    path.write_text("FROM debian\nADD http://example.com/x /x\n")
    with pytest.raises(ValueError, match="ADD is an instruction"):
        stages_of(path)
