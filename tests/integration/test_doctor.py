"""The doctor tells what is well from what is not, and how to mend it."""

from pathlib import Path

import msgspec
import pytest
import redis

from seatmap import doctor
from seatmap.config import Settings
from seatmap.doctor import Finding


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_real_servers_are_well_but_for_what_spares_the_disk(settings: Settings) -> None:
    findings = by_name(doctor.check(settings))
    bad = {name for name, finding in findings.items() if finding.level == "bad"}
    assert bad <= {"Postgres fsync", "Open files"}
    assert "postgresql.conf" in findings["Postgres fsync"].sentence
    assert {"Redis maxmemory-policy", "Redis clock", "Postgres clock", "Migrations"} <= set(findings)


def test_a_redis_that_may_forget_is_bad(settings: Settings) -> None:
    with redis.Redis.from_url(settings.redis_url) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            finding = by_name(doctor.check(settings))["Redis maxmemory-policy"]
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert finding.level == "bad"
    assert "set `maxmemory-policy noeviction`" in finding.sentence


def test_servers_that_are_away_are_findings(settings: Settings, tmp_path: Path) -> None:
    away = msgspec.structs.replace(
        settings,
        redis_url=f"unix://{tmp_path}/none",
        database_url=f"postgresql://postgres@/seatmap?host={tmp_path}",
    )
    findings = by_name(doctor.check(away))
    for name, setting in (("Redis", "REDIS_URL"), ("Postgres", "DATABASE_URL")):
        assert findings[name].level == "bad"
        assert setting in findings[name].sentence
    assert findings["Migrations"].level == "bad"


def test_a_misspelt_setting_is_a_warning_and_a_bad_one_bad(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEATMAP_HOLD_SECOND", "9")
    assert by_name(doctor.check(settings))["Settings"].level == "warn"
    monkeypatch.setenv("PORT", "http")
    assert by_name(doctor.check(settings))["Settings"].level == "bad"


@pytest.mark.parametrize(("theirs", "level"), [(99.5, "ok"), (103.0, "ok"), (90.0, "warn"), (1e12, "warn")])
def test_clocks_apart(monkeypatch: pytest.MonkeyPatch, theirs: float, level: str) -> None:
    monkeypatch.setattr(doctor.time, "time", lambda: 102.5)
    assert doctor._clock("Redis clock", theirs, before=100.0).level == level
