"""`make docs`: write docs/settings.md from the settings classes and the definition of params.yaml.

    .venv/trainer/bin/python docs/write_settings.py [--check]

`--check` writes nothing: it exits 1 when the page is not what the classes say.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
PAGE = REPOSITORY / "docs" / "settings.md"

HEAD = """\
<!-- `make docs` writes this page from the settings classes and images/trainer/src/carprice/params.py. -->

# Settings

[params.yaml](../params.yaml) says what the pipeline does. The environment says where things are and how they
run. An unknown or unusable setting stops the start with a sentence that names it. An empty variable means
the default.
"""

CARPRICE = """\
Airflow gives each step these variables. Where a value is a password or a key, a variable with `_FILE` at its
end may name a file that holds it; an empty file means that there is none. Libraries read more variables of
their own. Airflow hands on three of those: `AWS_SESSION_TOKEN`, `MLFLOW_TRACKING_TOKEN` and
`MLFLOW_S3_ENDPOINT_URL`."""

AIRFLOW = """\
[airflow/embedded.env](../airflow/embedded.env) has Airflow's own settings for one machine, each with its
reason."""

APP = """\
`images/app/price_app/.streamlit/config.toml` has the defaults of Streamlit's own settings (`STREAMLIT_*`)."""

DOCKER_PROXY = """\
Variables without `PROXY` in their name are also [Airflow's](#airflow) or the steps'; set each once, for both.
[security.md](security.md#the-docker-api) says what the proxy allows."""

COLLECTOR = """\
[collecting.md](collecting.md) says how sites are asked and what an operator must check first. The data root
is the same as that of [`carprice`](#the-command-carprice)."""

SECTIONS = {
    "carprice": ("The command carprice", CARPRICE),
    "include": ("Airflow", AIRFLOW),
    "price_api": ("API", ""),
    "price_app": ("App", APP),
    "docker_proxy": ("Docker proxy", DOCKER_PROXY),
    "carprice_collector": ("Collector", COLLECTOR),
    "demo": ("make demo", "`make` takes these as arguments, too: `make demo ONCE=1`."),
}
"""The package of each settings class, with its heading and what else there is to say."""


def page() -> str:
    """The text of docs/settings.md."""
    parts = [HEAD]
    for package, (heading, remark) in SECTIONS.items():
        parts += [f"## {heading}\n", variables_table(settings_class(package))]
        if remark:
            parts.append(f"{remark}\n")
    parts += ["## params.yaml\n", params_tables()]
    return "\n".join(parts)


def settings_class(package: str) -> Any:
    """The class `Settings` of a package's module `settings`."""
    import importlib

    return importlib.import_module(f"{package}.settings").Settings


def variables_table(settings: Any) -> str:
    """A row for each setting of a service."""
    from carprice_contract.variables import file_variable
    from carprice_settings import secret_variables, variables

    in_files = secret_variables(settings)
    rows = []
    for name, field in variables(settings).items():
        help = str(field.description)
        if name in in_files:
            help += f" `{file_variable(name)}` may name a file that holds it."
        rows.append(f"| `{name}` | {default_in_words(field.default)} | {help} |")
    return "\n".join(["| variable | default | what it is |", "|---|---|---|", *rows, ""])


def params_tables() -> str:
    """A table for each section of params.yaml."""
    from carprice.params import Params

    parts = []
    for name, field in Params.model_fields.items():
        section: Any = field.annotation
        parts += [f"### {name}\n", f"{(section.__doc__ or '').strip()}\n"]
        rows = [
            f"| `{key}` | {default_in_words(each.default)} | {each.description} |"
            for key, each in section.model_fields.items()
        ]
        parts.append("\n".join(["| key | default | what it is |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def default_in_words(value: object) -> str:
    """A default as a table shows it."""
    if value in ("", None, Path()):
        return "empty"
    if isinstance(value, list):
        return f"{len(value)} entries, in [params.py](../images/trainer/src/carprice/params.py)"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, Path):
        return f"`{value.relative_to(REPOSITORY)}`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def main() -> int:
    """Write the page, or compare it; returns the exit status."""
    sys.path[:0] = [
        str(REPOSITORY / folder)
        for folder in ("", "airflow", "images/app", "images/docker-proxy", "images/collector/src")
    ]
    text = page()
    if "--check" in sys.argv[1:]:
        if PAGE.read_text(encoding="utf-8") == text:
            return 0
        sys.stderr.write(
            f"{PAGE.name} must be what the settings classes say, found it differs: run `make docs`.\n"
        )
        return 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
