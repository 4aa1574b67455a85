"""/docs: the OpenAPI document as a page that loads nothing from other servers."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from string import Template
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse

from price_api.direct_routes import DirectRoute

_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title: API</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --strong: #0a6b56; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid var(--line); text-transform: capitalize; }
article { margin: 1.5rem 0; padding: 1rem 1.25rem; border: 1px solid var(--line); border-radius: .6rem; }
h3 { margin: 0 0 .5rem; font-family: ui-monospace, monospace; font-size: 1rem; overflow-wrap: anywhere; }
.method { color: #fff; background: var(--strong); border-radius: .3rem; padding: .1rem .5rem;
  margin-right: .5rem; }
pre { background: var(--soft); padding: .75rem; border-radius: .4rem; overflow-x: auto; font-size: .85rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; display: block; overflow-x: auto; }
td { border-top: 1px solid var(--line); padding: .3rem .6rem .3rem 0; vertical-align: top; }
summary { cursor: pointer; margin: .5rem 0; }
code { overflow-wrap: anywhere; }
</style></head><body>
<h1>$title</h1><p>$description</p>
<p>If the API asks for a key, send <code>Authorization: Bearer KEY</code> or <code>X-API-Key: KEY</code>.
The same as a document: <a href="/openapi.json">/openapi.json</a>.</p>
$sections
</body></html>
""")

_ANSWER = {
    "prediction_id": "9f0c2d4be1a54c7f8d3e6a7b5c4d3e2f",
    "price_mad": 95300,
    "low_mad": 80100,
    "high_mad": 113000,
    "currency": "MAD",
    "interval_coverage": 0.9,
    "model": {"name": "CarPricePredictor", "version": "3", "alias": "production"},
    "listing": {"make": "Dacia", "model": "Logan", "model_year": 2015, "…": None},
    "warnings": [],
    "asking_price": {
        "price_mad": 99000,
        "verdict": "fair",
        "difference_mad": 3700,
        "difference_share": 0.0388,
    },
}


def add_docs(app: FastAPI, openapi: Callable[[], dict[str, Any]]) -> None:
    """GET /docs."""

    async def docs(request: Request) -> Response:
        return HTMLResponse(
            page_of(openapi(), str(request.base_url).rstrip("/")),
            headers={
                "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
                "X-Content-Type-Options": "nosniff",
            },
        )

    app.router.routes.append(
        DirectRoute("/docs", docs, methods=["GET"], response_model=None, include_in_schema=False)
    )


def page_of(document: dict[str, Any], address: str) -> str:
    """The page; `address` is where examples send their requests."""
    sections: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            sections.setdefault(tag, []).append(_operation(address, path, method, operation, document))
    return _PAGE.substitute(
        title=html.escape(document["info"]["title"]),
        description=_text(document["info"]["description"]),
        sections="".join(f"<h2>{html.escape(tag)}</h2>{''.join(found)}" for tag, found in sections.items()),
    )


def _operation(
    address: str, path: str, method: str, operation: dict[str, Any], document: dict[str, Any]
) -> str:
    said = _text(operation.get("description") or operation.get("summary") or "").replace("\n\n", "</p><p>")
    parts = [
        f'<article><h3><span class="method">{method.upper()}</span>{html.escape(path)}</h3>',
        f"<p>{said}</p>",
        _parameters(operation),
        _fields(operation, document),
    ]
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        examples = content.get("examples") or {"one": {"summary": media, "value": content.get("example")}}
        for example in examples.values():
            parts.append(_example(address, path, media, example))
    if method == "get":
        parts.append(f"<pre>{html.escape(_curl(address, path, operation))}</pre>")
    if path == "/v1/predict":
        parts.append(f"<p>Answer</p><pre>{html.escape(_json(_ANSWER))}</pre>")
    answers = "".join(
        _row(str(status), answer.get("description", ""))
        for status, answer in sorted(operation.get("responses", {}).items())
    )
    parts.append(f"<details><summary>Answers by status</summary><table>{answers}</table></details></article>")
    return "".join(parts)


def _parameters(operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{html.escape(p['name'])}</code></td><td>{html.escape(p['in'])}"
        f"{', needed' if p.get('required') else ''}</td><td>{_text(p.get('description', ''))}</td></tr>"
        for p in operation.get("parameters", [])
    )
    return f"<table>{rows}</table>" if rows else ""


def _fields(operation: dict[str, Any], document: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    rows = "".join(
        _row(field, schema.get("description", ""))
        for field, schema in _properties(content.get("schema", {}), document).items()
    )
    return f"<details><summary>Fields</summary><table>{rows}</table></details>" if rows else ""


def _properties(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The fields of a schema, or of the schemas that it may be."""
    name = schema.get("$ref", "").rsplit("/", 1)[-1]
    found = document["components"]["schemas"].get(name, schema)
    fields = dict(found.get("properties", {}))
    for each in found.get("anyOf", ()):
        fields |= _properties(each, document)
    return fields


def _text(said: str) -> str:
    """Text as HTML; text between backquotes becomes code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(said))


def _row(name: str, said: str) -> str:
    return f"<tr><td><code>{html.escape(name)}</code></td><td>{_text(said)}</td></tr>"


def _example(address: str, path: str, media: str, example: dict[str, Any]) -> str:
    value = example.get("value")
    text = value if isinstance(value, str) else _json(value)
    if media == "application/json":
        quoted = json.dumps(value, ensure_ascii=False).replace("'", "'\\''")
        curl = f"curl {address}{path} -H 'Content-Type: {media}' -d '{quoted}'"
    elif media.startswith("multipart/"):
        curl = f"curl {address}{path} -F file=@listings.csv"
        return f"<p>{html.escape(media)}</p><pre>{html.escape(curl)}</pre>"
    else:
        curl = f"curl {address}{path} -H 'Content-Type: {media}' --data-binary @listings.csv"
    return (
        f"<p>{html.escape(str(example.get('summary', media)))}</p><pre>{html.escape(text)}</pre>"
        f"<pre>{html.escape(curl)}</pre>"
    )


def _curl(address: str, path: str, operation: dict[str, Any]) -> str:
    given = [p for p in operation.get("parameters", []) if p["in"] == "query" and "example" in p]
    query = "&".join(f"{p['name']}={p['example']}" for p in given)
    return f"curl '{address}{path}{'?' + query if query else ''}'"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2)
