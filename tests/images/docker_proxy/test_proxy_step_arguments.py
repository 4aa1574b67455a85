"""From inside a compromised worker: no step carries secrets out, whatever it is told. Needs no engine."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from running_proxy import REPOSITORY, SOURCE, step_body

from carprice_contract.steps import StepName

sys.path[:0] = [str(SOURCE), str(REPOSITORY / "images/trainer/src")]
from docker_proxy.container_policy import ContainerPolicy
from docker_proxy.refusal import Refusal
from docker_proxy.settings import Settings
from docker_proxy.step_arguments import STEP_ARGUMENTS

from carprice.cli import application

DATA = Path("/srv/carprice/data")
SHA256 = "0123456789abcdef" * 4
RESULT = ["--result", "/tmp/result.json"]  # noqa: S108 - a container's own
POLICY = ContainerPolicy(
    Settings.from_environment(
        {
            "CARPRICE_DOCKER_NETWORK": "carprice_steps",
            "DATA_DIR": str(DATA),
            "CARPRICE_PROXY_STEP_SECRETS_DIR": "/srv/secrets",
            "MLFLOW_TRACKING_URI": "http://mlflow:5000",
            "CARPRICE_SMTP_TO": "ops@example.invalid",
        }
    )
)


def asked(arguments: list[str], *variables: str) -> None:
    """Ask for a step as a worker does. Raises `Refusal`."""
    body = step_body(DATA) | {"Cmd": arguments}
    body["Env"] = [*body["Env"][:3], *variables]
    body["HostConfig"]["NetworkMode"] = "carprice_steps"
    POLICY.body_for_engine(json.dumps(body).encode())


# as the DAGs make them
STEPS = [
    ["claim-files"],
    ["check-data-quality", "--file=-an odd%0A name (1).csv.gz", "--sha256", SHA256],
    ["check-data-quality", "--file=a.csv", "--sha256", SHA256, "--file=-b.csv", "--sha256", SHA256],
    ["assemble-listings", "--sha256", SHA256, SHA256],
    ["check-freshness"],
    ["score-new-listings", "--snapshot", "latest"],
    ["train-model", "--snapshot", "20260504T120000Z-0123456789ab"],
    ["evaluate-model", "--run-id", "0123456789abcdef" * 2],
    ["promote-to-staging", "--run-id", "0123456789abcdef" * 2],
    ["validate-staging-model", "--version", "12"],
    ["promote-to-production", "--version", "12", "--approved-by", "Amina B."],
    [
        "send-pipeline-report", "--run-id", "0123456789abcdef" * 2, "--dag-run", "train, run manual__1",
        "--link", "http://localhost:8080/dags/train/runs/manual__1", "--state", '{"train_model": "failed"}',
        "--problems", '{"train_model": "-boom\\n"}',
    ],
    ["detect-drift", "--snapshot", "latest"],
    ["rate-listings", "--snapshot", "latest"],
    ["publish-report", "--report", "reports/drift/20260504T120000Z-a.html"],
    ["rollback", "--by=Amina", "--reason=- prices look wrong", "--run=manual__1", "--version=3"],
    ["release", "raw/-odd name.csv", "--by=Amina", "--reason=--result=/data/x"],
    ["reject", f"raw/{SHA256[:12]}", "--by=Amina", "--reason=no"],
    ["alert", "--run-failed", "train, run 1", "send_pipeline_report", "the run timed_out", "--link", "http://x"],
    ["alert", "--test"],
]  # fmt: skip


@pytest.mark.parametrize("arguments", STEPS, ids=lambda arguments: " ".join(arguments)[:40])
def test_a_step_of_each_kind_is_allowed(arguments: list[str]) -> None:
    asked([*arguments, *RESULT])


def test_every_step_and_every_option_of_it_is_one_of_carprice() -> None:
    assert set(STEP_ARGUMENTS) == set(StepName)
    # The collector has a program, a container and tests of its own.
    assert {arguments[0] for arguments in STEPS} == set(StepName) - {StepName.COLLECT_LISTINGS}
    choices = application.parser()._subparsers._group_actions[0].choices
    for name, arguments in STEP_ARGUMENTS.items():
        if name == StepName.COLLECT_LISTINGS:
            continue
        known = {option for action in choices[name]._actions for option in action.option_strings}
        assert set(arguments.options) <= known, name


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--help"],
        ["land", "/run/secrets/smtp_url", "--name", "x.csv"],
        ["check", "/run/secrets/smtp_url"],
        ["run", "/run/secrets/smtp_url"],
        ["predict", "/run/secrets/smtp_url", "-o", "/data/x.csv"],
        ["claim-files", "/run/secrets/smtp_url"],
        ["claim-files", "--resul", "/data/x"],
        ["claim-files", "--result", "/data/receipts/x.json"],
        ["claim-files", "--result=http://elsewhere/x"],
        ["check-data-quality", "--file=../../run/secrets/smtp_url", "--sha256", SHA256],
        ["check-data-quality", "--file=..%2F..%2frun%2Fsecrets%2Fsmtp_url", "--sha256", SHA256],
        ["check-data-quality", "--file=.hidden.csv", "--sha256", SHA256],
        ["check-data-quality", "--file=a.csv", "--sha256", SHA256, "--file=../b.csv", "--sha256", SHA256],
        ["check-data-quality", "--file=a.csv", "--file=b.csv", "--sha256", SHA256, "x"],
        ["check-data-quality", "--file", "a.csv", "--sha256", "x"],
        ["train-model", "--snapshot", "../../run/secrets"],
        ["train-model", "--snapshot"],
        ["train-model", "--snapshot", "a", "b"],
        ["publish-report", "--report", "/run/secrets/smtp_url"],
        ["publish-report", "--report", "reports/../../run/secrets/smtp_url"],
        ["release", "/run/secrets/smtp_url"],
        ["release", "raw/a.csv", "raw/b.csv"],
        ["release", "raw/../x.csv"],
        ["promote-to-production", "--version", "3", "--approved-by", "--result=/data/x"],
        ["alert", "--run-failed", "a", "b"],
        ["alert", "--resolve", "drift:1"],
        ["collect-listings", "--source", "avito"],
    ],
    ids=" ".join,
)
def test_what_a_worker_may_not_have_run_is_refused(arguments: list[str]) -> None:
    with pytest.raises(Refusal, match=r"^Cmd m(ust|ay) "):
        asked(arguments)


@pytest.mark.parametrize(
    "variable",
    [
        "MLFLOW_TRACKING_URI=http://elsewhere",
        "MLFLOW_TRACKING_URI=http://mlflow:5000@elsewhere",
        "MLFLOW_TRACKING_USERNAME=admin",
        "MLFLOW_S3_ENDPOINT_URL=http://elsewhere",
        "AWS_ENDPOINT_URL=http://elsewhere",
        "AWS_DEFAULT_REGION=elsewhere",
        "CARPRICE_REPORTS_URL=http://elsewhere",
        "CARPRICE_SMTP_TO=somebody@elsewhere.invalid",
        "CARPRICE_SMTP_FROM=somebody@elsewhere.invalid",
        "CARPRICE_SMTP_URL=smtp://elsewhere",
        "CARPRICE_WEBHOOK_URL=http://elsewhere",
        "CARPRICE_ALERT_URLS=json://elsewhere",
        "MLFLOW_TRACKING_PASSWORD=another",
        "DATA_DIR=s3://elsewhere/data",
        "HOME=/srv/carprice/data",
    ],
)
def test_a_step_sends_its_secrets_nowhere_else(variable: str) -> None:
    file = "MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/mlflow_password"
    with pytest.raises(
        Refusal, match=f'^Env m(ust|ay) have "{re.escape(variable.partition("=")[0])}" as '
    ) as no:
        asked(["train-model", *RESULT], file, variable)
    assert "elsewhere" not in str(no.value)


def test_a_step_has_the_addresses_that_the_proxy_has() -> None:
    asked(
        ["train-model", *RESULT],
        "MLFLOW_TRACKING_URI=http://mlflow:5000",
        "CARPRICE_SMTP_TO=ops@example.invalid",
        "MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/mlflow_password",
    )
