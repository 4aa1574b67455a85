"""A stand-in for a Kubernetes cluster: the few requests of its API that steps need, over HTTP.

There is no node behind it. What a pod does is told by the test; the rest is as strict as Kubernetes:
a field it does not know or a label value it would not take is refused.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import yaml
from kubernetes.client import ApiClient

VERSIONS = ("1.25", "1.37")
"""The oldest version of Kubernetes that docs/kubernetes.md names, and the newest with schemas here."""

Body = dict[str, Any]

LABEL_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")
POD_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass
class Plan:
    """What a pod does, from its creation to its end."""

    exit_code: int = 0
    result: Any = None
    raw_result: bytes | None = None
    log: bytes = b""
    reason: str = "Completed"
    message: str = ""
    """The container's termination message."""
    waiting: list[Body] = field(default_factory=list)
    """Reasons it does not start, each seen once, the last one for ever if `starts` is false."""
    starts: bool = True
    ends: bool = True
    pod_status: Body = field(default_factory=dict)
    """What else is in the pod's status at its end."""
    vanishes: bool = False
    log_breaks: list[int] = field(default_factory=list)
    """After how many bytes each connection that follows the log breaks."""
    log_status: int = 200
    stays: bool = False
    """Whether it can't be deleted, as with a node that is away."""


class Cluster:
    """What is on the cluster. `requests` and `created` tell what was asked of it."""

    def __init__(self) -> None:
        self.plans: list[Plan] = []
        self.pods: dict[str, Body] = {}
        self.created: list[Body] = []
        self.requests: list[tuple[str, str]] = []
        self.refuses: dict[str, tuple[int, str]] = {}
        """Method → the status and sentence that answer it."""
        self.on_create: Callable[[Body], None] = lambda pod: None
        self._plan_of: dict[str, Plan] = {}
        self._lock = threading.RLock()

    def create(self, namespace: str, sent: Body) -> tuple[int, Body]:
        problem = refused(sent)
        if problem:
            return 422, {"message": problem}
        with self._lock:
            plan = self.plans.pop(0) if self.plans else Plan()
            name = sent["metadata"]["name"]
            pod = json.loads(json.dumps(sent))
            pod["metadata"]["namespace"] = namespace
            pod["status"] = {"phase": "Pending"}
            self.pods[name], self._plan_of[name] = pod, plan
            self.created.append(sent)
        self.on_create(pod)
        return 201, pod

    def add(self, name: str, labels: dict[str, str], plan: Plan) -> None:
        """A pod that was there before."""
        self.pods[name] = {
            "metadata": {"name": name, "namespace": "carprice", "labels": labels},
            "spec": {"containers": [{"name": "step"}]},
            "status": {"phase": "Running"},
        }
        self._plan_of[name] = plan

    def plan_of(self, name: str) -> Plan:
        return self._plan_of[name]

    def read(self, name: str) -> tuple[int, Body]:
        """The pod, one step further in its life than the last time."""
        with self._lock:
            if name not in self.pods:
                return 404, {"message": f'pods "{name}" not found'}
            pod, plan = self.pods[name], self._plan_of[name]
            status = pod["status"]
            if status["phase"] == "Pending" and plan.waiting:
                state = plan.waiting[0] if len(plan.waiting) == 1 and not plan.starts else plan.waiting.pop(0)
                if "conditions" in state:
                    status |= state
                else:
                    status["containerStatuses"] = [container({"waiting": state})]
            elif status["phase"] == "Pending" and plan.starts:
                status |= {"phase": "Running", "containerStatuses": [container({"running": {}})]}
            elif status["phase"] == "Running" and plan.vanishes:
                del self.pods[name]
            elif status["phase"] == "Running" and plan.ends:
                self._end(pod, plan)
            return 200, pod

    def _end(self, pod: Body, plan: Plan) -> None:
        content = plan.raw_result
        if content is None and plan.result is not None:
            content = json.dumps(plan.result).encode()
        arguments = pod["spec"]["containers"][0]["args"]
        if content is not None:
            with fsspec.open(arguments[arguments.index("--result") + 1], "wb", auto_mkdir=True) as file:
                file.write(content)
        ended = {"exitCode": plan.exit_code, "reason": plan.reason, "message": plan.message}
        pod["status"] |= {
            "phase": "Failed" if plan.exit_code else "Succeeded",
            "containerStatuses": [container({"terminated": ended})],
            **plan.pod_status,
        }

    def listed(self, selector: str) -> Body:
        wanted = dict(pair.split("=") for pair in selector.split(",")) if selector else {}
        found = [p for p in self.pods.values() if wanted.items() <= p["metadata"]["labels"].items()]
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found}

    def delete(self, name: str) -> tuple[int, Body]:
        with self._lock:
            if name not in self.pods:
                return 404, {"message": f'pods "{name}" not found'}
            pod = self.pods[name]
            if not self._plan_of[name].stays:
                del self.pods[name]
            return 200, pod


def container(state: Body) -> Body:
    return {
        "name": "step", "image": "i", "imageID": "i", "ready": False, "restartCount": 0, "state": state
    }  # fmt: skip


def refused(sent: Body) -> str | None:
    """Why Kubernetes would not take this pod."""
    understood = json.loads(json.dumps(read_as("V1Pod", sent)))
    if understood != sent:
        return f"strict decoding error: {sent} was understood as {understood}"
    if not POD_NAME.fullmatch(sent["metadata"]["name"]):
        return f"metadata.name: Invalid value: {sent['metadata']['name']}"
    for name, value in sent["metadata"]["labels"].items():
        if not LABEL_VALUE.fullmatch(value):
            return f"metadata.labels: Invalid value: {name}: {value}"
    return None


def read_as(kind: str, document: Body) -> Any:
    """`document` read as Kubernetes' own client reads it, and written again: unknown fields are lost."""
    client = ApiClient()
    return client.sanitize_for_serialization(client.deserialize(Answer(document), kind))


@dataclass
class Answer:
    document: Body

    @property
    def data(self) -> str:
        return json.dumps(self.document)


@contextmanager
def serving(cluster: Cluster, config: Path) -> Iterator[None]:
    """Serve `cluster`, with a file for KUBECONFIG that leads to it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            url = urllib.parse.urlsplit(self.path)
            query = dict(urllib.parse.parse_qsl(url.query))
            length = int(self.headers.get("Content-Length") or 0)
            sent = json.loads(self.rfile.read(length)) if length else {}
            cluster.requests.append((self.command, self.path))
            _, _, _, _, namespace, kind, *rest = url.path.split("/")
            assert kind == "pods"
            if self.command in cluster.refuses:
                status, message = cluster.refuses[self.command]
                self.answer(status, {"message": message})
            elif self.command == "POST":
                self.answer(*cluster.create(namespace, sent))
            elif self.command == "DELETE":
                self.answer(*cluster.delete(rest[0]))
            elif not rest:
                self.answer(200, cluster.listed(query.get("labelSelector", "")))
            elif rest[1:] == ["log"]:
                self.tell(rest[0], follow=query.get("follow") == "True" or query.get("follow") == "true")
            else:
                self.answer(*cluster.read(rest[0]))

        do_GET = do_POST = do_DELETE = respond  # noqa: N815

        def answer(self, status: int, document: Body) -> None:
            content = json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def tell(self, name: str, follow: bool) -> None:
            plan = cluster.plan_of(name)
            if plan.log_status != 200:
                self.answer(plan.log_status, {"message": "no log"})
                return
            log, whole = plan.log, True
            if follow and plan.log_breaks:
                log, whole = log[: plan.log_breaks.pop(0)], False
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for start in range(0, len(log), 7):
                piece = log[start : start + 7]
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if whole:
                self.wfile.write(b"0\r\n\r\n")
            self.close_connection = not whole

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    here = {"name": "test", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    context = {"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "elsewhere"}}
    config.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [here],
                "contexts": [context],
                "current-context": "test",
                "users": [{"name": "test", "user": {}}],
            }
        )
    )
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
