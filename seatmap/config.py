"""Settings: each has one name (its environment variable), one default and one line of documentation.

`load()` reads them from the environment. A value that does not fit names its variable and says what it
should be; an unknown `SEATMAP_…` variable is a warning, because it is usually a misspelt one.
"""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, field

from seatmap.errors import SettingInvalid


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that can be set from outside. A duration carries its unit in its name."""

    redis_url: Annotated[
        str, Meta(description="Redis or Valkey to use; empty starts one in the data folder.")
    ] = field(name="REDIS_URL", default="")
    database_url: Annotated[
        str, Meta(description="Postgres to use; empty starts one in the data folder.")
    ] = field(name="DATABASE_URL", default="")
    data: Annotated[Path, Meta(description="Folder of the embedded servers and of what `up` writes.")] = (
        field(name="SEATMAP_DATA", default=Path("data"))
    )
    host: Annotated[str, Meta(description="Address that the web process listens on.")] = field(
        name="HOST", default="127.0.0.1"
    )
    port: Annotated[int, Meta(ge=0, le=65535, description="Port that the web process listens on.")] = field(
        name="PORT", default=8000
    )
    origins: Annotated[
        tuple[str, ...],
        Meta(description="Further origins (https://tickets.example) that may use the site, by comma."),
    ] = field(name="SEATMAP_ORIGINS", default=())
    forwarded_allow_ips: Annotated[
        str, Meta(description="Proxies whose X-Forwarded-… headers are believed, by comma.")
    ] = field(name="SEATMAP_FORWARDED_ALLOW_IPS", default="127.0.0.1")
    secret: Annotated[
        str, Meta(description="Signs visitor cookies; empty uses one kept in the database.")
    ] = field(name="SEATMAP_SECRET", default="")
    session_idle_seconds: Annotated[
        int, Meta(ge=1, le=31536000, description="After how long without a request one is signed out.")
    ] = field(name="SEATMAP_SESSION_IDLE_SECONDS", default=43200)
    session_seconds: Annotated[
        int, Meta(ge=1, le=31536000, description="After how long one is signed out in any case.")
    ] = field(name="SEATMAP_SESSION_SECONDS", default=604800)
    proof_seconds: Annotated[
        int,
        Meta(
            ge=1,
            le=31536000,
            description="After how long staff give their password again for what matters most.",
        ),
    ] = field(name="SEATMAP_PROOF_SECONDS", default=900)
    public_url: Annotated[
        str,
        Meta(
            pattern="^(https?://[^/?#]+)?$",
            description="Where people find the site, for links in mails; empty: http://HOST:PORT.",
        ),
    ] = field(name="SEATMAP_PUBLIC_URL", default="")
    smtp_url: Annotated[
        str,
        Meta(
            pattern="^(smtps?://.+)?$",
            description="smtp[s]://name:password@host:port that sends mails; empty: files in data/outbox.",
        ),
    ] = field(name="SEATMAP_SMTP_URL", default="")
    mail_from: Annotated[str, Meta(pattern="^[^\r\n]+@[^\r\n]+$", description="Sender of mails.")] = field(
        name="SEATMAP_MAIL_FROM", default="Seatmap <seatmap@localhost>"
    )
    demo: Annotated[bool, Meta(description="Whether `up` makes the demo events in an empty database.")] = (
        field(name="SEATMAP_DEMO", default=True)
    )
    log_level: Annotated[
        str, Meta(pattern="^(debug|info|warning|error)$", description="debug, info, warning or error.")
    ] = field(name="SEATMAP_LOG_LEVEL", default="info")

    metrics_port: Annotated[
        int,
        Meta(
            ge=0,
            le=65535,
            description="Port of /metrics without a key; 0: none. `up`: the worker's is the next.",
        ),
    ] = field(name="SEATMAP_METRICS_PORT", default=0)
    metrics_host: Annotated[str, Meta(description="Address that this port listens on.")] = field(
        name="SEATMAP_METRICS_HOST", default="127.0.0.1"
    )

    hold_seconds: Annotated[
        int, Meta(ge=1, le=7200, description="How long a hold lasts, from its first seat.")
    ] = field(name="SEATMAP_HOLD_SECONDS", default=480)
    extend_seconds: Annotated[
        int, Meta(ge=0, le=7200, description="How much one extension adds to a hold.")
    ] = field(name="SEATMAP_EXTEND_SECONDS", default=240)
    grace_ms: Annotated[
        int, Meta(ge=0, le=60000, description="How long after its deadline a hold is kept from others.")
    ] = field(name="SEATMAP_GRACE_MS", default=2000)
    seats_per_visitor: Annotated[
        int, Meta(ge=1, le=100, description="Seats one visitor may have in an event that sets no limit.")
    ] = field(name="SEATMAP_SEATS_PER_VISITOR", default=10)

    pay_seconds: Annotated[
        int, Meta(ge=10, le=86400, description="How long a buyer has to pay for an order elsewhere.")
    ] = field(name="SEATMAP_PAY_SECONDS", default=900)

    socket_messages_per_s: Annotated[
        int, Meta(ge=1, le=1000000, description="Messages a second that one websocket may send.")
    ] = field(name="SEATMAP_SOCKET_MESSAGES_PER_S", default=50)
    visitor_requests_per_s: Annotated[
        int, Meta(ge=1, le=1000000, description="Requests a second of one visitor or account.")
    ] = field(name="SEATMAP_VISITOR_REQUESTS_PER_S", default=100)
    address_requests_per_s: Annotated[
        int, Meta(ge=1, le=1000000, description="Requests a second from one network address (IPv6: a /64).")
    ] = field(name="SEATMAP_ADDRESS_REQUESTS_PER_S", default=2000)
    visitor_connections: Annotated[
        int, Meta(ge=1, le=1000000, description="Websockets that one visitor may have open in a process.")
    ] = field(name="SEATMAP_VISITOR_CONNECTIONS", default=50)
    address_connections: Annotated[
        int, Meta(ge=1, le=1000000, description="Websockets that one network address may have open.")
    ] = field(name="SEATMAP_ADDRESS_CONNECTIONS", default=10000)
    letters_per_s: Annotated[
        int,
        Meta(ge=1, le=10000, description="Mails about orders that a worker makes a second; others wait."),
    ] = field(name="SEATMAP_LETTERS_PER_S", default=50)
    keep_days: Annotated[
        int,
        Meta(
            ge=1,
            le=3650,
            description="How long done jobs, mails in files and messages of payment providers are kept.",
        ),
    ] = field(name="SEATMAP_KEEP_DAYS", default=30)
    unverified_days: Annotated[
        int, Meta(ge=2, le=3650, description="When an account whose address was never confirmed is deleted.")
    ] = field(name="SEATMAP_UNVERIFIED_DAYS", default=7)

    command_timeout_ms: Annotated[
        int, Meta(ge=50, le=60000, description="After this a command is not carried out any more.")
    ] = field(name="SEATMAP_COMMAND_TIMEOUT_MS", default=1500)
    ledger_timeout_ms: Annotated[
        int, Meta(ge=50, le=60000, description="How long one Postgres statement of the ledger may take.")
    ] = field(name="SEATMAP_LEDGER_TIMEOUT_MS", default=3000)
    resolve_after_ms: Annotated[
        int, Meta(ge=50, le=600000, description="Age at which an undecided order is settled.")
    ] = field(name="SEATMAP_RESOLVE_AFTER_MS", default=5000)
    sweep_ms: Annotated[
        int, Meta(ge=10, le=60000, description="Pause between two sweeps of expired holds in the worker.")
    ] = field(name="SEATMAP_SWEEP_MS", default=250)
    head_check_ms: Annotated[
        int, Meta(ge=50, le=60000, description="Pause between two comparisons of a map with Redis.")
    ] = field(name="SEATMAP_HEAD_CHECK_MS", default=1000)
    reconcile_ms: Annotated[
        int, Meta(ge=50, le=3600000, description="Pause between two comparisons of Redis with Postgres.")
    ] = field(name="SEATMAP_RECONCILE_MS", default=10000)
    frame_ms: Annotated[
        int, Meta(ge=0, le=5000, description="Shortest pause between two frames to the same screens.")
    ] = field(name="SEATMAP_FRAME_MS", default=50)
    heartbeat_ms: Annotated[
        int, Meta(ge=100, le=60000, description="Pause between two heartbeats to a quiet screen.")
    ] = field(name="SEATMAP_HEARTBEAT_MS", default=5000)
    reconnect_ms: Annotated[
        int, Meta(ge=0, le=60000, description="Window over which pages spread their return.")
    ] = field(name="SEATMAP_RECONNECT_MS", default=2000)

    failpoints: Annotated[
        str,
        Meta(description="For tests only: where the process fails on purpose; see seatmap/failpoints.py."),
    ] = field(name="SEATMAP_FAILPOINTS", default="")


def _decode(kind: type, value: Any) -> Any:
    if kind is Path:
        return Path(value)
    raise NotImplementedError(f"no setting is of the type {kind}")


def site_url(settings: Settings) -> str:
    """Where people find the site; never read from a request, whose sender could choose where a link leads."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return settings.public_url or f"http://{host}:{settings.port}"


def is_secret(variable: str) -> bool:
    """Whether nobody should read a setting in a log or on a page: addresses of servers carry passwords."""
    return variable != "SEATMAP_PUBLIC_URL" and any(word in variable for word in _SECRET_WORDS)


def load(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings from `environ`; raises `SettingInvalid`, which names the variable."""
    fields = {f.encode_name: f for f in msgspec.structs.fields(Settings)}
    given: dict[str, Any] = {}
    for name, value in environ.items():
        if name not in fields:
            if name.startswith("SEATMAP_") and name not in OTHER_VARIABLES:
                warnings.warn(f"{name} is not a setting of Seatmap; see .env.example", stacklevel=2)
            continue
        if name == "SEATMAP_ORIGINS":
            given[name] = tuple(part.strip().rstrip("/") for part in value.split(",") if part.strip())
        else:
            given[name] = value
    try:
        return msgspec.convert(given, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        name = str(error).rpartition("`$.")[2].partition("`")[0].partition("[")[0]
        value = "…" if is_secret(name) else environ.get(name, "")
        raise SettingInvalid(name, value, str(error).partition(" - at ")[0]) from None


_SECRET_WORDS = ("SECRET", "URL", "PASSWORD", "TOKEN", "KEY")

# Read elsewhere, before the settings exist: where the servers' programs are, which servers tests use.
OTHER_VARIABLES = frozenset({"SEATMAP_VALKEY_SERVER", "SEATMAP_PG_BIN"})
