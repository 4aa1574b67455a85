#!/usr/bin/env python3
"""A stand-in for the `carprice` command: keeps the step contract, does no work.

What a step shall do is told by `$DATA_DIR/plan.json`, step name → {"exit", "result", "stderr",
"sleep"}, or a list of those, one for each call. What was called is kept in `$DATA_DIR/calls.jsonl`.
"""

import json
import os
import subprocess
import sys
import time
from typing import Any

DEFAULTS: dict[str, Any] = {
    "claim-files": [[{"file": "a.csv", "sha256": "aa"}], [{"file": "b.csv", "sha256": "bb"}]],
    "collect-listings": {"run": "avito-20261127T010000Z", "ads": 35, "complete": True},
    "assemble-listings": {"snapshot_id": "snap1", "rows_accepted": 7},
    "score-new-listings": {"verdict": "as promised", "report": "reports/live/x.html"},
    "train-model": {"run_id": "run1", "metrics": {"mae": 1.5}},
    "evaluate-model": {"run_id": "run1", "metrics": {"mae": 1.5}},
    "promote-to-staging": {"version": "3", "passed": True, "gates": [], "needs_approval": False},
    "validate-staging-model": {"version": "3", "passed": True, "gates": []},
    "promote-to-production": {"version": "3", "previous_version": None},
    "send-pipeline-report": {"report": "reports/pipeline/x.html"},
    "detect-drift": {"drifted": False, "report": "reports/drift/x.html"},
    "publish-report": {"report": "reports/drift/x.html"},
    "rate-listings": {"id": "market1", "on_offer": 7},
    "rollback": {"version": "2"},
    "release": {"status": "accepted"},
    "reject": {"status": "refused"},
    "alert": {"sent": ["e-mail"], "undelivered": {}},
    "check-freshness": {"stale": False, "sent": [], "undelivered": {}},
}


def option(name: str) -> str:
    joined = [word.partition("=")[2] for word in sys.argv if word.startswith(f"{name}=")]
    return joined[0] if joined else sys.argv[sys.argv.index(name) + 1]


def checked(args: list[str], plan: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What a check says of its file, or of each of its files, and how it ends."""
    files = [word.partition("=")[2] for word in args if word.startswith("--file=")]
    shas = [args[place + 1] for place, word in enumerate(args) if word == "--sha256"]
    found = []
    for file, sha256 in zip(files, shas, strict=True):
        result = {"file": file, "sha256": sha256, "status": "accepted", "refusal": None}
        if file in plan.get("refuse", []):
            result |= {"status": "refused", "refusal": f"{file} has no column Prix."}
        if file in plan.get("hold", []):
            result |= {"status": "held", "hold": [{"sentence": "the prices are 0.09 times the model's"}]}
        if file in plan.get("fail", []):
            result |= {"status": "failed", "problem": "boom"}
        found.append(result)
    for status, exit_code in (("failed", 1), ("refused", 65), ("held", 99)):
        those = [result["file"] for result in found if result["status"] == status]
        if those:
            plan = {**plan, "exit": exit_code, "stderr": f"{status}: {', '.join(those)}"}
            break
    return (found if len(found) > 1 else found[0]), plan


def main() -> int:
    # In process mode a python runs a module; in a container the program itself runs.
    in_process = sys.argv[1] == "-m"
    args = sys.argv[3:] if in_process else sys.argv[1:]
    program = sys.argv[2] if in_process else os.path.basename(sys.argv[0])
    command, data = args[0], os.environ["DATA_DIR"]
    with open(f"{data}/calls.jsonl", "a") as calls:
        names = (
            "DATA_DIR",
            "CARPRICE_PARAMS",
            "MLFLOW_TRACKING_PASSWORD",
            "AIRFLOW_HOME",
            "PYTHONPATH",
            "CARPRICE_COLLECT_CONTACT",
        )
        call = {"args": args, "program": program, "pid": os.getpid(), "uid": os.getuid(), "nice": os.nice(0)}
        calls.write(json.dumps({**call, "env": {n: os.environ.get(n) for n in names}}) + "\n")
    with open(f"{data}/plan.json") as file:
        plan = json.load(file).get(command, {})
    if isinstance(plan, list):
        with open(f"{data}/calls.jsonl") as calls:
            nth = sum(json.loads(line)["args"][0] == command for line in calls)
        plan = plan[min(nth, len(plan)) - 1]
    result: Any = DEFAULTS.get(command)
    if command == "check-data-quality":
        result, plan = checked(args, plan)
    if "child" in plan:  # a step may have children of its own
        subprocess.Popen(["sleep", str(plan["child"])])
    eaten = b"x" * (plan.get("eat", 0) << 20)
    sys.stdout.write("progress on stdout\n")
    sys.stderr.write(f"running {command}\n")
    time.sleep(plan.get("sleep", 0) + 0 * len(eaten))
    result = plan.get("result", result)
    if result is not None and not plan.get("no_result"):
        with open(option("--result"), "w") as file:
            file.write(plan.get("raw_result") or json.dumps(result))
    if "stderr" in plan:
        sys.stderr.write(plan["stderr"] + "\n")
    return int(plan.get("exit", 0))


sys.exit(main())
