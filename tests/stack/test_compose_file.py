"""What docker-compose.yml guarantees for each service, read from the file without an engine."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import require

REPOSITORY = Path(__file__).resolve().parents[2]
FILE = REPOSITORY / "docker-compose.yml"

ESSENTIAL = {
    "postgres", "redis", "airflow-init", "api-server", "scheduler", "dag-processor", "triggerer", "worker",
    "mlflow", "mlflow-port", "docker-proxy", "api", "app", "reports", "evidently",
}  # fmt: skip
METRICS = {"prometheus", "statsd-exporter", "grafana"}
JOBS = {"airflow-init", "api-init", "mlflow-init"}
"""Services that end when their work is done."""

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
    """The environment of a service, with its env files."""
    found = {}
    for name in service.get("env_file", []):
        for line in (REPOSITORY / name).read_text().splitlines():
            if line.strip() and not line.startswith("#"):
                key, _, value = line.partition("=")
                found[key] = value
    return found | {key: str(value) for key, value in service.get("environment", {}).items()}


def volumes_of(service: dict[str, Any]) -> Iterator[tuple[str, str, bool]]:
    """The source, the target and whether it is read-only, for each volume."""
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


def test_prices_come_before_all_else_where_processors_are_short() -> None:
    usual = 1024
    assert SERVICES["api"]["cpu_shares"] > 4 * usual
    assert not [name for name in SERVICES if name != "api" and "cpu_shares" in SERVICES[name]]


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


def test_ports_are_published_on_loopback_unless_told_otherwise() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", []):
            # Evidently has no login, so no setting can publish it beyond loopback.
            address = "127.0.0.1:" if name == "evidently" else "${CARPRICE_BIND:-127.0.0.1}:"
            assert port.startswith(address), name


@each_service
def test_no_secret_is_in_the_environment_only_the_name_of_its_file(service: dict[str, Any]) -> None:
    for name, value in environment_of(service).items():
        if not SECRET_NAME.search(name) or name in HARMLESS_URLS:
            continue
        if name in ("CARPRICE_API_KEYS", "AIRFLOW__API__EXPOSE_CONFIG", "CARPRICE_PROXY_STEP_SECRETS_DIR"):
            continue  # these hold no secret: a switch or a folder
        assert re.fullmatch(r"(cat )?/run/secrets/[a-z_]+", value), name


@each_service
def test_a_service_is_given_every_secret_it_reads_and_no_other(service: dict[str, Any]) -> None:
    words = " ".join([*environment_of(service).values(), *map(str, service.get("entrypoint", []))])
    given = set(service.get("secrets", []))
    # Airflow's env file names these for all services; only the services with a queue read them.
    queue = {"airflow_broker_url", "airflow_result_backend"}

    named = set(re.findall(r"/run/secrets/([a-z_]+)", words))
    # The services that start steps name the secrets' files inside the step, and hold none of them.
    steps = {"mlflow_password", "smtp_url", "webhook_url", "alert_urls"}
    if "docker-api" in service["networks"]:
        assert not steps & given
        named -= steps
    assert named - given <= queue | {"airflow_jwt_secret"}
    if service.get("env_file"):
        assert "airflow_jwt_secret" in given or queue <= given
        assert queue <= given or not (queue & given)


def test_make_env_makes_every_secret_that_is_mounted(tmp_path: Path) -> None:
    command = [sys.executable, REPOSITORY / "stack/make_env.py", "--folder", tmp_path]
    subprocess.run(command, env={"PATH": os.environ["PATH"]}, check=True)
    declared = described()["secrets"]

    for name, secret in declared.items():
        assert secret["file"].endswith(f"/{name}")
        assert (tmp_path / ".secrets" / name).is_file()
    assert {name for service in SERVICES.values() for name in service.get("secrets", [])} <= set(declared)


def test_only_the_filter_has_the_engines_socket_and_only_those_who_run_dags_can_reach_the_filter() -> None:
    with_socket = {
        name
        for name, service in SERVICES.items()
        if any(
            "docker.sock" in source or "docker.sock" in target for source, target, _ in volumes_of(service)
        )
    }
    near = {name for name, service in SERVICES.items() if "docker-api" in service["networks"]}

    assert with_socket == {"docker-proxy"}
    assert near == {"docker-proxy", "worker", "dag-processor"}
    assert SERVICES["docker-proxy"]["networks"] == ["docker-api"]
    assert "ports" not in SERVICES["docker-proxy"]


def test_what_people_open_shares_no_network_with_a_database_the_broker_or_the_filter() -> None:
    for opened in ("app", "reports", "evidently"):
        for name in ("postgres", "redis", "docker-proxy", "worker", "mlflow"):
            assert not set(SERVICES[opened]["networks"]) & set(SERVICES[name]["networks"]), (opened, name)


def test_the_api_shares_no_network_with_airflow() -> None:
    for name, service in SERVICES.items():
        if service.get("env_file"):
            assert not set(SERVICES["api"]["networks"]) & set(service["networks"]), name


def test_no_service_that_runs_the_code_of_a_dag_has_a_way_out() -> None:
    leads_out = {name for name, network in described()["networks"].items() if not network.get("internal")}
    for name in ("worker", "dag-processor", "scheduler", "triggerer"):
        assert not leads_out & set(SERVICES[name]["networks"]), name
    assert {name for name, each in SERVICES.items() if "airflow-port" in each["networks"]} == {"api-server"}


def test_the_dag_processor_has_all_that_the_worker_has_a_step_made_with() -> None:
    worker, processor = SERVICES["worker"], SERVICES["dag-processor"]

    assert processor["environment"] == worker["environment"]
    assert set(volumes_of(processor)) == set(volumes_of(worker))
    queue = {"airflow_broker_url", "airflow_result_backend"}
    assert set(worker["secrets"]) - set(processor["secrets"]) == queue
    assert "docker-proxy" in processor["depends_on"]


def test_steps_alone_log_in_to_mlflow_as_an_administrator() -> None:
    logins = {
        name: (service["environment"]["MLFLOW_TRACKING_USERNAME"], password)
        for name, service in SERVICES.items()
        for word in service.get("entrypoint", [])
        if (password := word.partition("MLFLOW_TRACKING_PASSWORD=/run/secrets/")[2])
    }
    told = {name for name, service in SERVICES.items() if "mlflow_password" in service.get("secrets", [])}

    assert logins == {"api": ("serving", "mlflow_serving_password")}
    assert told == {"mlflow", "mlflow-init"}
    for name in ("worker", "dag-processor"):
        assert SERVICES[name]["environment"]["MLFLOW_TRACKING_USERNAME"] == "pipeline"


def test_the_filter_mounts_the_steps_secrets_from_where_the_services_have_theirs() -> None:
    folder = "${CARPRICE_SECRETS_DIR}"
    declared = described()["secrets"]

    assert SERVICES["docker-proxy"]["environment"]["CARPRICE_PROXY_STEP_SECRETS_DIR"] == folder
    for name in ("mlflow_password", "smtp_url", "webhook_url", "alert_urls"):
        assert declared[name]["file"] == f"{folder}/{name}"


def test_the_administrators_password_is_told_only_to_those_who_make_that_user() -> None:
    told = {name for name, service in SERVICES.items() if "admin_password" in service.get("secrets", [])}

    assert told == {"airflow-init", "mlflow-init"}


def test_the_worker_can_sign_no_token_of_airflows() -> None:
    assert "airflow_jwt_secret" not in SERVICES["worker"]["secrets"]


def test_databases_broker_and_filter_have_no_way_out_and_no_published_port() -> None:
    networks = described()["networks"]

    for name in ("postgres", "redis", "docker-proxy"):
        assert "ports" not in SERVICES[name]
        assert all(networks[network].get("internal") for network in SERVICES[name]["networks"])


def test_neither_steps_nor_mlflow_which_they_can_have_call_an_address_have_a_way_out() -> None:
    networks = described()["networks"]

    assert "steps" in SERVICES["mlflow"]["networks"]
    assert all(networks[network].get("internal") for network in SERVICES["mlflow"]["networks"])
    # On a bridge, the engine's host would have an address of this network.
    assert networks["steps"]["driver_opts"] == {"com.docker.network.bridge.inhibit_ipv4": "true"}


def test_steps_can_reach_mlflow_and_nothing_else_of_the_stack() -> None:
    assert [name for name, service in SERVICES.items() if "steps" in service["networks"]] == ["mlflow"]


def test_only_two_services_write_to_the_data_root_and_only_to_folders_of_their_own() -> None:
    writable = {
        (name, target)
        for name, service in SERVICES.items()
        for source, target, read_only in volumes_of(service)
        if "CARPRICE_HOST_DATA_DIR" in source and not read_only
    }

    assert writable == {
        ("api", "/data/serving"),
        ("api", "/data/asked"),
        ("api", "/data/watches"),
        ("evidently", "/data/monitoring"),
    }


def test_the_api_has_time_to_write_what_it_was_asked_before_it_is_killed() -> None:
    assert SERVICES["api"]["stop_grace_period"] == "30s"


def test_prometheus_takes_the_stacks_configuration_and_keeps_what_it_scraped(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    require("PROMTOOL", promtool is not None, "There is no promtool; Debian's package prometheus has it.")
    mounted = {target: source for source, target, _ in volumes_of(SERVICES["prometheus"])}
    for target, source in mounted.items():
        if source.startswith("./"):
            shutil.copy(REPOSITORY / source, tmp_path / Path(target).name)

    checked = subprocess.run(
        [str(promtool), "check", "config", tmp_path / "prometheus.yml"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert mounted["/prometheus"] in described()["volumes"]
    assert "--storage.tsdb.path=/prometheus" in SERVICES["prometheus"]["command"]


def test_airflows_metrics_go_to_an_exporter_that_prometheus_scrapes_once_they_are_switched_on() -> None:
    exporter, host = SERVICES["statsd-exporter"], "statsd-exporter"
    scraped = yaml.safe_load((REPOSITORY / "stack/metrics/prometheus.yml").read_text())["scrape_configs"]

    for name in ("scheduler", "triggerer", "dag-processor", "worker", "api-server"):
        told = SERVICES[name]["environment"]
        assert told["AIRFLOW__METRICS__STATSD_ON"] == "${CARPRICE_AIRFLOW_METRICS:-False}"
        assert told["AIRFLOW__METRICS__STATSD_HOST"] == host
        assert set(exporter["networks"]) & set(SERVICES[name]["networks"])
    assert "--statsd.listen-udp=:8125" in exporter["command"]  # Airflow's own default
    assert set(exporter["networks"]) & set(SERVICES["prometheus"]["networks"])
    assert [f"{host}:9102"] in [each["static_configs"][0]["targets"] for each in scraped]


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
