"""The whole stack on a real engine: it starts, takes a file into production, shows a price in a browser, and
leaves nothing behind."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pandas as pd
import pytest
import requests
from compromised_worker import ROWS, attacks_on, containers_made, make_step, send_attacks
from conftest import require
from demo.chromium import chromium
from running_doctor import doctor
from team_stack import LOGAN, REPOSITORY, Mailbox, TeamStack, docker, wait_for

from carprice.listings import sample

pytestmark = [pytest.mark.docker, pytest.mark.e2e, pytest.mark.timeout(3600)]

JOBS = {"airflow-init", "api-init", "mlflow-init"}

# Prints those of its arguments (host:port) that accept a connection.
REACH = """
import concurrent.futures, socket, sys
def accepts(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), 3).close()
    except OSError:
        return False
    return True
addresses = sys.argv[1:]
with concurrent.futures.ThreadPoolExecutor(len(addresses)) as at_once:
    print(*(address for address, yes in zip(addresses, at_once.map(accepts, addresses)) if yes), sep="\\n")
"""


@contextmanager
def listening_everywhere() -> Iterator[tuple[int, str]]:
    """A port that this machine listens on at all its addresses, and its address in its own network."""
    with socket.create_server(("", 0), backlog=64) as server, socket.socket(type=socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        yield server.getsockname()[1], probe.getsockname()[0]


def as_a_step(stack: TeamStack) -> list[str]:
    """The start of a `docker` command that runs Python in a container like that of a step.

    Its image, user, network and name servers are those of a container that docker-proxy had made.
    """
    step = make_step(stack)
    try:
        (shown,) = json.loads(docker("inspect", step))
    finally:
        docker("rm", "--force", "--volumes", step)
    config, host = shown["Config"], shown["HostConfig"]
    servers = [word for server in host["Dns"] for word in ("--dns", server)]
    assert servers, "a step has name servers of its own"
    locked = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    return ["run", "--rm", "--network", host["NetworkMode"], *servers, *locked, "--user", config["User"],
            "--entrypoint", "python3", config["Image"]]  # fmt: skip


def reached_from(stack: TeamStack, service: str, addresses: list[str]) -> list[str]:
    """Those of `addresses` (host:port) that accept a connection from inside a service's container."""
    done = stack.run_in(service, "python3", "-c", REACH, *addresses)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def addresses_of(stack: TeamStack, service: str, port: int) -> list[str]:
    """A service's name and each of its IP addresses that this machine has a route to, with `port`.

    Without a route, the address would be looked for outside this machine, where another host may answer.
    Networks without one are left to `share_no_network`.
    """
    networks = stack.containers()[service]["NetworkSettings"]["Networks"]
    shown = json.loads(docker("network", "inspect", *networks))
    routed = [
        networks[network["Name"]]["IPAddress"]
        for network in shown
        if network["Options"].get("com.docker.network.bridge.inhibit_ipv4") != "true"
    ]
    return [f"{service}:{port}", *(f"{address}:{port}" for address in routed)]


def share_no_network(stack: TeamStack, service: str, *others: str) -> bool:
    """Whether a service is in no network that one of `others` is in."""
    containers = stack.containers()
    networks = {name: each["NetworkSettings"]["Networks"].keys() for name, each in containers.items()}
    return not any(networks[service] & networks[other] for other in others)


def wrong_with(stack: TeamStack) -> list[str]:
    """The faults without those of images, which another test covers."""
    return [line for line in doctor(stack.folder)[1] if not line.startswith("images")]


def test_every_service_is_healthy_and_every_job_has_ended_well(stack: TeamStack) -> None:
    states = {name: container["State"] for name, container in stack.containers().items()}

    assert {name for name, state in states.items() if state["Status"] == "exited"} == JOBS
    assert all(states[name]["ExitCode"] == 0 for name in JOBS)
    running = states.keys() - JOBS
    assert {name: states[name]["Health"]["Status"] for name in running} == dict.fromkeys(running, "healthy")


def test_all_of_it_takes_less_than_six_gib_of_memory(stack: TeamStack) -> None:
    containers = stack.compose("ps", "--quiet").split()
    mib = stack.memory()
    for name, memory in sorted(mib.items(), key=lambda each: -each[1]):
        print(f"{name:<20} {memory:>6.0f} MiB")  # noqa: T201
    print(f"{'all of it':<20} {sum(mib.values()):>6.0f} MiB")  # noqa: T201
    assert len(mib) == len(containers)
    assert 0 < sum(mib.values()) < 6 * 1024


def test_one_of_two_containers_of_a_service_that_is_down_is_found(stack: TeamStack) -> None:
    scale = ("up", "--detach", "--wait", "--no-recreate", "--scale")
    stack.compose(*scale, "docker-proxy=2", "docker-proxy")
    first, _ = stack.compose("ps", "--all", "--quiet", "docker-proxy").split()
    docker("kill", first)
    found = wrong_with(stack)
    stack.compose(*scale, "docker-proxy=1", "docker-proxy")

    (line,) = found
    assert "docker-proxy" in line
    assert "is exited with status 137" in line


def test_a_service_that_is_down_is_found_and_a_stack_that_is_well_is_said_to_be(stack: TeamStack) -> None:
    well = wrong_with(stack)
    stack.compose("kill", "reports")
    killed = wrong_with(stack)
    stack.compose("up", "--detach", "--wait", "reports")

    assert well == []
    (line,) = killed
    assert "reports is exited with status 137" in line
    assert "docker compose up" in line
    assert wrong_with(stack) == []


def test_a_file_put_into_data_raw_on_the_host_becomes_the_production_model(
    stack: TeamStack, in_production: str
) -> None:
    assert in_production == "1"
    priced = stack.ask_price("POST", "/v1/predict", json=LOGAN).json()
    assert 10_000 < priced["price_mad"] < 1_000_000
    assert priced["model"]["version"] == stack.production_version()


@pytest.mark.browser
def test_the_apps_page_shows_the_price_of_that_model(stack: TeamStack, in_production: str) -> None:
    program = chromium()
    require("BROWSER", program is not None, "Chromium is not installed (Debian's `chromium`).")
    from playwright.sync_api import Page, expect, sync_playwright

    def choose(page: Page, label: str | re.Pattern[str], text: str) -> None:
        box = page.get_by_role("combobox", name=label)
        expect(box).to_be_enabled()
        box.click()
        box.fill(text)
        page.get_by_role("option", name=re.compile(f"^{text}")).first.click()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--headless", "--no-proxy-server"]
        )
        page = browser.new_page(locale="fr-FR")
        page.set_default_timeout(120_000)
        expect.set_options(timeout=120_000)
        # Chromium gives up what it is loading when the containers of steps come and go.
        page.route("**/static/**", lambda route: route.fulfill(response=route.fetch(max_retries=5)))
        page.goto(stack.url("PRICE_APP"))
        choose(page, "Marque", "Dacia")
        choose(page, re.compile("^Modèle"), "Logan")
        for label, number in ((re.compile("^Année-modèle"), "2015"), (re.compile("^Kilométrage"), "120000")):
            field = page.get_by_role("spinbutton", name=label)
            field.fill(number)
            field.press("Tab")
        expect(page.get_by_text(re.compile(r"Kilométrage \(km\) · 120.000"))).to_be_visible()
        page.get_by_role("button", name="Estimer le prix").click()
        shown = page.get_by_test_id("price").inner_text()
        browser.close()

    newest = stack.ask_price("GET", "/v1/predictions?page_size=1").json()["predictions"][0]
    # The page rounds to what the range can carry.
    near = pytest.approx(newest["price_mad"], abs=(newest["high_mad"] - newest["low_mad"]) / 20)
    assert int(re.sub(r"\D", "", shown.split("MAD")[0])) == near
    assert newest["version"] == stack.production_version()


def test_the_app_reaches_the_api_and_neither_a_database_nor_the_docker_proxy(stack: TeamStack) -> None:
    forbidden = [
        *addresses_of(stack, "postgres", 5432),
        *addresses_of(stack, "redis", 6379),
        *addresses_of(stack, "docker-proxy", 2375),
        *addresses_of(stack, "mlflow", 5000),
        *addresses_of(stack, "api-server", 8080),
    ]

    for service in ("app", "reports", "evidently"):
        assert share_no_network(stack, service, "postgres", "redis", "docker-proxy", "mlflow", "api-server")
    assert reached_from(stack, "app", ["api:8000", *forbidden]) == ["api:8000"]
    assert reached_from(stack, "reports", ["api:8000", *forbidden]) == []
    assert reached_from(stack, "evidently", ["api:8000", *forbidden]) == []
    # The addresses are right: the worker, which shares their networks, reaches them.
    assert {"postgres:5432", "redis:6379", "docker-proxy:2375"} <= set(
        reached_from(stack, "worker", ["postgres:5432", "redis:6379", "docker-proxy:2375"])
    )


def test_a_step_reaches_mlflow_and_no_other_service(stack: TeamStack) -> None:
    image = stack.containers()["api"]["Config"]["Image"]
    forbidden = [
        *addresses_of(stack, "postgres", 5432),
        *addresses_of(stack, "redis", 6379),
        *addresses_of(stack, "docker-proxy", 2375),
        *addresses_of(stack, "api-server", 8080),
        *addresses_of(stack, "api", 8000),
    ]

    as_a_step = ("run", "--rm", "--network", f"{stack.name}-steps", "--entrypoint", "python3", image)
    reached = docker(*as_a_step, "-c", REACH, "mlflow:5000", *forbidden)

    assert reached.split() == ["mlflow:5000"]


def test_a_step_reaches_the_host_of_its_webhook_on_that_port_and_nothing_else_outside(
    stack: TeamStack, mailbox: Mailbox
) -> None:
    host, address = f"{stack.name}-mailbox", mailbox.address()
    networks = (f"{stack.name}-steps", f"{stack.name}_outside")
    gateways = docker(
        "network", "inspect", *networks, "--format", "{{(index .IPAM.Config 0).Gateway}}"
    ).split()
    with listening_everywhere() as (port, own_address):
        machine = [f"{each}:{port}" for each in (*gateways, own_address)]
        outside = [f"{host}:8081", f"{address}:8080", "1.1.1.1:53", "example.org:443", *machine]

        reached = docker(*as_a_step(stack), "-c", REACH, f"{host}:8080", "mlflow:5000", *outside).split()

        assert reached == [f"{host}:8080", "mlflow:5000"]
        # The addresses are right: services with a way out reach them.
        assert set(machine[1:]) == set(reached_from(stack, "app", machine[1:]))
        assert reached_from(stack, "egress", [f"{address}:8080"]) == [f"{address}:8080"]


def test_a_step_knows_the_names_on_its_network_alone(stack: TeamStack, mailbox: Mailbox) -> None:
    names = [f"{stack.name}-mailbox", "mlflow"]
    others = ["example.org", f"carried-out.{names[0]}", "egress", "postgres", "host.docker.internal"]
    look_up = """
import concurrent.futures, socket, sys
def known(name):
    try:
        return bool(socket.getaddrinfo(name, 1))
    except OSError:
        return False
names = sys.argv[1:]
with concurrent.futures.ThreadPoolExecutor(len(names)) as at_once:
    print(*(name for name, yes in zip(names, at_once.map(known, names)) if yes))
"""

    assert docker(*as_a_step(stack), "-c", look_up, *names, *others).split() == names


def test_neither_airflow_s_workers_nor_mlflow_nor_what_has_the_name_of_a_host_has_a_way_out(
    stack: TeamStack, mailbox: Mailbox
) -> None:
    with listening_everywhere() as (port, own_address):
        outside = [f"{mailbox.address()}:8080", "1.1.1.1:53", f"{own_address}:{port}"]

        assert reached_from(stack, "mlflow", ["postgres:5432", *outside]) == ["postgres:5432"]
        assert reached_from(stack, "egress-1", ["mlflow:5000", *outside]) == ["mlflow:5000"]
        for service in ("worker", "dag-processor", "scheduler", "triggerer"):
            assert reached_from(stack, service, ["api-server:8080", *outside]) == ["api-server:8080"]


@pytest.mark.parametrize("row", ROWS)
def test_a_worker_that_was_taken_over_gets_nothing_from_the_filter_but_steps(
    stack: TeamStack, row: str
) -> None:
    attacks = attacks_on(stack)[row]

    answers = send_attacks(stack, attacks)

    assert answers.keys() == attacks.keys()
    refused = {400, 403, 408, 413, 417, 431, 503}
    assert {attack: status for attack, status in answers.items() if status not in refused} == {}
    assert containers_made(stack) == []


def test_the_api_reaches_postgresql_and_mlflow_and_nothing_of_airflow(stack: TeamStack) -> None:
    reached = ["postgres:5432", "mlflow:5000"]
    airflow = [*addresses_of(stack, "api-server", 8080), *addresses_of(stack, "worker", 8793)]
    forbidden = [*addresses_of(stack, "redis", 6379), *addresses_of(stack, "docker-proxy", 2375)]

    assert share_no_network(stack, "api", "api-server", "worker", "redis", "docker-proxy")
    assert reached_from(stack, "api", [*reached, *airflow, *forbidden]) == reached


def test_the_api_reaches_postgresql_but_not_airflows_database(stack: TeamStack) -> None:
    login = """
import sys, psycopg
password = open("/run/secrets/predictions_database_url").read().split(":")[2].split("@")[0]
for name in sys.argv[1:]:
    try:
        psycopg.connect(host="postgres", dbname=name, user="predictions", password=password).close()
        print(name)
    except psycopg.OperationalError:
        pass
"""
    done = stack.run_in("api", "python3", "-c", login, "airflow", "mlflow", "postgres", "predictions")

    assert done.stdout.split() == ["predictions"], done.stderr


def test_airflow_mlflow_and_the_reports_ask_for_a_login(stack: TeamStack, in_production: str) -> None:
    password = stack.secret("admin_password")
    pages = [
        stack.url("AIRFLOW") + "/api/v2/dags",
        stack.url("MLFLOW") + "/api/2.0/mlflow/experiments/search?max_results=1",
        stack.url("REPORTS") + "/",
        stack.url("PRICE_API") + "/v1/model",
    ]
    with requests.Session() as session:
        session.trust_env = False
        without = [session.get(page, timeout=30).status_code for page in pages]
        wrong = [session.get(page, auth=("admin", "wrong"), timeout=30).status_code for page in pages]
        token = session.post(
            stack.url("AIRFLOW") + "/auth/token", json={"username": "admin", "password": password}, timeout=30
        ).json()["access_token"]
        dags = session.get(pages[0], headers={"Authorization": f"Bearer {token}"}, timeout=30)
        logins = [("admin", password), ("reviewer", stack.secret("reports_password"))]
        let_in = [
            session.get(page, auth=login, timeout=30).status_code
            for page, login in zip(pages[1:3], logins, strict=True)
        ]

    assert without == [401] * 4
    assert wrong == [401] * 4
    assert dags.json()["total_entries"] > 0
    assert let_in == [200, 200]


def test_the_apis_login_reads_mlflow_and_changes_nothing_there(stack: TeamStack, in_production: str) -> None:
    registered = stack.url("MLFLOW") + "/api/2.0/mlflow/registered-models/"
    model = {"name": "CarPricePredictor"}
    with requests.Session() as session:
        session.trust_env = False
        session.auth = ("serving", stack.secret("mlflow_serving_password"))
        read = session.get(registered + "get", params=model, timeout=30)
        moved = session.post(
            registered + "alias", json=model | {"alias": "production", "version": "1"}, timeout=30
        )
        removed = session.delete(registered + "delete", json=model, timeout=30)

    assert read.json()["registered_model"]["name"] == model["name"]
    assert (moved.status_code, removed.status_code) == (403, 403)


def test_evidently_shows_a_file_that_landed_once_there_was_a_model_in_production(
    stack: TeamStack, in_production: str
) -> None:
    def runs() -> list[str]:
        (project,) = requests.get(stack.url("EVIDENTLY") + "/api/projects", timeout=30).json()
        address = f"{stack.url('EVIDENTLY')}/api/projects/{project['id']}/snapshots"
        return list(requests.get(address, timeout=30).json())

    stack.land(sample.to_csv(sample.generate(120, seed=4)).encode(), "second.csv")

    assert wait_for(runs, "the landed file to be in Evidently's workspace", 1200)
    unfinished = "SELECT run_id FROM dag_run WHERE state IN ('queued', 'running')"
    wait_for(lambda: not stack.sql("airflow", unfinished), "the runs of that file to end")


def test_what_was_asked_is_in_the_data_root_once_the_api_ended(stack: TeamStack, in_production: str) -> None:
    asked_at = pd.Timestamp.now("UTC")
    assert stack.ask_price("POST", "/v1/predict", json=LOGAN).status_code == 200

    stack.compose("restart", "api")

    newest = pd.read_parquet(max((stack.data / "asked").iterdir()))
    assert newest["at"].max() >= asked_at
    assert set(newest["make"]) == {LOGAN["make"]}
    wait_for(stack.production_version, "the API to be back")


def test_a_failed_run_without_a_report_is_told_from_inside_the_dag_processor(
    stack: TeamStack, mailbox: Mailbox
) -> None:
    call = """
from types import SimpleNamespace
from include.conventions import alert_about_a_run_without_report as tell
tell({"dag": SimpleNamespace(dag_id="train_car_price"), "run_id": "run-of-the-test", "reason": "timed_out"})
"""
    told = stack.run_in("dag-processor", "python3", "-c", call)

    assert told.returncode == 0, told.stderr
    messages = [text for text in mailbox.messages() if "run-of-the-test" in text]
    assert len(messages) == 1, told.stdout + told.stderr
    assert "train_car_price" in messages[0]


def test_a_test_alert_is_sent_by_hand_as_the_docs_say(stack: TeamStack, mailbox: Mailbox) -> None:
    (command,) = re.findall(
        "docker compose (run .* alert --test)", (REPOSITORY / "docs/stack.md").read_text()
    )
    before = mailbox.messages()

    said = stack.compose(*command.split())

    assert json.loads(said[said.index("{\n") :])["lines"]
    # A run of a test before this one may send its own meanwhile.
    (_,) = [text for text in mailbox.messages()[len(before) :] if "alert --test" in text]


def test_docker_inspect_shows_no_secret_of_any_service(stack: TeamStack) -> None:
    shown = docker("inspect", *stack.compose("ps", "--all", "--quiet").split())
    secrets = [path for path in stack.secrets.iterdir() if path.name != ".gitignore"]

    assert len(secrets) > 10
    assert [path.name for path in secrets if (text := path.read_text().strip()) and text in shown] == []


def test_docker_inspect_shows_no_secret_of_a_step(stack: TeamStack) -> None:
    secrets = [path for path in stack.secrets.iterdir() if path.name != ".gitignore"]
    seen: list[str] = []

    def checked() -> bool:
        seen.extend(docker("inspect", step, check=False) for step in stack.steps())
        return "check_data_quality" in "".join(seen)

    stack.land(b"no column of ours\n1\n", "refused.csv")
    wait_for(checked, "the step that refuses the file", every=0.2)

    shown = "".join(seen)
    assert "MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/mlflow_password" in shown
    assert [path.name for path in secrets if (text := path.read_text().strip()) and text in shown] == []


def test_no_process_of_a_container_is_root_or_can_write_to_its_image(stack: TeamStack) -> None:
    for service, container in stack.containers().items():
        if service in JOBS:
            continue
        look = "id -u; touch /usr/x /etc/x /opt/x 2>&1; grep Cap /proc/1/status"
        uid, *rest = stack.run_in(service, "sh", "-c", look).stdout.splitlines()
        assert int(uid) > 0, service
        assert sum("Read-only file system" in line for line in rest) == 3, (service, rest)
        effective = [line.split()[1] for line in rest if line.startswith(("CapEff", "CapPrm", "CapBnd"))]
        assert {int(mask, 16) for mask in effective} == {0}, service
        assert container["HostConfig"]["Memory"] > 0


def test_every_volume_has_a_name_so_that_none_is_left_behind(stack: TeamStack) -> None:
    for service, container in stack.containers().items():
        volumes = [mount["Name"] for mount in container["Mounts"] if mount["Type"] == "volume"]
        assert all(name.startswith(f"{stack.name}_") for name in volumes), (service, volumes)


def test_down_leaves_no_container_network_or_volume_but_named_data_even_while_a_step_runs(
    stack: TeamStack, in_production: str, mailbox: Mailbox
) -> None:
    mailbox.remove()  # it is the tests' own, and would keep the network of the steps in use
    version = stack.production_version()
    kept = sorted(f"{stack.name}_{name}" for name in ("postgres", "redis", "mlflow", "airflow-logs"))
    step = ("--label", f"carprice.proxy={stack.name}", "--network", f"{stack.name}-steps", "--volume", "/x")
    docker("run", "--detach", *step, stack.containers()["api"]["Config"]["Image"], "sleep", "600")

    stack.make("stack-down")

    assert stack.left_over() == {"containers": [], "networks": [], "volumes": kept}

    stack.compose("up", "--detach", "--wait", "postgres", "redis", "mlflow", "api")
    assert wait_for(stack.production_version, "the kept model to be served again") == version

    stack.compose("down", "--volumes", "--timeout", "20")
    assert stack.left_over() == {"containers": [], "networks": [], "volumes": []}
