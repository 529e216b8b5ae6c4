"""OpenAPI 3.1 from the operations and their structures."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

import msgspec

from edge_agent.http.answers import Refused
from edge_agent.http.contract import OPERATIONS, Operation, Parameter
from shared.wire.problem import PROBLEM_CONTENT_TYPE

_JSON: Final = "application/json"
_REFERENCE: Final = "#/components/schemas/{name}"
_OF_EVERY_CALL: Final[dict[int, tuple[str, ...]]] = {
    401: ("unauthorized",),
    403: ("till_may_not",),
    413: ("too_large",),
    429: ("too_many_calls",),
    503: ("unavailable",),
}
_OF_EVERY_BODY: Final[dict[int, tuple[str, ...]]] = {400: ("json", "input")}


def openapi_document(version: str) -> dict[str, Any]:
    """The whole description; ``version`` is the agent's."""
    schemas, components = _schemas()
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        told = _operation(operation, schemas)
        paths.setdefault(operation.path, {})[operation.method.lower()] = told
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Kopilka at the till",
            "version": version,
            "description": "Prices and records receipts in the shop, with or without head office.",
        },
        "security": [{"till": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "till": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The till's own token, as `kopilka-edge till add` printed it.",
                }
            },
        },
    }


def refusals_of(operation: Operation) -> dict[int, list[str]]:
    """Stable codes by status: those of the call, of every body, and of every call."""
    found: dict[int, list[str]] = {}
    for status, code in operation.refusals:
        found.setdefault(status, []).append(code)
    more = {} if operation.open else dict(_OF_EVERY_CALL)
    if operation.body is not None or any(p.place == "path" for p in operation.parameters):
        more |= _OF_EVERY_BODY
    for status, codes in more.items():
        found[status] = [*found.get(status, []), *codes]
    return dict(sorted(found.items()))


def _schemas() -> tuple[dict[Any, Any], dict[str, Any]]:
    types: list[type] = [Refused]
    for operation in OPERATIONS:
        types += operation.answers
        types += [] if operation.body is None else [operation.body]
    unique = list(dict.fromkeys(types))
    found, components = msgspec.json.schema_components(unique, ref_template=_REFERENCE)
    return dict(zip(unique, found, strict=True)), components


def _operation(operation: Operation, schemas: dict[Any, Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.says,
        "parameters": [_parameter(each) for each in operation.parameters],
        "responses": {
            "200": {
                "description": HTTPStatus.OK.phrase,
                "content": {_JSON: {"schema": _any_of([schemas[x] for x in operation.answers])}},
            },
            **{
                str(status): {
                    "description": f"{HTTPStatus(status).phrase}: {', '.join(codes)}",
                    "content": {PROBLEM_CONTENT_TYPE: {"schema": schemas[Refused]}},
                }
                for status, codes in refusals_of(operation).items()
            },
        },
    }
    if operation.open:
        told["security"] = []
    if operation.right is not None:
        told["x-kopilka-right"] = operation.right.value
    if operation.body is not None:
        content: dict[str, Any] = {"schema": schemas[operation.body]}
        if operation.example is not None:
            content["example"] = operation.example
        told["requestBody"] = {"required": True, "content": {_JSON: content}}
    return told


def _any_of(schemas: list[Any]) -> Any:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.place == "path",
        "description": parameter.says,
        "schema": {"type": "string"}
        | ({"minLength": 1, "maxLength": 200} if parameter.place == "path" else {}),
        **({"example": parameter.example} if parameter.example else {}),
    }
