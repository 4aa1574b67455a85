"""What a step's pod may use, and as whom it runs."""

from __future__ import annotations

import re

from kubernetes.client import models as k8s

from include.settings import SettingError, Settings

BACKGROUND_CPU_SHARE = 1 / 16


def resources(here: Settings, background: bool) -> k8s.V1ResourceRequirements:
    """The resources of a step: it requests all the memory it may use, so that no node promises it twice.

    A background step requests a small share of the processor: it gives way to the others, and may use
    what they leave.
    """
    memory = _quantity(here.step_memory)
    cpus = here.step_cpus * (BACKGROUND_CPU_SHARE if background else 1)
    return k8s.V1ResourceRequirements(
        requests={"cpu": f"{max(round(cpus * 1000), 1)}m", "memory": memory},
        limits={"cpu": f"{max(round(here.step_cpus * 1000), 1)}m", "memory": memory},
    )


def pod_security(here: Settings) -> k8s.V1PodSecurityContext:
    """Never root. Anybody may write to an emptyDir, so no group needs to own it."""
    user = re.fullmatch(r"([1-9]\d*):(\d+)", here.container_user)
    if user is None:
        raise SettingError(
            "With CARPRICE_RUNTIME=kubernetes, CARPRICE_STEP_USER must be uid:gid in numbers, "
            f"the uid above 0, not {here.container_user!r}."
        )
    return k8s.V1PodSecurityContext(
        run_as_non_root=True,
        run_as_user=int(user[1]),
        run_as_group=int(user[2]),
        seccomp_profile=k8s.V1SeccompProfile(type="RuntimeDefault"),
    )


def _quantity(memory: str) -> str:
    """`memory` as Docker takes it (2g, 512m, bytes) in Kubernetes' words. Raises `SettingError`."""
    parts = re.fullmatch(r"(\d+)(?:([kmgt])?b?)", memory.strip().lower())
    if parts is None:
        raise SettingError(
            f"CARPRICE_STEP_MEMORY must be a number with k, m or g, such as 2g, not {memory!r}."
        )
    return f"{parts[1]}{parts[2].title()}i" if parts[2] else parts[1]
