"""The images as an engine runs them: who they run as, what is in them, and what is not."""

import hashlib
import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

import pytest

pytestmark = [pytest.mark.docker, pytest.mark.timeout(2400)]

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGES = ("trainer", "airflow", "app", "collector")


def run(arguments: Sequence[str], **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=REPOSITORY, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload,no-any-return]


def in_container(image: str, *command: str, user: str | None = None) -> str:
    """What `command` printed in a fresh container of `image`, which had no network."""
    as_user = ["--user", user] if user else []
    start = ["docker", "run", "--rm", "--network", "none", "--entrypoint", command[0], *as_user]
    done = run([*start, f"carprice-{image}:latest", *command[1:]])
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def python_in(image: str, program: str, user: str | None = None) -> str:
    return in_container(image, "python", "-c", program, user=user)


@pytest.fixture(scope="session", autouse=True)
def images() -> None:
    """The images that run this product's Python, built from this tree."""
    if shutil.which("docker") is None or run(["docker", "version"]).returncode != 0:
        sentence = "No Docker engine answers: `make docker-engine` starts one."
        if os.environ.get("REQUIRE_DOCKER") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    built = run(["images/build", *IMAGES])
    assert built.returncode == 0, built.stderr[-3000:]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_runs_as_a_user_without_privileges(image: str) -> None:
    assert in_container(image, "sh", "-c", "id -u; id -g").split() == ["50000", "0"]


@pytest.mark.parametrize("user", ["50000:0", "1234:0", "1234:1234"])
def test_a_step_runs_under_whatever_user_owns_the_data(user: str) -> None:
    assert "usage" in in_container("trainer", "carprice", "--help", user=user).lower()
    program = "import getpass, os, tempfile as t; t.mkdtemp(dir=os.environ['HOME']); print(getpass.getuser())"
    assert python_in("trainer", program, user=user) == "carprice"


@pytest.mark.parametrize("image", ["trainer", "app"])
def test_data_in_the_home_of_root_can_be_used(image: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "landed.csv").write_text("a file")
    there = Path("~root").expanduser() / "clone/data"
    start = ["docker", "run", "--rm", "--network", "none", "--volume", f"{tmp_path}:{there}"]
    done = run([*start, "--entrypoint", "cat", f"carprice-{image}:latest", f"{there}/landed.csv"])
    assert done.stdout == "a file", done.stderr


def test_the_trainer_image_runs_carprice_by_itself() -> None:
    done = run(["docker", "run", "--rm", "--network", "none", "carprice-trainer:latest", "--help"])
    assert done.returncode == 0, done.stderr
    assert "check-data-quality" in done.stdout


def test_the_collector_image_runs_the_collector_which_asks_for_a_contact_first() -> None:
    start = ["docker", "run", "--rm", "--network", "none", "--read-only", "--env", "DATA_DIR=/tmp/data"]
    done = run([*start, "carprice-collector:latest", "collect-listings", "--source", "avito"])
    assert done.returncode == 2, done.stderr
    assert "CARPRICE_COLLECT_CONTACT must be set" in done.stderr


@pytest.mark.parametrize(
    ("image", "modules"),
    [
        ("trainer", ("mlflow", "sklearn", "pandas", "evidently", "carprice", "carprice_contract", "json")),
        ("airflow", ("airflow", "docker", "carprice_contract", "json")),
        ("app", ("streamlit", "mlflow", "sklearn", "carprice", "carprice_contract", "json")),
        ("collector", ("scrapy", "extruct", "carprice", "carprice_collector", "carprice_contract", "json")),
    ],
)
def test_bytecode_is_compiled_so_that_a_start_compiles_nothing(image: str, modules: tuple[str, ...]) -> None:
    program = (
        "import importlib.util as u, os;"
        f"print([m for m in {modules!r} if not os.path.exists(u.cache_from_source(u.find_spec(m).origin))])"
    )
    assert python_in(image, program) == "[]"


def test_pictures_are_drawn_without_searching_for_fonts() -> None:
    program = (
        "import os, matplotlib; kept = set(os.listdir(os.environ['MPLCONFIGDIR']))\n"
        "import matplotlib.font_manager\n"
        "print(matplotlib.get_cachedir(), any(n.startswith('fontlist') for n in kept),"
        " kept == set(os.listdir(os.environ['MPLCONFIGDIR'])))"
    )
    assert python_in("trainer", program, user="1234:1234") == "/opt/matplotlib True True"


@pytest.mark.parametrize(
    ("image", "absent"),
    [
        ("trainer", ("airflow", "streamlit", "pip", "uv")),
        ("airflow", ("sklearn", "mlflow", "evidently", "carprice", "pip", "uv")),
        ("app", ("evidently", "plotly", "airflow", "pip", "uv")),
        ("collector", ("pandas", "sklearn", "mlflow", "airflow", "pip", "uv")),
    ],
)
def test_an_image_holds_nothing_of_another_ones_work(image: str, absent: tuple[str, ...]) -> None:
    program = f"import importlib.util as u; print([m for m in {absent!r} if u.find_spec(m)])"
    assert python_in(image, program) == "[]"


@pytest.mark.parametrize(
    ("image", "package", "folder"),
    [
        ("trainer", "carprice", "trainer"),
        ("app", "carprice", "trainer"),
        ("trainer", "carprice_contract", "contract"),
        ("airflow", "carprice_contract", "contract"),
        ("app", "carprice_contract", "contract"),
        ("collector", "carprice", "trainer"),
        ("collector", "carprice_collector", "collector"),
    ],
)
def test_a_package_in_an_image_is_the_package_of_this_tree(image: str, package: str, folder: str) -> None:
    project = tomllib.loads((REPOSITORY / "images" / folder / "pyproject.toml").read_text())["project"]
    source = REPOSITORY / "images" / folder / "src" / package
    expected = {
        str(path.relative_to(source)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in source.rglob("*.py")
    }
    program = (
        f"import {package}, hashlib, importlib.metadata, json, pathlib\n"
        f"home = pathlib.Path({package}.__file__).parent\n"
        "digest = lambda file: hashlib.sha256(file.read_bytes()).hexdigest()\n"
        "files = {str(file.relative_to(home)): digest(file) for file in home.rglob('*.py')}\n"
        f"print(json.dumps([importlib.metadata.version({package!r}), files]))"
    )
    assert json.loads(python_in(image, program)) == [project["version"], expected]


def test_the_airflow_image_imports_every_dag() -> None:
    program = (
        "from airflow.dag_processing.dagbag import DagBag\n"
        "bag = DagBag('/opt/airflow/dags', bundle_name='dags-folder')\n"
        "print('RESULT', sorted(bag.dag_ids), bag.import_errors)"
    )
    dags = sorted(path.stem for path in (REPOSITORY / "airflow/dags").glob("*.py"))
    command = ['airflow db migrate >/dev/null 2>&1; python -c "$0"', program]
    printed = in_container("airflow", "sh", "-c", *command, user="1234:0")
    assert printed.splitlines()[-1] == f"RESULT {dags} {{}}"


@pytest.mark.parametrize("image", IMAGES)
def test_no_cache_and_no_build_tool_is_left_in_an_image(image: str) -> None:
    leftovers = "ls -d /opt/tools ~root/.cache /tmp/* /src /var/lib/apt/lists/*_Packages* 2>/dev/null; true"
    assert in_container(image, "sh", "-c", leftovers) == ""


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_does_not_tell_which_package_index_it_was_built_from(image: str) -> None:
    name = f"carprice-{image}:latest"
    history = run(["docker", "history", "--no-trunc", "--format", "{{.CreatedBy}}", name]).stdout
    configuration = run(["docker", "image", "inspect", "--format", "{{json .Config}}", name]).stdout
    assert history
    assert "INDEX_URL" not in history + configuration


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_trusts_the_extra_certificates_of_the_machine_that_built_it(image: str) -> None:
    bundle = in_container(image, "sh", "-c", 'cat "$SSL_CERT_FILE"')
    assert "BEGIN CERTIFICATE" in bundle
    extra = list((REPOSITORY / "images/certs").glob("*.crt"))
    assert [file.name for file in extra if file.read_text().strip() not in bundle] == []


def test_certificates_are_not_tracked() -> None:
    tracked = run(["git", "ls-files", "images/certs"])
    if tracked.returncode != 0:
        pytest.skip("This tree is not a git checkout.")
    assert tracked.stdout.split() in ([], ["images/certs/.gitkeep"])


def test_building_again_changes_nothing() -> None:
    def ids() -> str:
        names = [f"carprice-{image}:latest" for image in IMAGES]
        return run(["docker", "image", "inspect", "--format", "{{.Id}}", *names]).stdout

    before = ids()
    again = run(["images/build", *IMAGES])
    assert again.returncode == 0, again.stderr
    assert again.stderr.count("is up to date") == len(IMAGES), again.stderr
    assert ids() == before


def test_an_engine_that_answers_is_left_alone() -> None:
    done = run(["images/base/docker-engine"])
    assert done.returncode == 0
    assert "answers" in done.stderr
