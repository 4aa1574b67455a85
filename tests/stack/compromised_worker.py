"""What somebody who took the worker over can send to docker-proxy: the attacks of tests/images/docker_proxy.

They are sent from inside the worker's container, which knows what it knows, to the docker-proxy of the stack.
"""

from __future__ import annotations

import base64
import json
import sys
from pathlib import Path
from typing import Any

from team_stack import TeamStack, docker

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "images/docker_proxy"))

import test_proxy_container_policy as policy
import test_proxy_endpoints as endpoints
import test_proxy_parsing as parsing
import test_proxy_step_arguments as arguments
import test_proxy_step_secrets as secrets

# Takes attacks on standard input, one per name, and prints the status of the answer to each.
_PROGRAM = """
import base64, copy, http.client, json, os, socket, sys, urllib.parse, uuid
here = os.environ
API = "/v1.41"
BODY = {
    "Tty": False, "Image": here["CARPRICE_TRAINER_IMAGE"], "User": here["CARPRICE_STEP_USER"],
    "Entrypoint": ["carprice"], "Cmd": ["alert", "--list", "--result", "/tmp/result.json"],
    "Env": ["DATA_DIR=/data", "HOME=/tmp", "CARPRICE_PARAMS=a: 1",
            "MLFLOW_TRACKING_PASSWORD_FILE=" + here["MLFLOW_TRACKING_PASSWORD_FILE"]],
    "Labels": {"carprice.data": "/data", "carprice.dag": "some_dag", "carprice.run": "taken_over",
               "carprice.task": "some_step", "carprice.map_index": "-1", "carprice.try": "1"},
    "HostConfig": {
        "NetworkMode": here["CARPRICE_DOCKER_NETWORK"], "Memory": 2**31, "MemorySwap": 2**31,
        "CpuQuota": 200000, "CpuPeriod": 100000, "PidsLimit": 64,
        "Mounts": [{"Target": "/data", "Source": here["CARPRICE_DOCKER_HOST_DATA_DIR"], "Type": "bind"}],
    },
}

def ask(method, target, body=None, kind="application/json"):
    connection = http.client.HTTPConnection("docker-proxy", 2375, timeout=60)
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    connection.request(method, target, content, {"Content-Type": kind} if content else {})
    answer = connection.getresponse()
    return answer.status, answer.read()

def send(message):
    with socket.create_connection(("docker-proxy", 2375), 60) as connection:
        connection.sendall(message)
        answer = connection.recv(4096)
    return int(answer.split()[1]) if answer else 0, answer

def changed(place, value):
    body = copy.deepcopy(BODY)
    *parents, last = [int(key) if key.isdigit() else key for key in place.split("/")]
    inner = body
    for key in parents:
        inner = inner[key]
    if value == {"left": "out"}:
        inner.pop(last, None)
    elif isinstance(inner, list) and last == len(inner):
        inner.append(value)
    else:
        inner[last] = value
    return body

def create(body, name=None, **options):
    name = f"carprice-taken_over-1-{uuid.uuid4().hex[:8]}" if name is None else name
    return ask("POST", f"{API}/containers/create?{urllib.parse.urlencode({'name': name})}", body, **options)

def hold(connections):
    held = [socket.create_connection(("docker-proxy", 2375), 60) for _ in range(connections)]
    status = send(b"GET /_ping HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    for each in held:
        each.close()
    return status

if "BODY" in sys.argv:
    print(json.dumps(BODY))
    sys.exit()
status, content = create(BODY)
assert status == 201, content
own = json.loads(content)["Id"]
found = {}
if "KEEP" in sys.argv:
    print(own)
    sys.exit()
for name, (kind, *words) in json.load(sys.stdin).items():
    if kind == "body":
        answer = create(changed(*words))
    elif kind == "text":
        answer = create(base64.b64decode(words[0]))
    elif kind == "name":
        answer = create(BODY, words[0])
    elif kind == "form":
        answer = create(BODY, kind=words[0])
    elif kind == "message":
        answer = send(base64.b64decode(words[0]))
    elif kind == "ask":
        answer = ask(words[0], words[1].replace("OWN", own), *words[2:])
    elif kind == "hold":
        answer = hold(words[0])
    found[name] = answer[0]
    if answer[0] == 201:
        ask("DELETE", f"{API}/containers/{json.loads(answer[1])['Id']}")
print(json.dumps([found, ask("DELETE", f"{API}/containers/{own}?v=True&link=False&force=True")[0]]))
"""


def send_attacks(stack: TeamStack, attacks: dict[str, list[Any]]) -> dict[str, int]:
    """The status of the answer to each attack, sent from inside the worker's container.

    Raises `AssertionError` when the worker's honest step, which goes first, is refused.
    """
    found, removed = json.loads(_run(stack, stdin=json.dumps(attacks)))
    assert removed == 204, "the honest step can be removed"
    return dict(found)


def make_step(stack: TeamStack) -> str:
    """The id of the container of an honest step, made and not started, by the worker's way."""
    return _run(stack, "KEEP")


def attacks_on(stack: TeamStack) -> dict[str, dict[str, list[Any]]]:
    """The attacks for each row of the threat table in docs/security.md."""
    data, honest = str(stack.data), _run(stack, "BODY").encode()
    others = [each["Id"] for name, each in stack.containers().items() if name in ("postgres", "docker-proxy")]
    return {
        "bodies": _bodies(policy.REFUSED_BODIES, data),
        "ambiguous bodies": {
            name: ["text", _encoded(edit(honest))]
            for name, (edit, _) in policy.AMBIGUOUS_BODIES.items()
        },
        "commands": _bodies([("Cmd", words) for words in _cases(arguments, "may_not_have_run")], data),
        "addresses": _bodies([("Env/4", text) for text in _cases(arguments, "secrets_nowhere_else")], data),
        "secrets": _bodies([("Env/3", text) for text in _cases(secrets, "another_name_or_place")], data),
        "secret mounts": _bodies(
            [("HostConfig/Mounts/1",
              {"Target": target, "Source": f"{stack.secrets}/{source}", "Type": "bind"})
             for target, source in _cases(secrets, "the_request_mounts_itself")], data),
        "names": {repr(name): ["name", name] for name in _cases(policy, "has_a_name_of_a_step")},
        "forms": {kind: ["form", kind] for kind in _cases(policy, "a_form_in_a_browser")},
        "requests": {
            f"{method} {target}": ["ask", method, endpoints.API + target]
            for method, target in endpoints.REFUSED_REQUESTS
        },
        "its own step": {
            f"{method} {rest}": ["ask", method, f"{endpoints.API}/containers/OWN{rest}"]
            for method, rest in endpoints.REFUSED_OPERATIONS
        } | {"a start with settings": ["ask", "POST", f"{endpoints.API}/containers/OWN/start",
                                       {"Privileged": True}]},
        "older versions": {
            version or "none": ["ask", "POST", f"{version}/containers/OWN/start"]
            for version in _cases(endpoints, "an_older_api")
        },
        "containers of others": {
            f"{method} {rest} {other}": ["ask", method, f"{endpoints.API}/containers/{other}{rest}"]
            for other in others
            for method, rest in endpoints.OPERATIONS
        },
        "ambiguous messages": {
            name: ["message", _encoded(message)] for name, message in parsing.AMBIGUOUS_MESSAGES.items()
        },
        "cleaned paths": {
            path: ["message", _encoded(parsing.head(f"GET {path} HTTP/1.1", parsing.HOST))]
            for path in _cases(parsing, "a_path_that_would_be_cleaned")
        },
        "exhaustion": {
            "a body without end": ["body", "Cmd", ["x" * 2 * 1024 * 1024]],
            "a request that does not arrive": ["message", _encoded(b"GET /_ping HTTP/1.1\r\nHost: ")],
            "many connections": ["hold", 512],
        },
    }  # fmt: skip


ROWS = (
    "bodies",
    "ambiguous bodies",
    "commands",
    "addresses",
    "secrets",
    "secret mounts",
    "names",
    "forms",
    "requests",
    "its own step",
    "older versions",
    "containers of others",
    "ambiguous messages",
    "cleaned paths",
    "exhaustion",
)
"""The kinds of attacks, those of `attacks_on`."""


_LIKE_THE_OTHERS = {
    "Tty": False,
    "Image": "x",
    "Memory": 2147483648,
    "Labels": {"carprice.task": "some_step"},
}


def containers_made(stack: TeamStack) -> list[str]:
    """The containers that attacks made and that are still there."""
    return docker("ps", "--all", "--quiet", "--filter", "label=carprice.run=taken_over").split()


def _run(stack: TeamStack, *words: str, stdin: str = "") -> str:
    done = stack.run_in("worker", "python3", "-c", _PROGRAM, *words, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _bodies(changes: list[tuple[str, Any]], data: str) -> dict[str, list[Any]]:
    made = {}
    for place, value in changes:
        sent = {"left": "out"} if value is ... else json.loads(json.dumps(value).replace(policy.DATA, data))
        made[f"{place} {sent}"] = ["body", place, sent]
    return made


def _cases(module: Any, part: str) -> list[Any]:
    """The cases of the one test of `module` whose name has `part` in it."""
    (test,) = [each for name, each in vars(module).items() if name.startswith("test_") and part in name]
    (cases,) = [mark.args[1] for mark in test.pytestmark if mark.name == "parametrize"]
    return list(cases)


def _encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()
