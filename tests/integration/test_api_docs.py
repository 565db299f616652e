"""The API's documents: they say what the site does, and their examples are taken."""

import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from site_clients import PRICE, Site, make_event, result, visited_site

from seatmap import protocol
from seatmap.config import Settings
from seatmap.web.openapi import KNOWN

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    await make_event(settings)
    async with visited_site(settings) as site:
        yield site


@pytest.fixture
async def openapi(site: Site) -> dict[str, Any]:
    return await site.visitor().get("/api/openapi.json")


@pytest.fixture
async def asyncapi(site: Site) -> dict[str, Any]:
    return await site.visitor().get("/api/asyncapi.json")


def references(document: Any) -> list[str]:
    """Every $ref in a document."""
    if isinstance(document, dict):
        own = [document["$ref"]] if isinstance(document.get("$ref"), str) else []
        return own + [ref for value in document.values() for ref in references(value)]
    if isinstance(document, list):
        return [ref for value in document for ref in references(value)]
    return []


def resolve(document: Any, ref: str) -> Any:
    assert ref.startswith("#/"), f"{ref} leads outside"
    for key in ref[2:].split("/"):
        document = document[key]
    return document


async def test_every_reference_leads_to_something(openapi: dict[str, Any], asyncapi: dict[str, Any]) -> None:
    for document in (openapi, asyncapi):
        found = references(document)
        assert found
        for ref in found:
            assert resolve(document, ref)


async def test_every_operation_has_its_own_name(openapi: dict[str, Any]) -> None:
    names = [call["operationId"] for calls in openapi["paths"].values() for call in calls.values()]
    assert len(names) == len(set(names)) > 10


async def test_every_refusal_is_a_problem_with_a_known_code(openapi: dict[str, Any]) -> None:
    for calls in openapi["paths"].values():
        for call in calls.values():
            for status, answer in call["responses"].items():
                for media, content in answer["content"].items():
                    if media != "application/problem+json":
                        continue
                    for code in content["schema"]["allOf"][1]["properties"]["code"].get("enum", []):
                        assert KNOWN[code][0] == int(status)


async def test_over_http_the_address_says_the_command(openapi: dict[str, Any]) -> None:
    hold = openapi["components"]["schemas"]["Hold"]
    assert hold["required"] == ["seats"]
    assert hold["additionalProperties"] is False


async def test_the_websockets_document_has_every_command_and_message(asyncapi: dict[str, Any]) -> None:
    asked = {kind.__name__ for kind in protocol.Command.__args__}
    told = {"Hello", "MineState", "Reply", "Frame"}
    messages = asyncapi["channels"]["event"]["messages"]
    assert set(messages) == asked | told
    example = asyncapi["components"]["messages"]["Frame"]["examples"][0]["payload"]
    assert example in (ROOT / "docs" / "protocol.md").read_text()


def example_of(openapi: dict[str, Any], command: str) -> dict[str, Any]:
    call = openapi["paths"][f"/api/events/{{event_id}}/{command}"]["post"]
    return dict(call["requestBody"]["content"]["application/json"]["example"])


async def test_the_examples_are_taken(site: Site, openapi: dict[str, Any]) -> None:
    """In the order of a purchase; only the ids and the price are this site's own."""
    visitor = site.visitor()
    hold = await visitor.post(1, "hold", example_of(openapi, "hold"))
    own = {"hold_id": hold["hold_id"]}
    assert (await visitor.post(1, "extend", example_of(openapi, "extend") | own))["hold_id"] == hold[
        "hold_id"
    ]
    booking = example_of(openapi, "book") | own
    assert booking["total"] == PRICE * len(booking["seats"])
    booked = await visitor.post(1, "book", booking)
    assert booked["id"] == booking["order_id"]
    assert (await visitor.post(1, "cancel", example_of(openapi, "cancel")))["status"] == "cancelled"
    again = await visitor.post(1, "hold", example_of(openapi, "hold"))
    released = example_of(openapi, "release") | {"hold_id": again["hold_id"]}
    assert (await visitor.post(1, "release", released))["seats"] == []


async def test_the_readmes_curl_block_works(site: Site) -> None:
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"## With curl\n\n```sh\n(.*?)```", readme, re.DOTALL)
    assert block
    jar, passers_by = site.visitor(), site.visitor()
    held: list[int] = []
    for line in block[1].splitlines():
        words = shlex.split(line)
        assert words[:2] == ["curl", "-s"], line
        address = next(word for word in words if word.startswith("localhost:8000"))
        body = words[words.index("-d") + 1] if "-d" in words else None
        visitor = jar if "-c" in words else passers_by
        path = address.removeprefix("localhost:8000")
        answer = result(await visitor.http.post(path, content=body) if body else await visitor.http.get(path))
        assert answer, line
        held = answer.get("seats", held) if path.endswith(("/hold", "/mine")) else held
        if "compact" in path:
            assert [answer["statuses"][seat] for seat in held] == ["1"] * len(held) != []


async def test_the_page_of_the_documents_asks_nobody_else(site: Site) -> None:
    page = (await site.visitor().http.get("/api/docs")).text
    assert not re.findall(r"""(?:src|href)=["'](?!/|#)""", page)
    for address in re.findall(r"""(?:src|href)=["'](/[^"'#]*)""", page):
        assert (await site.visitor().http.get(address)).status_code == 200, address


async def test_a_405_names_every_method_of_its_address(site: Site) -> None:
    """Several endpoints share an address; the router by itself would name the first one's only."""
    answer = await site.visitor().http.put("/api/admin/api-keys")
    assert answer.status_code == 405
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


async def test_every_tag_is_explained(openapi: dict[str, Any]) -> None:
    assert [tag["name"] for tag in openapi["tags"] if not tag["description"]] == []


async def test_a_body_may_be_absent_where_every_field_may(openapi: dict[str, Any]) -> None:
    events = "/api/admin/events/{event_id}"
    assert openapi["paths"]["/api/admin/events"]["post"]["requestBody"]["required"]
    assert not openapi["paths"][f"{events}/cancel"]["post"]["requestBody"]["required"]
