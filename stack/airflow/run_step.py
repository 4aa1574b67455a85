"""Runs one command of `carprice` as a task would: `run_step.py alert --test`.

It runs in the worker's image with the worker's environment (docs/stack.md says how), so what works here works
in a task.
"""

from __future__ import annotations

import json
import sys
import uuid
from types import SimpleNamespace


def main(arguments: list[str]) -> int:
    """Run the step, print its result or the last line of its errors, and return its exit status."""
    from include.step import step_operator

    operator = step_operator()(python_callable=list, task_id="by_hand")
    caller = SimpleNamespace(
        dag_id="by_hand", run_id=uuid.uuid4().hex, task_id=operator.task_id, map_index=-1, try_number=1
    )
    outcome = operator.run_step(arguments, {"ti": caller})
    if outcome.exit_code:
        sys.stderr.write(f"{outcome.last_words}{outcome.remark}\n")
    else:
        sys.stdout.write(json.dumps(outcome.result, indent=2, ensure_ascii=False) + "\n")
    return int(outcome.exit_code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
