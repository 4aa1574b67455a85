"""Secrets that arrive as files, as Compose and Kubernetes mount them."""

from __future__ import annotations

import os

from carprice.errors import UsageProblem
from carprice_contract.variables import SECRET_FILES, file_variable


def read_secret_files() -> None:
    """Put the content of the file that NAME_FILE names into NAME, where the libraries look.

    An empty file is no secret. Raises `UsageProblem` when a file can't be read or contradicts NAME.
    """
    for name in SECRET_FILES:
        path = os.environ.get(file_variable(name))
        if not path:
            continue
        try:
            with open(path, encoding="utf-8") as file:
                text = file.read().strip()
        except (OSError, UnicodeDecodeError) as problem:
            why = problem.strerror if isinstance(problem, OSError) else "it is no UTF-8"
            raise UsageProblem(
                f"{name}_FILE must name a file with a secret that can be read, found {path}: {why}; "
                "correct the path, or the owner of the file"
            ) from problem
        if text and os.environ.get(name, "") not in ("", text):
            raise UsageProblem(f"{name} and {name}_FILE are both set, and differ; keep one of them")
        if text:
            os.environ[name] = text
