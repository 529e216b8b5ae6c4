"""``/openapi.json`` and ``/docs``: the till API described, for programs and for people.

The page is made once, of the same operations; it runs no script and fetches nothing but its style.
"""

from __future__ import annotations

import json
from html import escape
from importlib import resources
from typing import Any, Final

import msgspec
from aiohttp import web

from edge_agent.http.contract import OPERATIONS, Operation
from edge_agent.http.openapi import openapi_document, refusals_of

OPEN_PATHS: Final = frozenset({"/openapi.json", "/docs", "/docs.css"})
"""What the description needs no token for: it tells nothing of a shop."""
_CSP: Final = (
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_STYLE: Final = resources.files("edge_agent.http").joinpath("docs.css")


class DocsApi:
    """The handlers; everything is made when the agent starts."""

    def __init__(self, version: str) -> None:
        document = openapi_document(version)
        self._openapi = msgspec.json.encode(document)
        self._page = page_of(document)
        self._style = _STYLE.read_text("utf-8")

    def routes(self) -> list[web.RouteDef]:
        """What the listener adds to its own addresses."""
        return [
            web.get("/openapi.json", self.openapi),
            web.get("/docs", self.page),
            web.get("/docs.css", self.style),
        ]

    async def openapi(self, _request: web.Request) -> web.Response:
        """The description for programs."""
        return web.Response(body=self._openapi, content_type="application/json")

    async def page(self, _request: web.Request) -> web.Response:
        """The description for people."""
        headers = {"Content-Security-Policy": _CSP, "X-Content-Type-Options": "nosniff"}
        return web.Response(text=self._page, content_type="text/html", headers=headers)

    async def style(self, _request: web.Request) -> web.Response:
        """How the page looks."""
        return web.Response(text=self._style, content_type="text/css")


def page_of(document: dict[str, Any]) -> str:
    """The page of a description."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    calls = "".join(_call(each, document) for each in OPERATIONS)
    structures = "".join(_structure(name, schema) for name, schema in sorted(schemas.items()))
    links = "".join(
        f'<li><b>{each.method}</b> <a href="#{each.name}">{escape(each.path)}</a></li>'
        for each in OPERATIONS
    )
    info = document["info"]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(info['title'])}</title>"
        '<link rel="stylesheet" href="/docs.css"></head><body>'
        f"<header><h1>{escape(info['title'])}</h1>"
        f"<p>{escape(info['description'])} Version {escape(info['version'])}; for programs: "
        '<a href="/openapi.json">openapi.json</a>.</p>'
        "<p>Every call but health shows <code>Authorization: Bearer</code> with the till's own "
        "token, which <code>kopilka-edge till add</code> made. Money, quantities and points are "
        "decimal strings. What a newer agent adds to an answer, an older till passes over.</p>"
        "</header>"
        f"<nav><ol>{links}</ol></nav><main>{calls}<h2>Structures</h2>{structures}</main>"
        "</body></html>"
    )


def _call(operation: Operation, document: dict[str, Any]) -> str:
    told = document["paths"][operation.path][operation.method.lower()]
    heading = f"<b>{operation.method}</b> {escape(operation.path)}"
    parts = [f'<section id="{operation.name}"><h2>{heading}</h2><p>{escape(operation.says)}</p>']
    if operation.parameters:
        rows = "".join(
            f"<tr><td><code>{escape(each.name)}</code></td><td>{each.place}</td>"
            f"<td>{escape(each.says)}</td></tr>"
            for each in operation.parameters
        )
        parts.append(f"<table><tbody>{rows}</tbody></table>")
    if operation.body is not None:
        [content] = told["requestBody"]["content"].values()
        parts.append(f"<p>Body: {_type(content['schema'])}</p>")
    if operation.example is not None:
        parts.append(f"<pre>{escape(json.dumps(operation.example, indent=1))}</pre>")
    [content] = told["responses"]["200"]["content"].values()
    parts.append(f"<p>Answer: {_type(content['schema'])}</p>")
    rows = "".join(
        f"<tr><td>{status}</td><td>"
        + ", ".join(f"<code>{escape(code)}</code>" for code in codes)
        + "</td></tr>"
        for status, codes in refusals_of(operation).items()
    )
    if rows:
        parts.append(f"<table><caption>Refusals</caption><tbody>{rows}</tbody></table>")
    parts.append("</section>")
    return "".join(parts)


def _structure(name: str, schema: dict[str, Any]) -> str:
    required = set(schema.get("required", ()))
    rows = "".join(
        f"<tr><td><code>{escape(key)}</code></td>"
        f"<td>{'required' if key in required else ''}</td><td>{_type(value)}</td></tr>"
        for key, value in schema.get("properties", {}).items()
    )
    says = escape(schema.get("description", "").replace("``", ""))
    return (
        f'<section id="{escape(name)}"><h3>{escape(name)}</h3><p>{says}</p>'
        f"<table><tbody>{rows}</tbody></table></section>"
    )


def _type(schema: dict[str, Any]) -> str:
    """A type in words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "enum" in schema:
        return " or ".join(f"<code>{escape(json.dumps(each))}</code>" for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"names to {_type(inner)}" if isinstance(inner, dict) and inner else "object"
    if schema.get("type") == "string" and "pattern" in schema:
        shown = [f"<code>{escape(json.dumps(each))}</code>" for each in schema.get("examples", ())]
        return "text" + (f" as {shown[0]}" if shown else " of a decimal")
    kind = str(schema.get("type", "anything"))
    kinds = {"string": "text", "integer": "whole number", "boolean": "true or false"}
    return kinds.get(kind, kind)
