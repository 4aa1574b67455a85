"""Backup, wipe and restore on the session's stack, and what is refused before anything changes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from team_stack import LOGAN, TeamStack, docker, wait_for

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "stack"))

from backup import FERNET_KEY, SETTINGS, fingerprint_of, pack, sha256_of, unfinished_folder
from compose import Stack, StackProblem
from restore import NEEDED, bytes_in, check_backup, check_room, differing_settings, unpack, volume_bytes

from carprice_contract import formats


def on_a_stack(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that needs a running stack."""
    for mark in (pytest.mark.soak, pytest.mark.docker, pytest.mark.e2e, pytest.mark.timeout(1800)):
        test = mark(test)
    return test


def run(script: str, folder: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a script of `stack/` on the stack of `folder`."""
    files = [REPOSITORY / "docker-compose.yml", *folder.glob("under-test.json")]
    return subprocess.run(
        [sys.executable, REPOSITORY / "stack" / script, "--folder", folder, *arguments],
        env=os.environ | {"COMPOSE_FILE": ":".join(map(str, files))},
        capture_output=True,
        text=True,
        check=False,
    )


def make_env(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "COMPOSE_PROJECT_NAME": f"carprice-empty-{os.getpid()}"}
    command = [sys.executable, REPOSITORY / "stack/make_env.py", "--folder", folder]
    subprocess.run(command, env=environment, check=True)
    return folder


def contents(root: Path) -> dict[str, str]:
    """The SHA-256 of each file below `root`."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): sha256_of(path) for path in files}


def kept(data: Path) -> dict[str, str]:
    """The same of a data root, without the files that the API writes every few minutes."""
    return {name: sha256 for name, sha256 in contents(data).items() if not name.startswith("asked/")}


@contextlib.contextmanager
def as_anybody() -> Iterator[None]:
    """Run as a user without root's rights, which no mode of a folder limits."""
    if os.getuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


# --- packing and refusals, without an engine


@pytest.fixture
def made_backup(tmp_path: Path) -> Path:
    """A backup with a valid manifest and placeholders for the databases."""
    folder, key = tmp_path / "made", tmp_path / "key"
    folder.mkdir()
    key.write_text("another key")
    for name in NEEDED:
        (folder / name).write_text(name)
    files = {name: {"sha256": sha256_of(folder / name), "bytes": len(name)} for name in NEEDED}
    manifest = {"format": formats.BACKUP, "made": "", "data_url": "", "database_bytes": 0, "files": files}
    manifest[FERNET_KEY] = fingerprint_of(key)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_what_was_packed_is_unpacked_with_its_bytes_modes_and_times(tmp_path: Path) -> None:
    root, into = tmp_path / "root", tmp_path / "into"
    (root / "raw/empty").mkdir(parents=True)
    (root / "raw").chmod(0o2775)
    (root / "raw/Citroën é.csv").write_bytes(b"a\0b" * 5000)
    os.utime(root / "raw/Citroën é.csv", (1_600_000_000, 1_600_000_000))
    (root / "raw/link").symlink_to("/etc/passwd")
    into.mkdir()

    pack(root, tmp_path / "data.tar")
    unpack(tmp_path / "data.tar", into, os.getuid())

    assert contents(into) == {"raw/Citroën é.csv": hashlib.sha256(b"a\0b" * 5000).hexdigest()}
    assert (into / "raw/empty").is_dir()
    assert (into / "raw").stat().st_mode & 0o7777 == 0o2775
    assert (into / "raw/Citroën é.csv").stat().st_mtime == 1_600_000_000


@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_folder_that_cannot_be_looked_into_is_refused_and_never_left_out(mode: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        root = Path(place, "root")
        (root / "raw/closed").mkdir(parents=True)
        (root / "raw/closed/listings.csv").write_text("not to be lost")
        Path(place).chmod(0o777)
        (root / "raw/closed").chmod(mode)

        with as_anybody(), pytest.raises(StackProblem, match=r"closed.* must be readable, found it is not"):
            pack(root, Path(place, "data.tar"))

        (root / "raw/closed").chmod(0o700)


@pytest.mark.parametrize(("name", "kind"), [("../out", tarfile.REGTYPE), ("link", tarfile.SYMTYPE)])
def test_a_tar_file_that_leads_elsewhere_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    with tarfile.open(tmp_path / "data.tar", "w") as tar:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = kind, "/etc"
        tar.addfile(member, io.BytesIO())
    (tmp_path / "root").mkdir()

    with pytest.raises(StackProblem, match="found '"):
        unpack(tmp_path / "data.tar", tmp_path / "root", os.getuid())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", NEEDED)
def test_a_backup_with_a_changed_or_missing_file_is_refused(made_backup: Path, name: str) -> None:
    check_backup(made_backup)

    (made_backup / name).write_text(name.upper())
    with pytest.raises(StackProblem, match=f"{name} must have the SHA-256"):
        check_backup(made_backup)

    (made_backup / name).unlink()
    with pytest.raises(StackProblem, match=f"{name} must have the SHA-256"):
        check_backup(made_backup)


def test_a_folder_that_is_no_backup_is_refused_and_nothing_is_touched(tmp_path: Path) -> None:
    folder = make_env(tmp_path / "stack")
    before = contents(folder)

    refused = run("restore.py", folder, tmp_path)

    assert refused.returncode == 1
    assert "name a folder that 'make backup' completed" in refused.stderr
    assert refused.stderr.endswith("restore: nothing was touched.\n")
    assert contents(folder) == before


def test_a_backup_of_another_format_is_refused_with_the_commit_that_can_restore_it(made_backup: Path) -> None:
    path = made_backup / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99, "commit": "1a2b3c"}))

    with pytest.raises(StackProblem, match=r"restore it with the version that made it \(commit 1a2b3c\)"):
        check_backup(made_backup)


def test_the_settings_that_differ_are_told_but_those_of_the_machine() -> None:
    theirs = {
        "CARPRICE_UID": "1000",
        "CARPRICE_APPROVAL": "on",
        "CARPRICE_STEP_CPUS": "2",
        "COMPOSE_FILE": "a:b",
    }
    ours = {"CARPRICE_HOST_DATA_DIR": "/here", "CARPRICE_AIRFLOW_PORT": "1", "CARPRICE_STEP_CPUS": "2"}
    ours |= {"CARPRICE_AIRFLOW_METRICS": "True"}

    found = differing_settings(theirs, ours)

    assert found == ["no CARPRICE_AIRFLOW_METRICS", "CARPRICE_APPROVAL=on", "COMPOSE_FILE=a:b"]


def test_room_is_counted_once_for_each_disk(tmp_path: Path) -> None:
    two_thirds = shutil.disk_usage(tmp_path).free // 3 * 2 - (2 << 30)
    check_room([(tmp_path, two_thirds)])

    with pytest.raises(StackProblem, match=f"the disk of {tmp_path} and {tmp_path} must have"):
        check_room([(tmp_path, two_thirds), (tmp_path, two_thirds)])


@pytest.mark.parametrize(("size", "found"), [("0B", 0), ("1.5kB", 1500), ("63.1MB", 63_100_000), ("N/A", 0)])
def test_the_size_of_a_volume_is_read_as_the_engine_writes_it(size: str, found: int) -> None:
    assert bytes_in(size) == found


@pytest.mark.docker
def test_databases_that_find_no_room_on_the_engines_disk_are_refused(
    new_stack: object, tmp_path: Path, made_backup: Path
) -> None:
    folder = make_env(tmp_path / "stack")
    key = {FERNET_KEY: fingerprint_of(folder / ".secrets" / FERNET_KEY)}
    path = made_backup / "manifest.json"
    manifest = json.loads(path.read_text()) | key
    path.write_text(json.dumps(manifest | {"database_bytes": 1 << 60}))

    refused = run("restore.py", folder, made_backup)

    assert refused.returncode == 1
    assert docker("info", "--format", "{{.DockerRootDir}}").strip() in refused.stderr
    assert "MiB of room" in refused.stderr
    assert refused.stderr.endswith("restore: nothing was touched.\n")


def test_another_airflow_key_is_refused_with_what_to_do(tmp_path: Path, made_backup: Path) -> None:
    refused = run("restore.py", make_env(tmp_path / "stack"), made_backup)

    assert refused.returncode == 1
    assert "airflow_fernet_key must be the key this backup's Airflow was encrypted with" in refused.stderr
    assert "SECRETS=1" in refused.stderr


def test_secrets_that_are_not_in_the_backup_cannot_be_taken_from_it(
    tmp_path: Path, made_backup: Path
) -> None:
    refused = run("restore.py", make_env(tmp_path / "stack"), made_backup, "--secrets")

    assert refused.returncode == 1
    assert "found one without secrets" in refused.stderr


def test_without_make_env_there_is_nothing_to_back_up(tmp_path: Path) -> None:
    refused = run("backup.py", tmp_path)

    assert refused.returncode == 1
    assert "run 'make env' first" in refused.stderr


@pytest.mark.docker
def test_a_stack_that_is_stopped_is_not_backed_up(new_stack: object, tmp_path: Path) -> None:
    folder = make_env(tmp_path / "stack")

    refused = run("backup.py", folder)

    assert refused.returncode == 1
    assert "PostgreSQL must run to be backed up, found it stopped" in refused.stderr
    assert not (folder / "backups").exists()


def test_a_backup_that_fails_or_was_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / ".unfinished").mkdir()
    (tmp_path / ".unfinished/airflow.dump").write_text("of one that was killed")

    def fail() -> None:
        with unfinished_folder(tmp_path) as folder:
            assert list(folder.iterdir()) == []
            (folder / "manifest.json").write_text("{}")
            raise StackProblem("the database went away")

    with pytest.raises(StackProblem, match="went away"):
        fail()
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


# --- on a real stack

AN_OBJECT_STORE = {"services": {"worker": {"environment": {"DATA_DIR": "s3://prices/data"}}}}

# Takes MLflow's database back to the schema before the last migration.
EARLIER = """
from alembic import command
from alembic.script import ScriptDirectory
from mlflow.store.db import utils
url = open("/run/secrets/mlflow_database_url").read()
config = utils._get_alembic_config(url)
with utils.create_sqlalchemy_engine_with_retry(url).begin() as connection:
    config.attributes["connection"] = connection
    command.downgrade(config, "-1")
"""


@dataclass(frozen=True)
class Restored:
    """A backup, and the state of the stack before it, after a refused restore, and after a restore."""

    backup: Path
    secrets: dict[str, str]
    refused: subprocess.CompletedProcess[str]
    before: dict[str, Any]
    untouched: dict[str, Any]
    after: dict[str, Any]


def a_step_of(stack: str) -> tuple[str, str]:
    """Start a container that looks like a step of `stack`; return its id and that of its scratch volume."""
    image = os.environ.get("CARPRICE_REDIS_IMAGE") or "carprice-redis:latest"
    ours = ("--label", f"carprice.proxy={stack}", "--volume", "/tmp", "--entrypoint", "sleep")  # noqa: S108
    step = docker("run", "--detach", "--network", "none", *ours, image, "600").strip()
    return step, docker("inspect", "--format", "{{(index .Mounts 0).Name}}", step).strip()


def price(stack: TeamStack) -> dict[str, Any]:
    """Ask for the price of one listing, and return it once it is in the history."""
    priced = stack.ask_price("POST", "/v1/predict", json=LOGAN).json()
    asked = f"/v1/predictions/{priced['prediction_id']}"
    wait_for(lambda: stack.ask_price("GET", asked).status_code == 200, "the price to be in the history", 60)
    return {key: priced[key] for key in ("price_mad", "low_mad", "high_mad", "model")}


def remembered(stack: TeamStack) -> dict[str, Any]:
    """The state that a restore must bring back."""
    tags = "SELECT key, value FROM registered_model_tags"
    aliases = "SELECT alias, version::text FROM registered_model_aliases"
    return {
        "version": stack.production_version(),
        "predictions": stack.ask_price("GET", "/v1/predictions?page_size=100").json()["predictions"],
        "production": sorted(stack.sql("mlflow", f"{tags} UNION {aliases}")),
        "experiments": sorted(stack.sql("mlflow", "SELECT run_uuid, status, artifact_uri FROM runs")),
        "runs": sorted(stack.sql("airflow", "SELECT dag_id, run_id, state, end_date FROM dag_run")),
        "tasks": sorted(stack.sql("airflow", "SELECT id, state, end_date FROM task_instance")),
    }


@pytest.fixture(scope="module")
def restored(stack: TeamStack, in_production: str, tmp_path_factory: pytest.TempPathFactory) -> Restored:
    """Back up, wipe and restore, with new secrets (not Airflow's key) and an older schema of MLflow."""
    unfinished = "SELECT run_id FROM dag_run WHERE state IN ('queued', 'running')"
    wait_for(lambda: not stack.sql("airflow", unfinished), "the runs to end")
    with (stack.folder / ".env").open("a") as settings:
        settings.write("CARPRICE_STEP_MEMORY=2g\n")
    priced = price(stack)
    files = kept(stack.data) | {"params.yaml": sha256_of(stack.folder / "params.yaml")}
    before = remembered(stack) | {"price": priced, "files": files}
    secrets = {path.name: path.read_text() for path in stack.secrets.iterdir() if path.name != ".gitignore"}

    made = run("backup.py", stack.folder, "--to", tmp_path_factory.mktemp("backups"), "--secrets")
    assert made.returncode == 0, made.stderr
    backup = Path(made.stdout.strip())
    refused = run("restore.py", stack.folder, backup)
    untouched = remembered(stack)

    stack.compose("down", "--volumes", "--timeout", "20")
    shutil.rmtree(stack.data)
    params = stack.folder / "params.yaml"
    params.write_text("# of nobody")
    # The admin's password stays because it is in Airflow's database; only a person knows where alerts go.
    for name in secrets.keys() - {FERNET_KEY, "admin_password", "smtp_url", "webhook_url", "alert_urls"}:
        (stack.secrets / name).unlink()
    stack.make_env()
    done = run("restore.py", stack.folder, backup)
    assert done.returncode == 0, done.stderr
    files = kept(stack.data) | {"params.yaml": sha256_of(params)}
    stack.compose("run", "--rm", "--no-deps", "-T", "--entrypoint", "python3", "mlflow", "-c", EARLIER)
    assert stack.sql("mlflow", "SELECT to_regclass('job_locks')") == [""]
    stack.compose("up", "--detach", "--wait")
    wait_for(stack.production_version, "the restored model to be served", 120)
    after = remembered(stack) | {"price": price(stack), "files": files}
    return Restored(backup, secrets, refused, before, untouched, after)


@on_a_stack
def test_after_backup_wipe_and_restore_version_history_and_price_are_the_same(restored: Restored) -> None:
    assert restored.before["version"] == "1"
    assert all(restored.before.values())
    assert restored.after == restored.before


@on_a_stack
def test_a_stack_that_holds_data_is_not_restored_into_unless_asked_to(restored: Restored) -> None:
    assert restored.refused.returncode == 1
    assert "the stack must be empty, found the volume postgres" in restored.refused.stderr
    assert "REPLACE=1" in restored.refused.stderr
    assert restored.untouched == {name: restored.before[name] for name in restored.untouched}


@on_a_stack
def test_a_backup_is_its_owners_alone_and_holds_no_secret_but_those_asked_for(restored: Restored) -> None:
    files = list(restored.backup.iterdir())
    held = b"".join(path.read_bytes() for path in files if path.name != "secrets.tar")

    assert restored.backup.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert [name for name, secret in restored.secrets.items() if secret and secret.encode() in held] == []


@on_a_stack
def test_a_backup_tells_the_commit_and_the_images_it_was_made_with(restored: Restored) -> None:
    manifest = json.loads((restored.backup / "manifest.json").read_text())
    head = subprocess.run(["git", "-C", REPOSITORY, "rev-parse", "HEAD"], capture_output=True, text=True)
    trainer = os.environ.get("CARPRICE_TRAINER_IMAGE") or "carprice-trainer:latest"

    assert manifest["commit"] == head.stdout.strip()
    assert manifest["images"]["trainer"] == docker("image", "inspect", "--format", "{{.Id}}", trainer).strip()
    assert manifest["database_bytes"] > 10_000_000


@on_a_stack
def test_a_backup_with_its_secrets_takes_the_place_of_what_another_stack_holds(
    restored: Restored, tmp_path: Path
) -> None:
    folder = make_env(tmp_path / "stack")
    (folder / "data/raw/of-nobody.csv").write_text("to be given up")
    params = folder / "params.yaml"
    params.write_text("# of nobody")
    mount = {"volumes": [f"{params}:/etc/carprice/params.yaml:ro"]}
    (folder / "under-test.json").write_text(json.dumps({"services": {"worker": mount}}))
    before = (folder / ".env").read_text()
    name = Stack.of(folder).name
    step, scratch = a_step_of(name)
    try:
        refused = run("restore.py", folder, restored.backup, "--secrets")
        done = run("restore.py", folder, restored.backup, "--secrets", "--replace")
        psql = ("psql", "--tuples-only", "--no-align", "--dbname", "mlflow", "--command")
        versions = docker("exec", f"{name}-postgres-1", *psql, "SELECT version FROM model_versions")
        size = volume_bytes([f"{name}_postgres"])
        left = (
            docker("ps", "--all", "--quiet", "--no-trunc").split() + docker("volume", "ls", "--quiet").split()
        )
    finally:
        Stack.of(folder).compose("down", "--volumes", "--timeout", "20")

    assert refused.returncode == 1
    assert f"found 1 files in {folder / 'data'}" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert {name: (folder / ".secrets" / name).read_text() for name in restored.secrets} == restored.secrets
    assert kept(folder / "data") | {"params.yaml": sha256_of(params)} == restored.before["files"]
    assert (folder / "params.yaml.replaced").read_text() == "# of nobody"
    assert versions.split() == ["1"]
    assert size > 10_000_000
    # The steps of the replaced stack are gone with their volumes.
    assert not {step, scratch} & set(left)
    # Settings of the machine stay; the other settings of the backup are listed.
    assert (folder / ".env").read_text() == before
    assert (folder / ".env.backup").read_bytes() == (restored.backup / SETTINGS).read_bytes()
    (told,) = [line for line in done.stderr.splitlines() if ".env.backup" in line]
    assert "CARPRICE_STEP_MEMORY=2g" in told
    assert "_PORT" not in told


@on_a_stack
def test_a_task_on_another_machine_keeps_a_backup_from_being_made(
    restored: Restored, stack: TeamStack, tmp_path: Path
) -> None:
    task = stack.sql("airflow", "SELECT id FROM task_instance WHERE state = 'success' LIMIT 1")[0]
    state = "UPDATE task_instance SET state = '{}', hostname = '{}' WHERE id = '{}'"
    host = stack.sql("airflow", f"SELECT hostname FROM task_instance WHERE id = '{task}'")[0]  # noqa: S608
    # To this machine the worker there looks alive.
    alive = f"UPDATE task_instance SET last_heartbeat_at = now() + interval '1 hour' WHERE id = '{task}'"  # noqa: S608
    stack.sql("airflow", f"{alive}; {state.format('running', '10.0.0.2', task)}")
    try:
        refused = run("backup.py", stack.folder, "--to", tmp_path / "backups", "--wait", "3")
    finally:
        stack.sql("airflow", state.format("success", host, task))

    assert refused.returncode == 1
    assert "found 1 running (10.0.0.2) after 3 s" in refused.stderr
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [".lock"]
    assert {"scheduler", "triggerer", "worker"} <= set(
        stack.compose("ps", "--services", "--status", "running").split()
    )
    stack.compose("up", "--detach", "--wait", "--no-recreate")


@on_a_stack
def test_the_database_of_an_earlier_mlflow_is_migrated_at_start(restored: Restored, stack: TeamStack) -> None:
    assert stack.sql("mlflow", "SELECT to_regclass('job_locks')") == ["job_locks"]


@on_a_stack
def test_a_restored_stack_works_and_knows_which_files_were_dealt_with(
    restored: Restored, stack: TeamStack
) -> None:
    first = stack.data / "raw/first.csv"
    receipt = stack.data / "receipts" / f"{sha256_of(first)}.json"

    stack.land(first.read_bytes(), "again.csv")

    wait_for(lambda: "again.csv" in receipt.read_text(), "the second copy to be known for one", 180)
    assert stack.sql("mlflow", "SELECT version FROM model_versions") == ["1"]


@on_a_stack
def test_an_interrupted_backup_leaves_nothing_and_the_pipeline_goes_on(
    restored: Restored, stack: TeamStack, tmp_path: Path
) -> None:
    (tmp_path / "other.json").write_text(json.dumps(AN_OBJECT_STORE))
    files = f"{REPOSITORY / 'docker-compose.yml'}:{tmp_path / 'other.json'}"
    command = [sys.executable, REPOSITORY / "stack/backup.py", "--folder", stack.folder, "--to"]
    with subprocess.Popen(
        [*command, tmp_path / "backups"],
        env=os.environ | {"COMPOSE_FILE": files},
        stderr=subprocess.PIPE,
        text=True,
    ) as backup:
        stopped = f"{stack.name}-scheduler-1"
        wait_for(
            lambda: docker("inspect", "--format", "{{.State.Status}}", stopped).strip() == "exited",
            "the pipeline to be held",
            120,
        )
        backup.terminate()
        said = backup.communicate(timeout=300)[1]

    assert backup.returncode == 130
    assert "interrupted, nothing was kept" in said
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [".lock"]
    assert {"scheduler", "triggerer", "worker"} <= set(
        stack.compose("ps", "--services", "--status", "running").split()
    )
    # The user learns that a backup does not hold the object store.
    assert "s3://prices/data is not part of it: keep it by the versioning or replication" in said
    stack.compose("up", "--detach", "--wait", "--no-recreate")
