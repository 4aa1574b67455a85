"""A task that asks a person which of the tasks behind it shall run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow.providers.standard.operators.hitl import HITLBranchOperator
from airflow.sdk import Context

ASK = "ask"
"""The value of the DAG's parameter `decision` with which a person is asked."""


def question_about(receipt: Mapping[str, Any], run_id: str) -> dict[str, Any]:
    """The run of `release_listings` that asks about a held file: arguments of `TriggerDagRunOperator`.

    A task that is tried again asks once.
    """
    sentences = [str(reason["sentence"]) for reason in receipt.get("hold") or ()]
    return {
        "trigger_run_id": f"held_{receipt['sha256'][:12]}_{run_id}",
        "conf": {
            "file": receipt["sha256"],
            "decision": ASK,
            "held": f"{receipt['file']} is held: {'; '.join(sentences)}.",
        },
    }


class Decision(HITLBranchOperator):
    """Waits for a person under *Required Actions*.

    A run whose parameter `decision` names a task waits for nobody. The XCom `ANSWER` of an answered task says
    `by` whom and `why`, which is the task's parameter of that name.
    """

    ANSWER: ClassVar[str] = "answer"

    def execute(self, context: Context) -> Any:
        """Ask, or follow the decision that the run was given."""
        given = context["params"]["decision"]
        if given == ASK:
            return super().execute(context)
        return self.do_branch(context, [given])

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Keep who answered and why, and follow the answer."""
        if "error" not in event:
            person = event.get("responded_by_user") or {}
            answer = {"by": person.get("name"), "why": (event.get("params_input") or {}).get("why")}
            context["ti"].xcom_push(self.ANSWER, answer)
        return super().execute_complete(context, event)
