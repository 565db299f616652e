"""The API against its own document: requests of every kind, well-formed and not, get answers as it describes them.

Who may what is not asked here (`test_access.py`), nor whether a valid request is carried out: that takes seats.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Unsatisfiable
from msgspec.structs import replace
from schemathesis import Config, GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance
from site_clients import Site, make_event, visited_site
from staff_world import bearer, make_key

from seatmap.config import Settings
from seatmap.model import Role

ENOUGH = 1_000_000
NOT_ASKED = [ignored_auth, positive_data_acceptance]
CALLERS = {"nobody": None, "admin": Role.admin}
# Beside its own, 413: what is too large is refused before anybody looks into it.
REFUSED = ["400", "401", "403", "404", "405", "406", "409", "413", "415", "422", "428", "429", "503"]
CONFIG = Config.from_dict({"checks": {"negative_data_rejection": {"expected-statuses": REFUSED}}})
EXAMPLES = {"nobody": 3, "admin": 5}  # of each kind for each operation


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Site]:
    await make_event(settings)
    unlimited = replace(settings, visitor_requests_per_s=ENOUGH, address_requests_per_s=ENOUGH)
    async with visited_site(unlimited) as site:
        yield site


def examine(operation: Any, mode: GenerationMode, headers: dict[str, str], examples: int) -> str:
    """What is wrong with the answers to one operation; empty if nothing is. The examples are the same each time."""

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        case.call_and_validate(headers=headers, excluded_checks=NOT_ASKED, timeout=60)

    try:
        ask()
    except FailureGroup as failures:
        return f"{operation.label}, {mode.value} data: {failures}"
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE  # an operation that takes nothing cannot be given it wrong
    return ""


@pytest.mark.parametrize("who", CALLERS)
async def test_every_answer_is_as_the_document_says(site: Site, who: str) -> None:
    document = f"{site.url}/api/openapi.json"
    schema = await asyncio.to_thread(schemathesis.openapi.from_url, document, config=CONFIG)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) > 50
    wrong = []
    for i, operation in enumerate(operations):
        role, headers = CALLERS[who], {}
        if role is not None:  # a key of its own, since some operations end keys, or take roles away
            secret, _ = await make_key(site.settings, role, f"{i}@example.org")
            headers["Authorization"] = bearer(secret)["authorization"]
        wrong += [
            await asyncio.to_thread(examine, operation, mode, headers, EXAMPLES[who])
            for mode in GenerationMode
        ]
    found = "\n\n".join(filter(None, wrong))
    assert not found, found  # the whole of it, where a comparison would be cut
    assert (await site.visitor().http.get("/readyz")).status_code == 200


async def test_every_example_is_understood(site: Site) -> None:
    """`test_api_docs.py` carries out those of a purchase; all the others at least have the form that is asked for."""
    document = await site.visitor().get("/api/openapi.json")
    asked = 0
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            if "example" not in content:
                continue
            secret, _ = await make_key(site.settings, Role.admin, f"{asked}@example.org")
            address = path.replace("{order_id}", "0192f0c1-2b3c-7d4e-8f50-617283940516")
            answer = await site.visitor().http.request(
                method, re.sub(r"{\w+}", "1", address), json=content["example"], headers=bearer(secret)
            )
            told = f"{method} {path} answered {answer.status_code} {answer.text[:300]}"
            assert answer.status_code < 500, told
            assert answer.json().get("code") not in ("malformed", "invalid", "sign_in_required"), told
            asked += 1
    assert asked > 10
