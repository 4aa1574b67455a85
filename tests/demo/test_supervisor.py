"""The supervisor restarts what dies, stops all that it started, and says why a service is not ready."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from demo.settings import DemoProblem
from demo.supervisor import Service, Supervisor


def python(code: str, ready: Callable[[], bool] = lambda: True, name: str = "service") -> Service:
    return Service(name, [sys.executable, "-c", code], dict(os.environ), ready)


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


def test_a_service_that_is_killed_is_started_again(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        service = python("import time; time.sleep(600)")
        supervisor.start(service)
        first = service.process.pid
        os.kill(first, signal.SIGKILL)
        assert eventually(lambda: service.process.pid != first and service.process.poll() is None)


def killed_once(supervisor: Supervisor, child: str, folder: Path) -> tuple[int, int]:
    """The children of a service's first start and of its second, after a kill. `child` is code."""
    started = folder / "started"
    service = python(
        f"import subprocess, time\nchild = {child}\n"
        f"open({str(started)!r}, 'a').write(f'{{child.pid}}\\n')\n"
        "time.sleep(600)"
    )
    supervisor.start(service)
    assert eventually(lambda: started.exists() and started.read_text().endswith("\n"))
    os.kill(service.process.pid, signal.SIGKILL)
    assert eventually(lambda: started.read_text().count("\n") == 2)
    first, second = map(int, started.read_text().split())
    return first, second


def test_what_a_killed_service_leaves_behind_is_gone_before_it_starts_again(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        other = python("import time; time.sleep(600)", name="other")
        supervisor.start(other)
        child = "subprocess.Popen(['sleep', '600'], start_new_session=True)"
        first, second = killed_once(supervisor, child, tmp_path)
        assert first not in supervisor.pids()
        assert {second, other.process.pid} <= set(supervisor.pids())


def test_a_process_of_a_killed_service_that_has_lost_its_environment_is_gone_too(tmp_path: Path) -> None:
    with Supervisor(tmp_path / "logs") as supervisor:
        child = "subprocess.Popen(['/usr/bin/env', '-i', 'sleep', '600'])"
        first, second = killed_once(supervisor, child, tmp_path)
        assert eventually(lambda: not runs(first))
        assert runs(second)
    assert eventually(lambda: not runs(second))


def runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_stopping_ends_services_and_what_left_their_group(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    code = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        f"open({str(pid_file)!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)"
    )
    with Supervisor(tmp_path / "logs") as supervisor:
        supervisor.start(python(code))
        assert eventually(lambda: pid_file.exists() and pid_file.read_text() != "")
        child = int(pid_file.read_text())
        assert psutil.pid_exists(child)
    assert eventually(lambda: not runs(child))
    assert supervisor.pids() == []


def test_a_service_that_ignores_the_signal_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.supervisor.GRACE_SECONDS", 0.5)
    started = tmp_path / "started"
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"open({str(started)!r}, 'w').close(); time.sleep(600)"
    )
    with Supervisor(tmp_path / "logs") as supervisor:
        service = python(code)
        supervisor.start(service)
        assert eventually(started.exists)
    assert eventually(lambda: service.process.poll() is not None)


def test_a_service_that_never_answers_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    with Supervisor(tmp_path) as supervisor:
        supervisor.start(
            python("print('the port is taken', flush=True); import time; time.sleep(600)", lambda: False)
        )
        assert eventually(lambda: "taken" in supervisor.log_of("service").read_text())
        with pytest.raises(DemoProblem, match=r"(?s)service was expected to answer.*the port is taken"):
            supervisor.wait_until_ready("service", 0.5)


def test_a_command_that_fails_is_a_problem_with_its_last_words(tmp_path: Path) -> None:
    with (
        Supervisor(tmp_path) as supervisor,
        pytest.raises(DemoProblem, match=r"(?s)migrate ended with status 3.*no such table"),
    ):
        supervisor.run("migrate", [sys.executable, "-c", "print('no such table'); exit(3)"], dict(os.environ))
