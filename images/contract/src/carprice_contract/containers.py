"""The container of a step: how it is labelled, what it runs and where it may write."""

PROGRAM = "carprice"
"""The entrypoint of every step container but the collector's."""

COLLECTOR_PROGRAM = "carprice-collect"
"""The entrypoint of the collector's container."""

SCRATCH = "/tmp"  # noqa: S108 - the container's own
"""Where a step may write besides the data root. A volume: a tmpfs is gone before its result is read."""

RESULT_PATH = f"{SCRATCH}/result.json"
"""Where a step in a Docker container writes its result."""

DATA_LABEL = "carprice.data"
DAG_LABEL = "carprice.dag"
RUN_LABEL = "carprice.run"
TASK_LABEL = "carprice.task"
MAP_INDEX_LABEL = "carprice.map_index"
TRY_LABEL = "carprice.try"

STEP_LABELS = (DATA_LABEL, DAG_LABEL, RUN_LABEL, TASK_LABEL, MAP_INDEX_LABEL, TRY_LABEL)
"""What every step is found by: its data root, its task instance, and the try."""

PROXY_LABEL = "carprice.proxy"
"""The label of every container that the Docker proxy had made; its value is CARPRICE_PROXY_ID."""

POD_LABEL = "carprice.step"
"""The label of a step's pod; its value is a hash of the step's labels other than the try."""
