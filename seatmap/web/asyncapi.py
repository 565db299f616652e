"""The AsyncAPI 3 document of the live map's websocket, made from the types of its messages."""

import re
from typing import Any

import msgspec

from seatmap import __version__, protocol
from seatmap.model import Order

_FRAMES = (
    "Seats, little endian: u8 type (1 snapshot, 2 change, 3 heartbeat, 4 rebase), u8 flags, u16 plan version, "
    "u32 epoch, then two u32 by type, then from offset 16 what the type carries: a snapshot two bits per seat, "
    "a change u32 entries `seat << 8 | status`, a rebase its old position and entries. "
    "docs/protocol.md says what a page does with each."
)

# A change from version 7 to 9 in epoch 1: seat 4 held, seat 260 booked. docs/protocol.md works the same one.
_EXAMPLE = protocol.change_frame(1, 7, 9, 1, {4: 1, 260: 2})


def document() -> dict[str, Any]:
    """The whole document, ready to be encoded as JSON."""
    said = (protocol.Hello, protocol.MineState, protocol.Reply)
    asked = protocol.Command.__args__
    _, schemas = msgspec.json.schema_components(
        [*asked, *said, Order], ref_template="#/components/schemas/{name}"
    )
    for schema in schemas.values():
        schema["description"] = re.sub(r"\s+", " ", schema.get("description", ""))
    messages = {kind.__name__: _text(kind.__name__, schemas) for kind in (*asked, *said)}
    messages["Frame"] = {
        "name": "Frame",
        "contentType": "application/octet-stream",
        "summary": "Seats that changed, as binary.",
        "description": _FRAMES,
        "payload": {"type": "string", "format": "binary"},
        "examples": [
            {"name": "change", "summary": "Bytes in hexadecimal", "payload": _EXAMPLE.hex(" ")},
        ],
    }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Seatmap, live",
            "version": __version__,
            "description": "One websocket per page. Binary messages carry seats; text messages carry JSON.",
        },
        "defaultContentType": "application/json",
        "channels": {"event": _channel(messages)},
        "operations": {
            "ask": _operation("receive", "What a page may ask.", (kind.__name__ for kind in asked)),
            "tell": _operation("send", "What the server says.", (*(kind.__name__ for kind in said), "Frame")),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


def _channel(messages: dict[str, Any]) -> dict[str, Any]:
    number = {"type": "integer", "minimum": 0}
    return {
        "address": "/ws/events/{event_id}",
        "description": "An event's live map. `epoch` and `version` are the position that the page has already.",
        "parameters": {"event_id": {"description": "The event's number."}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "ws": {
                "method": "GET",
                "query": {"type": "object", "properties": {"epoch": number, "version": number}},
                "bindingVersion": "0.1.0",
            }
        },
    }


def _text(name: str, schemas: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": name,
        "summary": schemas[name]["description"],
        "payload": {"$ref": f"#/components/schemas/{name}"},
    }


def _operation(action: str, summary: str, names: Any) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": "#/channels/event"},
        "summary": summary,
        "messages": [{"$ref": f"#/channels/event/messages/{name}"} for name in names],
    }
