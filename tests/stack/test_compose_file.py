"""What docker-compose.yml promises of every service, read from the file; no engine needed."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = REPOSITORY / "docker-compose.yml"

ESSENTIAL = {
    "postgres", "redis", "airflow-init", "api-server", "scheduler", "dag-processor", "triggerer", "worker",
    "mlflow", "docker-proxy", "api", "app", "reports",
}  # fmt: skip
METRICS = {"prometheus", "grafana"}
JOBS = {"airflow-init", "api-init", "mlflow-init"}
"""Services that do their work and end."""

SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|KEY|_CONN|_URL|BACKEND|CREDENTIAL", re.IGNORECASE)
HARMLESS_URLS = {
    "AIRFLOW__API__BASE_URL",
    "AIRFLOW__CORE__EXECUTION_API_SERVER_URL",
    "CARPRICE_APP_API_URL",
    "CARPRICE_REPORTS_URL",
    "PROMETHEUS_URL",
}


def described() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return found


SERVICES: dict[str, dict[str, Any]] = described()["services"]
each_service = pytest.mark.parametrize("service", SERVICES.values(), ids=SERVICES.keys())


def environment_of(service: dict[str, Any]) -> dict[str, str]:
    """All a service is told in the open, its env files included."""
    found = {}
    for name in service.get("env_file", []):
        for line in (REPOSITORY / name).read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                key, _, value = line.partition("=")
                found[key] = value
    return found | {key: str(value) for key, value in service.get("environment", {}).items()}


def volumes_of(service: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """Source, target and whether it is read-only, of each volume."""
    for volume in service.get("volumes", []):
        if isinstance(volume, dict):
            yield volume["source"], volume["target"], volume.get("read_only", False)
        else:
            # a ':' may also be in ${NAME:-default}
            source, target, *options = re.split(r":(?!-|\?)", volume)
            yield source, target, options == ["ro"]


def test_every_service_a_team_needs_is_there_and_metrics_are_a_profile() -> None:
    always = {name for name, service in SERVICES.items() if "profiles" not in service}

    assert always >= ESSENTIAL
    assert {n for n, service in SERVICES.items() if service.get("profiles") == ["metrics"]} == METRICS


@each_service
def test_a_container_is_not_root_and_can_change_nothing_but_its_volumes(service: dict[str, Any]) -> None:
    assert service["user"].startswith("${CARPRICE_UID")
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    for forbidden in ("privileged", "cap_add", "devices", "pid", "ipc", "network_mode", "userns_mode"):
        assert forbidden not in service


@each_service
def test_a_container_has_limits_and_its_log_an_end(service: dict[str, Any]) -> None:
    assert re.fullmatch(r"[0-9]+[mg]", service["mem_limit"])
    assert 0 < service["cpus"] <= 2
    assert service["pids_limit"] > 0
    assert set(service["logging"]["options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_says_whether_it_is_well_and_comes_back_when_it_dies(name: str) -> None:
    service = SERVICES[name]

    assert service["healthcheck"]["test"][0] == "CMD"
    assert service["restart"] == ("on-failure:3" if name in JOBS else "unless-stopped")


@each_service
def test_a_service_waits_for_those_it_needs_to_be_well(service: dict[str, Any]) -> None:
    for other, wait in service.get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in JOBS else "service_healthy"
        assert wait["condition"] == wanted, other


@each_service
def test_ports_are_published_on_loopback_unless_told_otherwise(service: dict[str, Any]) -> None:
    for port in service.get("ports", []):
        assert port.startswith("${CARPRICE_BIND:-127.0.0.1}:")


@each_service
def test_no_secret_is_in_the_environment_only_the_name_of_its_file(service: dict[str, Any]) -> None:
    for name, value in environment_of(service).items():
        if not SECRET_NAME.search(name) or name in HARMLESS_URLS:
            continue
        if name in ("CARPRICE_API_KEYS", "AIRFLOW__API__EXPOSE_CONFIG"):
            continue  # whether, not which
        assert re.fullmatch(r"(cat )?/run/secrets/[a-z_]+", value), name


@each_service
def test_a_service_is_given_every_secret_it_reads_and_no_other(service: dict[str, Any]) -> None:
    words = " ".join([*environment_of(service).values(), *map(str, service.get("entrypoint", []))])
    given = set(service.get("secrets", []))
    # Those that Airflow's settings name, but only the services with a queue open.
    queue = {"airflow_broker_url", "airflow_result_backend"}

    named = set(re.findall(r"/run/secrets/([a-z_]+)", words))
    assert named - given <= queue
    if service.get("env_file"):
        assert queue <= given or not (queue & given)


def test_make_env_makes_every_secret_that_is_mounted() -> None:
    made = (REPOSITORY / "stack/make_env.py").read_text()
    declared = described()["secrets"]

    for name, secret in declared.items():
        assert f'"{name}"' in made
        assert secret["file"].endswith(f"/{name}")
    assert {name for service in SERVICES.values() for name in service.get("secrets", [])} <= set(declared)


def test_only_the_filter_has_the_engines_socket_and_only_the_worker_can_reach_the_filter() -> None:
    with_socket = {
        name
        for name, service in SERVICES.items()
        if any(
            "docker.sock" in source or "docker.sock" in target for source, target, _ in volumes_of(service)
        )
    }
    near = {name for name, service in SERVICES.items() if "docker-api" in service["networks"]}

    assert with_socket == {"docker-proxy"}
    assert near == {"docker-proxy", "worker"}
    assert SERVICES["docker-proxy"]["networks"] == ["docker-api"]
    assert "ports" not in SERVICES["docker-proxy"]


def test_the_app_shares_no_network_with_a_database_the_broker_or_the_filter() -> None:
    for name in ("postgres", "redis", "docker-proxy", "worker", "mlflow"):
        assert not set(SERVICES["app"]["networks"]) & set(SERVICES[name]["networks"]), name
        assert not set(SERVICES["reports"]["networks"]) & set(SERVICES[name]["networks"]), name


def test_databases_broker_and_filter_have_no_way_out_and_no_published_port() -> None:
    networks = described()["networks"]

    for name in ("postgres", "redis", "docker-proxy"):
        assert "ports" not in SERVICES[name]
        assert all(networks[network].get("internal") for network in SERVICES[name]["networks"])


def test_steps_can_reach_mlflow_and_nothing_else_of_the_stack() -> None:
    assert [name for name, service in SERVICES.items() if "steps" in service["networks"]] == ["mlflow"]


def test_only_the_api_writes_to_the_data_root_and_only_to_its_own_folder() -> None:
    writable = {
        (name, target)
        for name, service in SERVICES.items()
        for source, target, read_only in volumes_of(service)
        if "CARPRICE_HOST_DATA_DIR" in source and not read_only
    }

    assert writable == {("api", "/data/serving")}


def test_every_file_of_the_repository_that_is_mounted_is_there_and_read_only() -> None:
    for service in SERVICES.values():
        for source, _, read_only in volumes_of(service):
            if source.startswith("./"):
                assert (REPOSITORY / source).exists()
                assert read_only


def test_worker_and_filter_are_told_the_same_about_a_step() -> None:
    worker, proxy = SERVICES["worker"]["environment"], SERVICES["docker-proxy"]["environment"]

    assert {
        name: value
        for name, value in proxy.items()
        if not name.startswith("CARPRICE_PROXY_") and worker.get(name) != value
    } == {}


def test_nothing_newer_than_compose_2_26_and_engine_20_10_is_asked_for() -> None:
    text = FILE.read_text()

    assert "start_interval" not in text  # engine 25
    assert not any("develop" in service or "post_start" in service for service in SERVICES.values())
