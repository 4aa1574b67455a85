"""Secrets that arrive as files, as Compose and Kubernetes mount them."""

from __future__ import annotations

import os

from carprice.errors import UsageProblem
from carprice_contract.variables import SECRET_FILES
from carprice_settings import SettingError, text_of_file


def read_secret_files() -> None:
    """Put the content of the file that NAME_FILE names into NAME, where the libraries look.

    An empty file is no secret. Raises `UsageProblem` when a file can't be read or contradicts NAME.
    """
    for name in SECRET_FILES:
        try:
            text = text_of_file(os.environ, name)
        except SettingError as problem:
            raise UsageProblem(str(problem)) from problem
        if text:
            os.environ[name] = text
