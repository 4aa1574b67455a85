"""A stand-in for the `carprice` command: keeps the step contract, does no work.

What a step shall do is told by `$DATA_DIR/plan.json`, step name → {"exit", "result", "stderr",
"sleep"}, or a list of those, one for each call. What was called is kept in `$DATA_DIR/calls.jsonl`.
"""

import json
import os
import sys
import time

DEFAULTS = {
    "claim-files": [{"file": "a.csv", "sha256": "aa"}, {"file": "b.csv", "sha256": "bb"}],
    "assemble-listings": {"snapshot_id": "snap1", "rows_accepted": 7},
    "train-model": {"run_id": "run1", "metrics": {"mae": 1.5}},
    "evaluate-model": {"run_id": "run1", "metrics": {"mae": 1.5}},
    "promote-to-staging": {"version": "3", "passed": True, "gates": []},
    "validate-staging-model": {"version": "3", "passed": True, "gates": []},
    "promote-to-production": {"version": "3", "previous_version": None},
    "send-pipeline-report": {"report": "reports/pipeline/x.html"},
    "detect-drift": {"drifted": False, "report": "reports/drift/x.html"},
    "publish-report": {"report": "reports/drift/x.html"},
    "rollback": {"version": "2"},
}


def option(name: str) -> str:
    return sys.argv[sys.argv.index(name) + 1]


def main() -> int:
    command, data = sys.argv[sys.argv.index("carprice") + 1], os.environ["DATA_DIR"]
    with open(f"{data}/calls.jsonl", "a") as calls:
        names = ("DATA_DIR", "CARPRICE_PARAMS", "MLFLOW_TRACKING_PASSWORD", "AIRFLOW_HOME", "PYTHONPATH")
        call = {"args": sys.argv[sys.argv.index("carprice") + 1 :], "pid": os.getpid(), "nice": os.nice(0)}
        calls.write(json.dumps({**call, "env": {n: os.environ.get(n) for n in names}}) + "\n")
    with open(f"{data}/plan.json") as file:
        plan = json.load(file).get(command, {})
    if isinstance(plan, list):
        with open(f"{data}/calls.jsonl") as calls:
            nth = sum(json.loads(line)["args"][0] == command for line in calls)
        plan = plan[min(nth, len(plan)) - 1]
    if command == "check-data-quality":
        result = {"file": option("--file"), "sha256": option("--sha256"), "status": "accepted", "refusal": None}
        if option("--file") in plan.get("refuse", []):
            plan = {"exit": 65, "stderr": f"{option('--file')} has no column Prix."}
            result |= {"status": "refused", "refusal": plan["stderr"]}
    else:
        result = DEFAULTS.get(command)
    print("progress on stdout")
    print(f"running {command}", file=sys.stderr)
    time.sleep(plan.get("sleep", 0))
    result = plan.get("result", result)
    if result is not None and not plan.get("no_result"):
        with open(option("--result"), "w") as file:
            json.dump(result, file)
    if "stderr" in plan:
        print(plan["stderr"], file=sys.stderr)
    return int(plan.get("exit", 0))


sys.exit(main())
