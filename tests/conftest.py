"""Real servers for the tests: one Valkey (or Redis) and one Postgres per pytest process.

SEATMAP_VALKEY_SERVER and SEATMAP_PG_BIN choose other programs than the wheels'.
"""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import redis

from seatmap import migrate
from seatmap.config import Settings
from seatmap.embedded import Embedded

MEMORY = Path("/dev/shm")


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Embedded]:
    """Both servers; the database `seatmap` is migrated and serves as the template of the tests' own."""
    # In memory where there is a file system for that: on a disk, making a database per test took half of the time.
    memory = os.access(MEMORY, os.W_OK)
    data = (
        Path(tempfile.mkdtemp(prefix="seatmap-", dir=MEMORY))
        if memory
        else tmp_path_factory.mktemp("servers")
    )
    try:
        with Embedded(data, durable=False) as embedded:
            migrate.apply(embedded.database_url)
            yield embedded
    finally:
        shutil.rmtree(data)


@pytest.fixture
async def settings(servers: Embedded) -> AsyncIterator[Settings]:
    """Settings with a migrated, empty database and an empty Redis, both of this test alone."""
    servers.revive()  # a test before may have killed them
    with redis.Redis.from_url(servers.redis_url) as client:
        client.flushall()
    name = f"test_{uuid4().hex}"
    await _as_admin(servers, f"CREATE DATABASE {name} TEMPLATE seatmap")
    yield Settings(
        redis_url=servers.redis_url,
        database_url=_database_url(servers, name),
        data=servers.data,
        port=0,
        demo=False,
    )
    servers.revive()
    await _as_admin(servers, f"DROP DATABASE {name} WITH (FORCE)")


def _database_url(servers: Embedded, name: str) -> str:
    return servers.database_url.replace("/seatmap?", f"/{name}?", 1)


async def _as_admin(servers: Embedded, statement: str) -> None:
    connection = await asyncpg.connect(_database_url(servers, "postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
