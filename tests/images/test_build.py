"""What `images/build` asks of the engine: an engine that only takes notes stands in for a real one."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = ["trainer", "airflow", "app", "mlflow", "docker-proxy", "collector", "postgres", "redis"]

# Knows the images that exist as files in $ENGINE/images, each holding its label of inputs.
ENGINE = r"""#!/usr/bin/env bash
printf '%s\n' "$*" >>"$ENGINE/asked"
last=${!#}
case $1 in
    version) [ ! -e "$ENGINE/away" ] ;;
    buildx) exit 1 ;;
    run) echo "deb file:/srv/debian trixie main" ;;
    pull) [ -e "$ENGINE/registry" ] && touch "$ENGINE/images/${last//\//_}" ;;
    image)
        [ -e "$ENGINE/images/$last" ] || exit 1
        case $* in
            *Labels*) cat "$ENGINE/images/$last" ;;
            *Size*) echo 1000000 ;;
            *) echo "id of $last" ;;
        esac ;;
    build)
        printenv PIP_INDEX_URL >"$ENGINE/index_url"
        while [ $# -gt 1 ]; do
            [ "$1" != --label ] || label=${2#*=}
            [ "$1" != --tag ] || tag=$2
            shift
        done
        echo "$label" >"$ENGINE/images/$tag" ;;
esac
"""


class Workshop:
    """A copy of what the images are built from, and an engine that takes notes."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.engine = folder / "engine"
        (self.engine / "images").mkdir(parents=True)
        binary = folder / "bin" / "docker"
        binary.parent.mkdir()
        binary.write_text(ENGINE)
        binary.chmod(0o755)
        skip = shutil.ignore_patterns("__pycache__", ".*_cache", "*.egg-info", "*.crt")
        for part in ("images", "airflow"):
            shutil.copytree(REPOSITORY / part, self.tree / part, ignore=skip)
        for name in (".dockerignore", "Makefile"):
            shutil.copy(REPOSITORY / name, self.tree)
        self.environment = {
            "PATH": f"{binary.parent}:{os.environ['PATH']}",
            "HOME": str(folder),
            "ENGINE": str(self.engine),
            "EXTRA_CA_CERTS": "",
        }

    def has(self, image: str) -> None:
        (self.engine / "images" / image).touch()

    def build(self, *names: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run("images/build", *names, **environment)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.engine / "asked").unlink(missing_ok=True)
        return subprocess.run(
            command,
            cwd=self.tree,
            env=self.environment | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def asked(self, command: str) -> list[str]:
        lines = (self.engine / "asked").read_text().splitlines()
        return [line for line in lines if line.split()[0] == command]

    def built(self) -> list[str]:
        return [line.split("--tag carprice-")[1].split(":")[0] for line in self.asked("build")]


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    made = Workshop(tmp_path)
    made.has("carprice-python:3.13")
    return made


def test_every_image_is_built_once_and_then_left_alone(workshop: Workshop) -> None:
    assert workshop.build().returncode == 0
    assert workshop.built() == IMAGES
    again = workshop.build()
    assert again.returncode == 0
    assert workshop.built() == []
    assert again.stderr.count("up to date") == len(IMAGES)


def test_the_inputs_can_be_told_without_building(workshop: Workshop) -> None:
    told = workshop.build("redis", SHOW_INPUTS="1")
    assert workshop.built() == []
    workshop.build("redis")
    label = (workshop.engine / "images/carprice-redis:latest").read_text()
    assert told.stdout.split() == ["redis", label.strip()]


def test_only_the_images_named_are_built(workshop: Workshop) -> None:
    workshop.build("airflow")
    assert workshop.built() == ["airflow"]


@pytest.mark.parametrize(
    ("changed", "rebuilt"),
    [
        (
            "images/contract/src/carprice_contract/steps.py",
            ["trainer", "airflow", "app", "docker-proxy", "collector"],
        ),
        ("images/trainer/src/carprice/__init__.py", ["trainer", "app", "collector"]),
        ("images/trainer/requirements.txt", ["trainer"]),
        ("airflow/dags/ingest_listings.py", ["airflow"]),
        ("airflow/Dockerfile", ["airflow"]),
        ("images/app/requirements.txt", ["app"]),
        ("images/docker-proxy/requirements.txt", ["docker-proxy"]),
        ("images/collector/requirements.txt", ["collector"]),
        (
            "images/base/build-requirements.txt",
            ["trainer", "airflow", "app", "mlflow", "docker-proxy", "collector"],
        ),
        ("images/certs/ours.crt", IMAGES),
        ("images/trainer/src/carprice/__pycache__/x.pyc", []),
        ("images/trainer/src/carprice/.mypy_cache/x.json", []),
        ("README.md", []),
    ],
)
def test_a_change_rebuilds_the_images_it_goes_into(
    workshop: Workshop, changed: str, rebuilt: list[str]
) -> None:
    workshop.build()
    file = workshop.tree / changed
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a") as end:
        end.write("# changed\n")
    workshop.build()
    assert workshop.built() == rebuilt


def test_a_registry_is_asked_when_no_base_is_here(workshop: Workshop) -> None:
    (workshop.engine / "images/carprice-python:3.13").unlink()
    (workshop.engine / "registry").touch()
    assert workshop.build("trainer").returncode == 0
    assert workshop.asked("pull") == ["pull -q python:3.13-slim"]
    assert "PYTHON_IMAGE=python:3.13-slim" in workshop.asked("build")[0]


def test_offline_asks_no_registry(workshop: Workshop) -> None:
    (workshop.engine / "registry").touch()
    assert workshop.build("trainer", OFFLINE="1").returncode == 0
    assert workshop.asked("pull") == []
    refused = workshop.build("trainer", OFFLINE="1", PYTHON_IMAGE="somewhere/python:3.13")
    assert refused.returncode == 1
    assert "OFFLINE=1 forbids" in refused.stderr
    assert workshop.asked("pull") == []


def test_images_made_offline_on_a_base_of_our_own_are_up_to_date_for_those_who_build_online(
    workshop: Workshop,
) -> None:
    (workshop.engine / "images/carprice-python:3.13").unlink()
    (workshop.engine / "registry").touch()
    # Debian's packages take minutes; what counts here is who asks for the base.
    (workshop.tree / "images/base/make-base-image").write_text('#!/bin/sh\n: >"$ENGINE/images/$BASE_IMAGE"\n')

    offline = workshop.run("make", "images", "OFFLINE=1")
    assert offline.returncode == 0, offline.stderr
    assert workshop.asked("pull") == []
    assert workshop.built() == IMAGES
    assert all("PYTHON_IMAGE=carprice-python:3.13" in line for line in workshop.asked("build"))

    online = workshop.build()
    assert online.returncode == 0, online.stderr
    assert workshop.asked("pull") == workshop.built() == []


def test_ci_makes_the_images_offline_before_it_tests(tmp_path: Path) -> None:
    # No root, so that no package is installed; make takes notes.
    for name, script in (("id", "echo 1000"), ("make", 'echo "$*" >>"$ASKED"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "ASKED": str(tmp_path / "asked")}

    subprocess.run([REPOSITORY / ".ci/run"], env=environment, check=True)

    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["docker-engine", "compose-plugin", "images OFFLINE=1", "test"]


def test_a_package_index_reaches_the_build_but_not_its_command_line(workshop: Workshop) -> None:
    workshop.build("trainer", PIP_INDEX_URL="https://user:secret@index.example/simple")
    assert (workshop.engine / "index_url").read_text().strip() == "https://user:secret@index.example/simple"
    assert "secret" not in workshop.asked("build")[0]


def test_a_package_index_on_this_machines_disk_is_not_passed_on(workshop: Workshop) -> None:
    workshop.build("trainer", PIP_INDEX_URL="file:///srv/index")
    assert (workshop.engine / "index_url").read_text().strip() == ""


def test_extra_certificates_are_taken_from_the_folder_named(workshop: Workshop, tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    (folder / "proxy.crt").write_text("a certificate\n")
    workshop.build("trainer", EXTRA_CA_CERTS=str(folder))
    assert (workshop.tree / "images/certs/proxy.crt").read_text() == "a certificate\n"


def test_a_name_that_is_no_image_is_refused(workshop: Workshop) -> None:
    refused = workshop.build("trainers")
    assert refused.returncode == 1
    assert "There is no image 'trainers': name some of trainer airflow app mlflow" in refused.stderr


@pytest.mark.parametrize("script", ["images/build", "images/base/make-base-image"])
def test_without_an_engine_the_way_to_one_is_named(workshop: Workshop, script: str) -> None:
    (workshop.engine / "away").touch()
    refused = subprocess.run(
        [workshop.tree / script], env=workshop.environment, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1
    assert "make docker-engine" in refused.stderr


def test_a_remote_engine_that_is_away_is_not_replaced_by_a_local_one(workshop: Workshop) -> None:
    (workshop.engine / "away").touch()
    refused = subprocess.run(
        [workshop.tree / "images/base/docker-engine"],
        env=workshop.environment | {"DOCKER_HOST": "tcp://engine.example:2375"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert "unset DOCKER_HOST" in refused.stderr


def test_no_image_file_names_a_package_index_or_mirror() -> None:
    scripts = ["images/build", *map(str, (REPOSITORY / "images/base").iterdir())]
    scripts += ["airflow/Dockerfile", *map(str, REPOSITORY.glob("images/*/Dockerfile"))]
    assert [name for name in scripts if "://" in (REPOSITORY / name).read_text().replace("unix://", "")] == []
