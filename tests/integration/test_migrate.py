"""Migrations are applied once, in order, and a bad one says what is wrong."""

from pathlib import Path

import asyncpg
import pytest

from seatmap import migrate
from seatmap.config import Settings
from seatmap.errors import Unusable


def write(folder: Path, name: str, up: str) -> None:
    (folder / name).write_text(f"-- migrate:up\n{up}\n-- migrate:down\n")


async def fetchval(settings: Settings, query: str) -> object:
    connection = await asyncpg.connect(settings.database_url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_the_template_has_all_of_them(settings: Settings) -> None:
    assert migrate.pending(settings.database_url) == []
    migrate.apply(settings.database_url)


async def test_each_is_applied_once(settings: Settings, tmp_path: Path) -> None:
    write(tmp_path, "30000101000000_one.sql", "CREATE TABLE one (a int);")
    write(tmp_path, "30000101000001_two.sql", "INSERT INTO one VALUES (1);")
    names = ["30000101000000_one.sql", "30000101000001_two.sql"]
    assert migrate.pending(settings.database_url, tmp_path) == names
    for _ in range(2):
        migrate.apply(settings.database_url, tmp_path)
        assert migrate.pending(settings.database_url, tmp_path) == []
    assert await fetchval(settings, "SELECT count(*) FROM one") == 1


async def test_a_bad_one_says_why_and_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    write(tmp_path, "30000101000000_bad.sql", "CREATE TABLE one (a int);\nCREATE TABEL two ();")
    with pytest.raises(Unusable, match=r'The database could not be migrated: .*"TABEL"'):
        migrate.apply(settings.database_url, tmp_path)
    assert await fetchval(settings, "SELECT to_regclass('one')") is None
    assert migrate.pending(settings.database_url, tmp_path) == ["30000101000000_bad.sql"]


def test_a_database_that_is_away_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unusable, match="could not be migrated"):
        migrate.pending(f"postgresql://postgres@/seatmap?host={tmp_path}")
