"""The files in kubernetes/: fields Kubernetes knows, settings that exist, names that fit together."""

from __future__ import annotations

import copy
import re
import subprocess
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_api import VERSIONS, read_as

from include.settings import Settings

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "kubernetes"
VALUES = yaml.safe_load((FOLDER / "values.yaml").read_text())
OBJECTS = [
    document
    for file in sorted(FOLDER.glob("*.yaml"))
    if file.name != "values.yaml"
    for document in yaml.safe_load_all(file.read_text())
]
ENVIRONMENT = {entry["name"]: entry["value"] for entry in VALUES["env"]}


def named(document: dict[str, Any]) -> str:
    return f"{document['kind']}-{document['metadata']['name']}"


def of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {document["metadata"]["name"]: document for document in OBJECTS if document["kind"] == kind}


def pods() -> list[dict[str, Any]]:
    return [document["spec"]["template"]["spec"] for document in of_kind("Deployment").values()]


@pytest.mark.parametrize("document", OBJECTS, ids=named)
def test_kubernetes_knows_every_field(document: dict[str, Any]) -> None:
    assert read_as(f"V1{document['kind']}", document) == document


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_of_each_supported_version_takes_every_manifest(version: str) -> None:
    for document in OBJECTS:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_field_that_the_api_does_not_know_is_noticed() -> None:
    wrong = copy.deepcopy(next(iter(of_kind("Deployment").values())))
    wrong["spec"]["template"]["spec"]["containers"][0]["memory"] = "1Gi"

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, VERSIONS[0], strict=True)


def test_the_documented_version_is_the_oldest_that_is_tried() -> None:
    (oldest,) = re.findall(r"Kubernetes ([0-9.]+) or newer", (ROOT / "docs/kubernetes.md").read_text())

    assert oldest == VERSIONS[0]


def test_airflow_takes_the_environment_of_the_values() -> None:
    settings = Settings.from_environment(ENVIRONMENT)

    assert settings.runtime == "kubernetes"
    assert all(isinstance(value, str) for value in ENVIRONMENT.values())


def test_every_setting_of_a_manifest_is_documented() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    names = {entry["name"] for pod in pods() for c in pod["containers"] for entry in c["env"]}

    assert len(names) > 10
    for name in {name for name in names if not name.startswith(("AWS_", "MLFLOW_"))}:
        assert f"`{name}`" in page, name


def test_the_images_are_those_that_are_built() -> None:
    script = (ROOT / "images/build").read_text()
    built = re.search(r"^all=\((.*)\)$", script, re.M)
    images = {c["image"] for pod in pods() for c in pod["containers"]} | {
        f"{VALUES['defaultAirflowRepository']}:{VALUES['defaultAirflowTag']}",
        ENVIRONMENT["CARPRICE_TRAINER_IMAGE"],
        ENVIRONMENT["CARPRICE_SERVING_IMAGE"],
    }

    assert built
    for image in images:
        name = re.fullmatch(r"registry\.example/carprice-([a-z-]+):1\.0", image)
        assert name, image
        assert name[1] in built[1].split()


def test_airflow_is_the_version_that_is_installed() -> None:
    requirements = (ROOT / "airflow/requirements.txt").read_text()

    assert f"\napache-airflow=={VALUES['airflowVersion']}\n" in requirements


def test_steps_find_their_namespace_account_and_mlflow() -> None:
    namespace = ENVIRONMENT["CARPRICE_KUBERNETES_NAMESPACE"]
    port = of_kind("Service")["mlflow"]["spec"]["ports"][0]["port"]

    assert set(of_kind("Namespace")) == {namespace}
    assert {d["metadata"]["namespace"] for d in OBJECTS if d["kind"] != "Namespace"} == {namespace}
    assert ENVIRONMENT["CARPRICE_KUBERNETES_SERVICE_ACCOUNT"] in of_kind("ServiceAccount")
    assert ENVIRONMENT["MLFLOW_TRACKING_URI"] == f"http://mlflow.{namespace}:{port}"
    api = of_kind("Deployment")["price-api"]["spec"]["template"]["spec"]["containers"][0]["env"]
    told = {entry["name"]: entry.get("value") for entry in api}
    assert told["DATA_DIR"] == ENVIRONMENT["DATA_DIR"]
    assert told["MLFLOW_TRACKING_URI"] == ENVIRONMENT["MLFLOW_TRACKING_URI"]


def test_params_are_where_airflow_looks_for_them() -> None:
    (volume,), (mount,) = VALUES["volumes"], VALUES["volumeMounts"]

    assert mount["name"] == volume["name"]
    assert ENVIRONMENT["CARPRICE_PARAMS_FILE"] == f"{mount['mountPath']}/params.yaml"


def test_a_service_leads_to_a_port_of_its_deployment() -> None:
    for name, service in of_kind("Service").items():
        template = of_kind("Deployment")[name]["spec"]["template"]
        ports = {port["name"] for c in template["spec"]["containers"] for port in c["ports"]}
        assert service["spec"]["selector"] == template["metadata"]["labels"]
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_no_pod_may_more_than_the_restricted_standard_lets_it() -> None:
    for pod in pods():
        assert pod["automountServiceAccountToken"] is False
        assert pod["enableServiceLinks"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] > 0
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert container["resources"]["limits"]["memory"] == container["resources"]["requests"]["memory"]


def test_no_value_of_a_secret_is_in_the_files() -> None:
    secret = re.compile("(PASSWORD|SECRET|TOKEN|_KEY|_URL)$")
    entries = [*VALUES["env"], *(entry for pod in pods() for c in pod["containers"] for entry in c["env"])]

    assert [e["name"] for e in entries if secret.search(e["name"]) and e.get("value")] == [
        "AIRFLOW__API__BASE_URL",
        "CARPRICE_KUBERNETES_SECRET",
        "CARPRICE_APP_API_URL",
    ]
    assert of_kind("Secret") == {}


@pytest.mark.parametrize(
    ("arguments", "run"),
    [
        (["scheduler"], "airflow scheduler"),
        (["airflow", "db", "check"], "airflow db check"),
        (["python", "-m", "a.b", "x y"], "python -m a.b x y"),
        (["bash", "-c", "exec airflow scheduler"], "bash -c exec airflow scheduler"),
        ([], "airflow "),
    ],
)
def test_the_image_runs_what_the_chart_asks_for(arguments: list[str], run: str, tmp_path: Path) -> None:
    for name in ("airflow", "python", "bash"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "{name} $*"\n')
        (tmp_path / name).chmod(0o755)

    done = subprocess.run(
        [str(ROOT / "airflow/entrypoint"), *arguments],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout == f"{run}\n"


def selected(policy: dict[str, Any]) -> str:
    """The name of the pods that a policy is for."""
    return str(policy["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/name"])


def test_every_pod_has_a_policy_and_leaves_the_cluster_for_named_addresses_alone() -> None:
    policies = of_kind("NetworkPolicy").values()
    pods_of_deployments = {
        document["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"]
        for document in of_kind("Deployment").values()
    }
    of_step = re.search(
        r'"app.kubernetes.io/name": "([a-z-]+)"', (ROOT / "airflow/include/pod_step.py").read_text()
    )

    assert of_step
    assert {selected(policy) for policy in policies} == {*pods_of_deployments, of_step[1]}
    for policy in policies:
        assert "Egress" in policy["spec"]["policyTypes"]
        for rule in policy["spec"]["egress"]:
            assert rule["ports"]
            for to in rule["to"]:
                assert (
                    to.get("podSelector")
                    or to.get("namespaceSelector")
                    or to["ipBlock"]["cidr"].endswith("/32")
                )


def test_the_ports_of_the_policies_are_those_of_the_services() -> None:
    for policy in of_kind("NetworkPolicy").values():
        for rule in policy["spec"]["egress"]:
            for to in rule["to"]:
                if name := to.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/name"):
                    service = of_kind("Service")[name]["spec"]["ports"][0]["port"]
                    assert [port["port"] for port in rule["ports"]] == [service]
