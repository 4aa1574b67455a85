"""Reading `params.yaml`: a key that does not exist or a value of the wrong kind stops the step at once.

Every refusal names the key, what it accepts and what was found.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from carprice.errors import UsageProblem
from carprice.params import Params
from carprice.settings import settings

if TYPE_CHECKING:
    import yaml

FILE_NAME = "params.yaml"


def load_params() -> Params:
    """The settings of this process.

    Taken from the YAML text in `CARPRICE_PARAMS`, else from the file named by `CARPRICE_PARAMS_FILE`,
    else from `./params.yaml`. Raises `UsageProblem` that names the key, the value found and what is
    accepted.
    """
    here = settings()
    if here.params.strip():
        return parse_params(here.params)
    name = here.params_file
    try:
        with open(name, encoding="utf-8") as file:
            return parse_params(file.read(), os.path.basename(name))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageProblem(
            f"The settings file {name} can't be read ({reason}); "
            f"start from the root of the repository or name the file in CARPRICE_PARAMS_FILE."
        ) from error


def parse_params(text: str, source: str = FILE_NAME) -> Params:
    """Settings from YAML text; `source` is what messages call it. Raises `UsageProblem`."""
    import yaml

    try:
        document = yaml.load(text, Loader=_unique_key_loader())  # noqa: S506 (derived from SafeLoader)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" in line {where.line + 1}" if where else ""
        problem = getattr(error, "problem", None) or str(error)
        raise UsageProblem(
            f"{source} is not valid YAML{line}: {problem}; correct it and start again."
        ) from error
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise UsageProblem(
            f"{source} must hold sections such as {', '.join(Params.model_fields)}, "
            f"found {_shown(document)}; correct it and start again."
        )
    # a section whose every key is commented out
    document = {key: {} if value is None else value for key, value in document.items()}
    try:
        return Params.model_validate(document)
    except ValidationError as error:
        problems = "; ".join(_sentence(dict(e)) for e in error.errors())
        raise UsageProblem(f"{source}: {problems}; correct it and start again.") from error


def _sentence(error: dict[str, Any]) -> str:
    """What one validation error says, in the reader's words."""
    path = tuple(error["loc"])
    name = ".".join(str(part) for part in path)
    if error["type"] == "extra_forbidden":
        known = sorted(_property(path[:-1]).get("properties", {}))
        close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        hint = f"did you mean {close[0]!r}?" if close else f"known here are {', '.join(known)}"
        return f"{name} is not a setting ({hint})"
    if error["type"] == "missing":
        return f"{name} must be set to {_accepted(_property(path))}"
    if error["type"] in {"value_error", "assertion_error"}:
        reason = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
        return f"{name or 'the file'}: {reason}"
    return f"{name} must be {_accepted(_property(path))}, found {_shown(error['input'])}"


def _property(path: tuple[Any, ...]) -> dict[str, Any]:
    """The JSON schema of the setting at `path` (empty where there is none)."""
    schema = Params.model_json_schema()
    definitions = schema.get("$defs", {})

    def resolved(node: dict[str, Any]) -> dict[str, Any]:
        reference = node.get("$ref") or (node.get("allOf") or [{}])[0].get("$ref")
        return definitions[reference.rsplit("/", 1)[-1]] if reference else node

    node: dict[str, Any] = resolved(schema)
    for part in path:
        options = [resolved(option) for option in node.get("anyOf", [node])]
        for option in options:
            if isinstance(part, int):
                found = option.get("items")
            elif part in option.get("properties", {}):
                found = option["properties"][part]
            else:
                extra = option.get("additionalProperties")
                found = extra if isinstance(extra, dict) else None
            if found is not None:
                node = resolved(found)
                break
        else:
            return {}
    return node


_KINDS = {
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "array": "a list",
    "object": "a section of keys",
    "null": "null",
}


def _accepted(node: dict[str, Any]) -> str:
    """What a JSON schema node accepts, in words."""
    if "anyOf" in node:
        return " or ".join(_accepted(option) for option in node["anyOf"])
    if "enum" in node or "const" in node:
        return "one of " + ", ".join(repr(v) for v in node.get("enum", [node.get("const")]))
    words = _KINDS.get(node.get("type", ""), "a valid value")
    if node.get("type") == "array" and isinstance(node.get("items"), dict) and "type" in node["items"]:
        words += f", each entry {_accepted(node['items'])}"
    limits = {
        "minimum": ">=",
        "exclusiveMinimum": ">",
        "maximum": "<=",
        "exclusiveMaximum": "<",
    }
    bounds = [f"{sign} {node[key]:g}" for key, sign in limits.items() if key in node]
    lengths = [
        f"{sign} {node[key]} long"
        for key, sign in {"minLength": ">=", "minItems": ">=", "maxLength": "<=", "maxItems": "<="}.items()
        if key in node
    ]
    return " ".join([words, " and ".join(bounds + lengths)]).strip()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _unique_key_loader() -> type[yaml.SafeLoader]:
    """A safe YAML loader that refuses a key given twice, of which YAML would keep the last."""
    import yaml

    class Loader(yaml.SafeLoader):
        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
            seen = set()
            for key_node, _ in node.value:
                key = key_node.value
                if key in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"the key {key!r} stands there twice", key_node.start_mark
                    )
                seen.add(key)
            return super().construct_mapping(node, deep)

    return Loader
