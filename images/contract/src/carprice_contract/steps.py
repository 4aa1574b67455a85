"""The steps: the commands of `carprice` that Airflow runs, and how a command says how it ended."""

from enum import IntEnum, StrEnum


class StepName(StrEnum):
    """The first argument of `carprice`. The task of a step has the same name, with `_` for `-`."""

    CLAIM_FILES = "claim-files"
    CHECK_DATA_QUALITY = "check-data-quality"
    ASSEMBLE_LISTINGS = "assemble-listings"
    CHECK_FRESHNESS = "check-freshness"
    COLLECT_LISTINGS = "collect-listings"  # of the collector's own program
    SCORE_NEW_LISTINGS = "score-new-listings"
    TRAIN_MODEL = "train-model"
    EVALUATE_MODEL = "evaluate-model"
    PROMOTE_TO_STAGING = "promote-to-staging"
    VALIDATE_STAGING_MODEL = "validate-staging-model"
    PROMOTE_TO_PRODUCTION = "promote-to-production"
    SEND_PIPELINE_REPORT = "send-pipeline-report"
    DETECT_DRIFT = "detect-drift"
    PUBLISH_REPORT = "publish-report"
    RATE_LISTINGS = "rate-listings"
    ROLLBACK = "rollback"
    RELEASE = "release"
    REJECT = "reject"
    ALERT = "alert"  # no task: Airflow runs it when a run could not send its own report


class ExitCode(IntEnum):
    """The exit status of a command of `carprice`."""

    DONE = 0
    FAILED = 1
    """Something else went wrong; the step is tried again."""
    USAGE = 2
    """The command line, a setting or `params.yaml` is wrong; the step is not tried again."""
    REFUSED = 65
    """The data can't be used; the step is not tried again."""
    TRY_AGAIN = 75
    """A service is away; the step is tried again."""
    NOTHING_TO_DO = 99
    """There was no work, or a gate said no; the task is skipped."""


FILE_FAILED = "failed"
"""The status, in the result of a step that checks several files, of a file whose check failed."""
