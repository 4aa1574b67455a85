"""A second Docker engine on this machine, in its own network namespace: it stands for another machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass
class SecondEngine:
    """Its socket, the address of its machine, and the address at which it reaches this machine."""

    socket: Path
    address: str
    main_address: str
    space: str
    wire: str
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        folder = self.socket.parent
        # Not `ip netns exec`, which hides the control groups.
        command = [
            "nsenter", f"--net=/var/run/netns/{self.space}", "dockerd", "--host", f"unix://{self.socket}",
            "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec", "--pidfile", f"{folder}/pid",
            "--containerd-namespace", self.space, "--containerd-plugins-namespace", f"{self.space}-plugins",
            "--storage-driver", "overlay2",
        ]  # fmt: skip
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)
        for _ in range(120):
            assert self.process.poll() is None, (folder / "log").read_text()[-3000:]
            if self.docker("version", "--format", "{{.Server.Version}}", check=False).strip():
                break
            time.sleep(0.5)

    def stop(self) -> None:
        """End it as a reboot does: its containers are ended first."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def restart(self) -> None:
        """Stop it and start it again."""
        self.stop()
        self.start()

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """While the block runs nothing goes between its machine and this one."""
        _run("ip", "-n", self.space, "link", "set", f"{self.wire}b", "down")
        try:
            yield
        finally:
            _run("ip", "-n", self.space, "link", "set", f"{self.wire}b", "up")

    def docker(self, *arguments: str, check: bool = True, cwd: Path | None = None) -> str:
        """The output of a docker command on this engine. Raises `AssertionError` if it fails."""
        command = ["docker", "--host", f"unix://{self.socket}", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
        assert not check or done.returncode == 0, f"{' '.join(command)}:\n{done.stderr[-3000:]}"
        return done.stdout

    def take_images(self, *images: str) -> None:
        """Copy images from this machine's own engine, as `docker save | ssh … docker load` does."""
        with subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE) as saving:
            loading = ["docker", "--host", f"unix://{self.socket}", "load", "--quiet"]
            subprocess.run(loading, stdin=saving.stdout, stdout=subprocess.DEVNULL, check=True)
        assert saving.returncode == 0


def can_be_started() -> bool:
    """Whether this machine can have a second engine: the user is root and the programs are installed."""
    return os.getuid() == 0 and all(shutil.which(name) for name in ("dockerd", "ip", "nsenter"))


@contextmanager
def second_engine() -> Iterator[SecondEngine]:
    """An engine with nothing in it, in a network namespace; all of it is removed afterwards."""
    # The path of a socket may have 107 characters, so the folder's name is short.
    folder = Path(tempfile.mkdtemp(prefix="carprice-engine-"))
    space, wire = f"carprice-{os.getpid()}", f"cp{os.getpid()}"
    # RFC 2544 reserves this block for benchmarks, and no router forwards it.
    net = f"198.18.{os.getpid() % 256}"
    engine = SecondEngine(folder / "docker.sock", f"{net}.2", f"{net}.1", space, wire)
    with contextlib.ExitStack() as made:
        made.callback(_remove, folder)
        _run("ip", "netns", "add", space)
        made.callback(_run, "ip", "netns", "delete", space)
        _run("ip", "link", "add", f"{wire}a", "type", "veth", "peer", "name", f"{wire}b", "netns", space)
        made.callback(_run, "ip", "link", "delete", f"{wire}a")
        _run("ip", "address", "add", f"{engine.main_address}/30", "dev", f"{wire}a")
        _run("ip", "link", "set", f"{wire}a", "up")
        _run("ip", "-n", space, "address", "add", f"{engine.address}/30", "dev", f"{wire}b")
        _run("ip", "-n", space, "link", "set", "lo", "up")
        _run("ip", "-n", space, "link", "set", f"{wire}b", "up")
        made.callback(_end, engine)
        engine.start()
        yield engine


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def _end(engine: SecondEngine) -> None:
    if left := engine.docker("ps", "--all", "--quiet", check=False).split():
        engine.docker("rm", "--force", *left, check=False)
    engine.stop()


def _remove(folder: Path) -> None:
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(folder, ignore_errors=True)
