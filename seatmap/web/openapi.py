"""The OpenAPI 3.1 document, made from the table of endpoints and the types that go in and come out."""

import re
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import msgspec

from seatmap import __version__
from seatmap.errors import REFUSALS, PlanInvalid, Unavailable
from seatmap.web.endpoint import Access, Endpoint, takes_key
from seatmap.web.idempotency import KEY_LENGTH_MAX

PROBLEM = "application/problem+json"

TAGS = {
    "map": "Events, plans and seats, for everybody.",
    "commands": "Hold, book and cancel. The visitor is known by a cookie that any answer sets.",
    "orders": "What a visitor bought, or who is signed in.",
    "payments": "Paying for an order, and what payment providers send.",
    "account": "Signing up, in and out.",
    "admin events": "Making, changing, publishing, pausing and cancelling events, and their seats.",
    "admin plans": "Venue plans.",
    "box office": "Everybody's orders: reseating, refunding, cancelling.",
    "exports": "Lists as CSV, streamed.",
    "users": "Accounts and their roles.",
    "jobs": "Background work.",
    "admin": "What was done by whom, and the settings in force.",
    "integrators": "API keys for programs. A key may do what its scopes say, and never more than its maker.",
}

KNOWN = REFUSALS | {PlanInvalid.code: (PlanInvalid.status, PlanInvalid.title, "The plan cannot be used.")}

# Refused by the router's own parameters, whichever endpoint they are in.
_OF_PARAMETER = {"event_id": "event_not_found", "order_id": "order_not_found"}
_WHO: dict[Access, list[dict[str, list[str]]]] = {
    Access.public: [],
    Access.visitor: [{"visitor": []}, {}],
}
_SIGNED_IN: list[dict[str, list[str]]] = [{"session": []}, {"api_key": []}]

_PROBLEM_SCHEMA = {
    "title": "Problem",
    "description": "An RFC 9457 problem. Further members say what the sentence is about: `seats`, `setting` …",
    "type": "object",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string", "description": "A stable word, for programs."},
        "detail": {"type": "string", "description": "A sentence for a person; it may be reworded."},
        "temporary": {"type": "boolean", "description": "Asking again may help."},
    },
    "required": ["type", "title", "status", "code", "detail", "temporary"],
}

_SECURITY_SCHEMES = {
    "visitor": {
        "type": "apiKey",
        "in": "cookie",
        "name": "visitor",
        "description": "Who holds and buys. A visitor's first answer sets it; over https `__Host-visitor`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "session",
        "description": "Who is signed in, with an account; over https it is `__Host-session`.",
    },
    "api_key": {
        "type": "http",
        "scheme": "bearer",
        "description": "A key that an admin made for a program: `Authorization: Bearer sk_…`.",
    },
}


def document(endpoints: Iterable[Endpoint]) -> dict[str, Any]:
    """The whole document, ready to be encoded as JSON."""
    table = [endpoint for endpoint in endpoints if endpoint.path.startswith("/api/")]
    schemas = Schemas(
        kind
        for endpoint in table
        for kind in (endpoint.body, endpoint.answer, endpoint.query)
        if kind not in (None, bytes)
    )
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    for endpoint in table:
        paths[endpoint.path][endpoint.method.lower()] = _operation(endpoint, schemas)
    used = sorted({endpoint.tag for endpoint in table}, key=[*TAGS, *(e.tag for e in table)].index)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Seatmap",
            "version": __version__,
            "description": "Reserved seats in real time. The live map is a websocket: see /api/asyncapi.json.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": tag, "description": TAGS.get(tag, "")} for tag in used],
        "paths": dict(paths),
        "components": {
            "schemas": schemas.components | {"Problem": _PROBLEM_SCHEMA},
            "securitySchemes": _SECURITY_SCHEMES,
        },
    }


class Schemas:
    """The JSON schemas of some types: each type's own, and the components that they refer to."""

    def __init__(self, kinds: Iterable[Any]) -> None:
        # a type may be unhashable (list[…] with metadata), hence the repr
        found = {repr(kind): kind for kind in kinds}
        schemas, self.components = msgspec.json.schema_components(
            found.values(), ref_template="#/components/schemas/{name}"
        )
        for component in self.components.values():
            if "description" in component:
                component["description"] = re.sub(r"\s+", " ", component["description"])
        self._of = dict(zip(found, schemas, strict=True))

    def of(self, kind: Any) -> dict[str, Any]:
        """The schema of one of the types, usually a reference."""
        return self._of[repr(kind)]

    def whole(self, kind: Any) -> dict[str, Any]:
        """The schema of a Struct itself, not a reference to it."""
        found = self.of(kind)
        return self.components[found["$ref"].rpartition("/")[2]] if "$ref" in found else found

    def optional_tag(self, kind: Any) -> None:
        """Lets the type's tag be absent: over HTTP the address says it."""
        config = getattr(kind, "__struct_config__", None)
        if config is not None and config.tag is not None:
            whole = self.whole(kind)
            whole["required"] = [name for name in whole.get("required", []) if name != config.tag_field]


def _operation(endpoint: Endpoint, schemas: Schemas) -> dict[str, Any]:
    answer: Any = {"type": "object"} if endpoint.answer is None else schemas.of(endpoint.answer)
    if endpoint.media != "application/json":
        answer = {"type": "string"}
    operation: dict[str, Any] = {
        "operationId": _name(endpoint),
        "tags": [endpoint.tag],
        "summary": endpoint.summary,
        "security": _WHO.get(endpoint.access, _SIGNED_IN),
        "responses": {
            str(endpoint.status): {
                "description": endpoint.summary,
                "content": {endpoint.media: {"schema": answer}},
            },
            **_refusals(endpoint),
        },
    }
    if endpoint.access > Access.account:
        operation["x-role"] = endpoint.access.name
    if parameters := [*_parameters(endpoint), *_query_parameters(endpoint, schemas)]:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        schemas.optional_tag(endpoint.body)
        schema = {"type": "object"} if endpoint.body is bytes else schemas.of(endpoint.body)
        content: dict[str, Any] = {"schema": schema}
        if endpoint.example is not None:
            content["example"] = endpoint.example
        # without a body every field has its default, as in {}
        needed = endpoint.body is bytes or bool(schemas.whole(endpoint.body).get("required"))
        operation["requestBody"] = {"required": needed, "content": {"application/json": content}}
    return operation


def _name(endpoint: Endpoint) -> str:
    """A stable name: post_events_event_id_hold."""
    return "_".join([endpoint.method.lower(), *re.findall(r"\w+", endpoint.path.removeprefix("/api"))])


def _parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    schemas: dict[str, dict[str, Any]] = {
        "order_id": {"type": "string", "format": "uuid"},
        "provider": {"type": "string"},
        "session": {"type": "string"},
        "event_id": {"type": "integer", "minimum": 0, "examples": [1]},
    }
    number = {"type": "integer", "minimum": 0}
    header = {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX}
    said = "Sent again with the same key and body, the request is not done again; kept for 24 hours."
    key = {"name": "Idempotency-Key", "in": "header", "schema": header, "description": said}
    return [key] * takes_key(endpoint) + [
        {"name": name, "in": "path", "required": True, "schema": schemas.get(name, number)}
        for name in re.findall(r"{(\w+)", endpoint.path)
    ]


def _query_parameters(endpoint: Endpoint, schemas: Schemas) -> list[dict[str, Any]]:
    if endpoint.query is None:
        return []
    whole = schemas.whole(endpoint.query)
    return [
        {"name": name, "in": "query", "required": name in whole.get("required", ()), "schema": schema}
        for name, schema in whole["properties"].items()
    ]


def _refusals(endpoint: Endpoint) -> dict[str, Any]:
    """The answers that are problems, by status: each with the codes that it may have."""
    by_status: dict[int, list[str]] = defaultdict(list)
    for code in codes(endpoint):
        by_status[KNOWN[code][0]].append(code)
    answers = {
        str(status): _problem(
            " ".join(f"`{code}`: {KNOWN[code][2]}" for code in of_status), {"enum": of_status}
        )
        for status, of_status in sorted(by_status.items())
    }
    answers[str(Unavailable.status)] = _problem("A store is away; asking again may help.", {"type": "string"})
    answers["default"] = _problem("Another problem; see /docs/problems.", {"type": "string"})
    return answers


def codes(endpoint: Endpoint) -> list[str]:
    """The codes that an endpoint may refuse with: its guards', its parameters' and its own."""
    # an API key that is none is refused everywhere, and so is whoever asks too often
    found = [*endpoint.refuses, "sign_in_required", "too_many_requests"]
    found += [code for name, code in _OF_PARAMETER.items() if f"{{{name}}}" in endpoint.path]
    if endpoint.method != "GET":
        found += ["wrong_origin", "forbidden"]  # of another site, or by a key that may only read
    if endpoint.access > Access.account:
        found.append("forbidden")
    if endpoint.critical:
        found.append("password_needed")
    if takes_key(endpoint):
        found += ["idempotency_mismatch", "idempotency_in_flight", "invalid"]
    if endpoint.body is not None:
        found += ["too_large"] if endpoint.body is bytes else ["malformed", "invalid", "too_large"]
    if endpoint.query is not None:
        found.append("invalid")
    return sorted(set(found))


def _problem(description: str, code: dict[str, Any]) -> dict[str, Any]:
    schema = {"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": {"code": code}}]}
    return {"description": description, "content": {PROBLEM: {"schema": schema}}}
