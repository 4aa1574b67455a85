"""How every service reads its settings: one class per service, from the environment, once, at its edge.

A service subclasses `ServiceSettings` and declares each setting with `setting()`. Needs pydantic-settings,
which the environment of each service has.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import Field, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from carprice_contract.variables import file_variable


class SettingError(ValueError):
    """A variable of the environment is unknown or has a value that can't be used."""


def setting(name: str, default: object, help: str, *, secret: bool = False, **limits: Any) -> Any:
    """A setting: its variable's name, its default and one sentence of help.

    The value of a `secret` one may also be in a file that `NAME_FILE` names, and is never shown.
    `limits` are those of pydantic: gt, ge, lt, le.
    """
    return Field(
        default=default,
        validation_alias=name,
        description=help,
        repr=not secret,
        json_schema_extra={"secret": secret},
        **limits,
    )


class ServiceSettings(BaseSettings):
    """The settings of one service. Immutable; an instance made with arguments reads no environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", case_sensitive=True, validate_by_name=True, allow_inf_nan=False
    )

    prefix: ClassVar[str] = ""
    """Variables that begin like this are settings of the service; an unknown one is refused."""

    foreign: ClassVar[tuple[str, ...]] = ()
    """Variables of other services that share the prefix: a name, or, where it ends in `_`, how they begin."""

    empty_file_is_none: ClassVar[bool] = False
    """Whether an empty file of a secret means that there is none; otherwise it is refused."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as problem:
            raise SettingError(_sentence(type(self), problem)) from None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """The settings in `environment` (default: the process's own).

        A variable that is not there or empty has its default. Raises `SettingError` for an unknown variable,
        a file that can't be read and an unusable value.
        """
        given = dict(os.environ if environment is None else environment)
        cls.refuse_unknown(given)
        for name in secret_variables(cls):
            if text := text_of_file(given, name):
                given[name] = text
            elif given.get(file_variable(name)) and not cls.empty_file_is_none:
                raise SettingError(
                    f"{file_variable(name)} must name a file that holds the value of {name}, "
                    f"found {given[file_variable(name)]!r} empty: write the value into it."
                )
        source = EnvSettingsSource(cls)
        source.env_vars = {name: value for name, value in given.items() if value}
        return cls(**source())

    @classmethod
    def refuse_unknown(cls, environment: Mapping[str, str]) -> None:
        """Raises `SettingError` for a variable with the service's prefix that is none of its settings."""
        if not cls.prefix:
            return
        known = {*variables(cls), *map(file_variable, secret_variables(cls))}
        prefixes = tuple(other for other in cls.foreign if other.endswith("_"))
        for name in sorted(environment):
            is_foreign = name in cls.foreign or name.startswith(prefixes)
            if name.startswith(cls.prefix) and name not in known and not is_foreign:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}."
                raise SettingError(f"There is no setting {name}: {hint}")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments only: `from_environment` reads the environment, so a test's `Settings()` does not."""
        return (init_settings,)


class DataRootSettings(ServiceSettings):
    """The settings of a service that works on the data root."""

    data_dir: str = setting(
        "DATA_DIR", "data", "The data root: a folder, or an object-store URL such as s3://bucket/prefix."
    )
    mlflow_tracking_uri: str = setting(
        "MLFLOW_TRACKING_URI", "", "The MLflow server; empty: a database under the data root."
    )

    @property
    def data_is_local(self) -> bool:
        """Whether the data root is a folder."""
        return "://" not in self.data_dir or self.data_dir.startswith("file://")

    @property
    def data_root(self) -> str:
        """The data root: an absolute folder or a URL."""
        # As it stands: a folder may have any character in its name, also those that have a meaning in a URL.
        return os.path.abspath(self.data_dir.removeprefix("file://")) if self.data_is_local else self.data_dir


def variables(settings: type[ServiceSettings]) -> dict[str, FieldInfo]:
    """Each setting by the name of its variable."""
    return {str(field.validation_alias): field for field in settings.model_fields.values()}


def secret_variables(settings: type[ServiceSettings]) -> list[str]:
    """The variables whose value may be in a file."""
    found = variables(settings).items()
    return [name for name, field in found if (field.json_schema_extra or {}).get("secret")]  # type: ignore[union-attr]


def text_of_file(environment: Mapping[str, str], name: str) -> str:
    """The text of the file that `NAME_FILE` names; "" where none is named, or where it is empty.

    Raises `SettingError` when it can't be read, and when `name` itself is set to something else.
    """
    variable = file_variable(name)
    path = environment.get(variable)
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read().strip()
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is no UTF-8"
        raise SettingError(
            f"{variable} must name a readable file with the value of {name}, found {path}: {reason}; "
            "correct the path, or the owner of the file."
        ) from problem
    if text and environment.get(name, "") not in ("", text):
        raise SettingError(f"{name} and {variable} are both set, and differ: remove one of them.")
    return text


def expected(field: FieldInfo) -> str:
    """What a setting accepts, in words."""
    if get_origin(field.annotation) is Literal:
        return f"one of {', '.join(map(str, get_args(field.annotation)))}"
    kind = {int: "a whole number", float: "a number", bool: "true or false"}.get(field.annotation, "text")  # type: ignore[arg-type]
    limits = {
        key: f"{getattr(limit, key):g}"
        for limit in field.metadata
        for key in ("gt", "ge", "lt", "le")
        if getattr(limit, key, None) is not None
    }
    words = {"gt": "above", "ge": "of at least", "lt": "below", "le": "of at most"}
    if "ge" in limits and "le" in limits:
        return f"{kind} from {limits['ge']} to {limits['le']}"
    return " ".join([kind, " and ".join(f"{words[key]} {limit}" for key, limit in limits.items())]).strip()


def _sentence(settings: type[ServiceSettings], problem: ValidationError) -> str:
    """What the first error says, in the reader's words."""
    error = problem.errors()[0]
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    name = str(error["loc"][0])
    if name in settings.model_fields:
        name = str(settings.model_fields[name].validation_alias)
    field = variables(settings).get(name)
    if field is None:
        return f"There is no setting {name}."
    shown = repr(error["input"]) if field.repr else "something else"
    return f"{name} must be {expected(field)}, not {shown}."
