"""The embedded servers start, stop and survive, and what was left behind is never in the way."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import redis

from seatmap.config import Settings
from seatmap.embedded import Embedded, attach
from seatmap.errors import Unusable


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="seatmap test ") as folder:
        yield Path(folder) / "data"


def sql(servers: Embedded, *statements: str) -> object:
    async def run() -> object:
        connection = await asyncpg.connect(servers.database_url)
        try:
            for statement in statements[:-1]:
                await connection.execute(statement)
            return await connection.fetchval(statements[-1])
        finally:
            await connection.close()

    return asyncio.run(run())


def gone(pid: int) -> bool:
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return True


def test_starts_as_promised_and_leaves_no_process_and_no_socket(data: Path) -> None:
    with Embedded(data, durable=False) as servers:
        pids = servers.pids
        assert set(pids) == {"valkey", "postgres"}
        assert sql(servers, "SELECT current_database()") == "seatmap"
        assert sql(servers, "SHOW max_connections") == "100"
        assert sql(servers, "SHOW listen_addresses") == ""
        with redis.Redis.from_url(servers.redis_url, decode_responses=True) as client:
            wanted = {"appendonly": "yes", "appendfsync": "everysec", "maxmemory-policy": "noeviction"}
            for name, value in wanted.items():
                assert client.config_get(name)[name] == value
    assert all(gone(pid) for pid in pids.values())
    assert not [path for path in data.rglob("*") if path.is_socket()]
    assert servers.pids == {}


def test_by_default_postgres_waits_for_the_disk(data: Path) -> None:
    with Embedded(data, redis=False) as servers:
        assert set(servers.pids) == {"postgres"}
        assert sql(servers, "SHOW fsync") == "on"


def test_what_was_acknowledged_survives_a_kill_of_both(data: Path) -> None:
    with Embedded(data, durable=False) as servers:
        sql(servers, "CREATE TABLE t (a int)", "INSERT INTO t VALUES (7) RETURNING a")
        with redis.Redis.from_url(servers.redis_url) as client:
            client.set("seat", "held")
        for pid in servers.pids.values():
            os.kill(pid, signal.SIGKILL)
    with Embedded(data, durable=False) as servers:
        assert sql(servers, "SELECT a FROM t") == 7
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.get("seat") == b"held"


def test_a_killed_server_is_revived_at_the_same_address(data: Path) -> None:
    with Embedded(data, durable=False) as servers:
        before = servers.pids
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while servers.pids and time.monotonic() < deadline:
            time.sleep(0.01)
        servers.revive()
        assert set(servers.pids) == set(before)
        assert set(servers.pids.values()).isdisjoint(before.values())
        assert sql(servers, "SELECT 1") == 1


def test_orphans_may_say_as_much_as_they_like_while_postgres_waits_for_them(data: Path) -> None:
    with Embedded(data, durable=False) as servers:
        server, postmaster = servers.servers["postgres"], servers.pids["postgres"]
        children = [
            int(pid) for pid in Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        ]
        for pid in children:
            os.kill(pid, signal.SIGSTOP)
        os.kill(postmaster, signal.SIGKILL)
        assert server.process is not None
        server.process.wait()
        server.spawn()
        server.process.wait()  # refused, since the memory of the earlier life is in use
        with server.log.open("a") as log:
            log.write("FATAL:  terminating connection due to unexpected postmaster exit\n" * 12)
        for pid in children:
            os.kill(pid, signal.SIGCONT)
        server.wait_ready()
        assert sql(servers, "SELECT 1") == 1


def test_a_second_start_on_the_same_folder_is_refused_and_harms_nothing(data: Path) -> None:
    with Embedded(data, durable=False) as servers:
        with pytest.raises(Unusable, match=rf"in use by another Seatmap \(process {os.getpid()}\)"):
            Embedded(data).start()
        assert sql(servers, "SELECT 1") == 1


def test_pids_left_behind_that_belong_to_strangers_by_now_are_in_nobodys_way(data: Path) -> None:
    with Embedded(data, durable=False):
        pass
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        pidfile = data / "postgres/postmaster.pid"
        pidfile.write_text(f"{stranger.pid}\n{data}/postgres\n0\n5432\n{data}/postgres\n\n 1 1\n")
        shutil.copy(pidfile, data / "postgres/.s.PGSQL.5432.lock")
        (data / "valkey/valkey.pid").write_text(str(stranger.pid))
        with Embedded(data, durable=False) as servers:
            assert sql(servers, "SELECT 1") == 1
        assert stranger.poll() is None
    finally:
        stranger.communicate(b"\n")


def test_half_a_cluster_of_a_killed_first_start_is_no_obstacle(data: Path) -> None:
    (data / "postgres.new").mkdir(parents=True)
    (data / "postgres.new/PG_VERSION").write_text("18\n")
    with Embedded(data, redis=False, durable=False) as servers:
        assert sql(servers, "SELECT 1") == 1
    assert not (data / "postgres.new").exists()


def test_a_cluster_of_another_version_is_left_alone(data: Path) -> None:
    (data / "postgres").mkdir(parents=True)
    (data / "postgres/PG_VERSION").write_text("9\n")
    with pytest.raises(Unusable, match="was made by Postgres 9"):
        Embedded(data, redis=False).start()


def test_a_path_too_long_for_a_socket(data: Path) -> None:
    data = data / ("a" * 60) / ("b" * 60)
    with Embedded(data, durable=False) as servers:
        short = servers.places.short
        assert short is not None
        assert sql(servers, "SELECT 1") == 1
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.ping()
        attached = attach(Settings(data=data))
        assert attached.redis_url == servers.redis_url
    assert not short.exists()


def test_attaching_needs_a_running_server(data: Path) -> None:
    with pytest.raises(Unusable, match="start `seatmap up`, or set REDIS_URL and DATABASE_URL"):
        attach(Settings(data=data))
    with Embedded(data, durable=False) as servers:
        attached = attach(Settings(data=data))
        assert attached.redis_url == servers.redis_url
        assert attached.database_url == servers.database_url
        elsewhere = attach(Settings(data=data, redis_url="redis://elsewhere"))
        assert elsewhere.redis_url == "redis://elsewhere"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children that their parent is gone")
def test_the_servers_end_with_a_parent_that_is_killed(data: Path) -> None:
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from seatmap.embedded import Embedded\n"
        "with Embedded(Path(sys.argv[1]), durable=False) as servers:\n"
        "    print(*servers.pids.values(), flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(data)], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        parent.kill()
    deadline = time.monotonic() + 10
    while not all(gone(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert len(pids) == 2
    assert all(gone(pid) for pid in pids)
    with Embedded(data, durable=False) as servers:
        assert sql(servers, "SELECT 1") == 1


@pytest.mark.parametrize(
    ("variable", "wanted"), [("SEATMAP_VALKEY_SERVER", "redis"), ("SEATMAP_PG_BIN", "postgres")]
)
def test_a_program_that_is_not_there_is_named(
    data: Path, monkeypatch: pytest.MonkeyPatch, variable: str, wanted: str
) -> None:
    monkeypatch.setenv(variable, "/nowhere")
    with pytest.raises(Unusable, match=f"{variable} is set, but /nowhere.* is not a program"):
        Embedded(data, redis=wanted == "redis", postgres=wanted == "postgres").start()
