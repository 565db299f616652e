"""The command line. Each command is thin: it reads its arguments, calls one function, says what came of it."""

import asyncio
import logging
import signal
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from seatmap import config, failpoints
from seatmap.config import Settings
from seatmap.errors import SeatmapError
from seatmap.log import OneLine

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Seatmap: a real-time reserved-seating server."
)
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
OneEvent = Annotated[int | None, typer.Argument(help="The event's number.")]
AllEvents = Annotated[bool, typer.Option("--all", help="All published events.")]


@contextmanager
def _settings(*, attached: bool = False) -> Iterator[Settings]:
    """The settings, with logging set up; our errors end the command with a sentence.

    `attached` fills in the servers of a running `up` on the same data folder where no URL is set.
    """
    try:
        settings = config.load()
        _log(settings)
        failpoints.arm(settings.failpoints)
        if attached:
            from seatmap.embedded import attach

            settings = attach(settings)
        yield settings
    except SeatmapError as error:
        err.print(error.detail, style="red", markup=False)
        raise typer.Exit(1) from None


def _check_choice(event: int | None, every: bool) -> None:
    if (event is None) != every:
        raise typer.BadParameter("name one event, or --all")


def _log(settings: Settings) -> None:
    handler: logging.Handler = logging.StreamHandler()
    handler.setFormatter(OneLine("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    if sys.stderr.isatty():
        handler = RichHandler(console=err, show_path=False)
        handler.setFormatter(OneLine("%(message)s"))
    logging.basicConfig(level=settings.log_level.upper(), handlers=[handler], force=True)
    for noisy in ("pgqueuer", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)


@app.command()
def up() -> None:
    """Start everything: servers unless their URLs are set, schema, demo, web and worker."""
    with _settings() as settings:
        from seatmap import up

        up.run(settings)


@app.command()
def web(
    processes: Annotated[
        int, typer.Option(min=1, max=256, help="Processes that share the port: about one per core.")
    ] = 1,
    beat: Annotated[int, typer.Option(hidden=True)] = -1,
) -> None:
    """Serve pages, API and websockets."""
    with _settings(attached=True) as settings:
        if processes > 1:
            from seatmap import webs

            webs.run(settings, processes)
        else:
            from seatmap.web import serve

            serve.run(settings, beat)


@app.command()
def worker() -> None:
    """Sweep, settle, reconcile, and work the job queue off."""
    with _settings(attached=True) as settings:
        from seatmap.worker.run import work

        async def until_signalled() -> None:
            stop = asyncio.Event()
            for sign in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(sign, stop.set)
            await work(settings, stop)

        _run(until_signalled())


@app.command()
def migrate() -> None:
    """Bring the database's schema to this version."""
    with _settings(attached=True) as settings:
        from seatmap import migrate

        migrate.apply(settings.database_url)
        out.print("The schema is up to date.")


@app.command()
def demo() -> None:
    """Make the two demo events where there is no event yet."""
    with _settings(attached=True) as settings:
        from seatmap import demo

        made = _run(demo.make(settings))
        out.print(
            f"Made events {made[0]} and {made[1]}." if made else "There are events already; nothing made."
        )


@app.command()
def import_plan(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A pretix seating plan (JSON).")],
    event: Annotated[str, typer.Option(help="Also make and publish an event of this name on it.")] = "",
    price: Annotated[int, typer.Option(min=0, help="Price of every category, in cents.")] = 2500,
    currency: Annotated[str, typer.Option(help="Currency of the price.")] = "EUR",
    as_json: Json = False,
) -> None:
    """Import a seating plan; say what was mended in it."""
    with _settings(attached=True) as settings:
        from seatmap.opening import import_plan

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, console=err, disable=as_json or not event) as bar:
            task = bar.add_task("Making seats", total=None)
            done = _run(
                import_plan(
                    settings,
                    file.read_bytes(),
                    event_name=event,
                    price=price,
                    currency=currency,
                    progress=lambda made, of: bar.update(task, completed=made, total=of or None),
                )
            )
        if as_json:
            out.print_json(msgspec.json.encode(done).decode())
            return
        out.print(f"Imported “{done.name}”: {done.seats} seats as plan {done.plan_id}.")
        for sentence in done.mended:
            out.print(f"  · {sentence}", markup=False)
        if done.event_id:
            out.print(f"Event {done.event_id} is published: /events/{done.event_id}")


@app.command()
def create_admin(
    email: Annotated[str, typer.Argument(help="The address to sign in with.")],
    name: Annotated[str, typer.Option(help="What the person is called.")] = "",
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from the input.")
    ] = False,
) -> None:
    """Make somebody an admin, with a new password; the account need not exist."""
    with _settings(attached=True) as settings:
        from seatmap.admins import create_admin

        if password_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
        else:
            password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        made = _run(create_admin(settings, email, name, password))
        out.print(f"{made.email} is an admin.", markup=False)


@app.command()
def simulate(
    event: Annotated[int, typer.Argument(help="The event's number.")],
    seat: Annotated[str, typer.Argument(help="The seat, by index or by label.")],
    users: Annotated[int, typer.Option(min=1, max=2000, help="Buyers who want it at once.")] = 100,
    url: Annotated[str, typer.Option(help="Where the site is; empty: the running `up`.")] = "",
    as_json: Json = False,
) -> None:
    """Let many buyers fight for one seat through the public interface. Fails if it is sold more than once."""
    with _settings(attached=True) as settings:
        from seatmap.simulate import report, simulate

        result = _run(simulate(settings, event, seat, users=users, url=url, progress=not as_json))
        if as_json:
            out.print_json(msgspec.json.encode(result).decode())
        else:
            report(result, out)
        if result.active_bookings > 1 or result.unanswered:
            raise typer.Exit(1)


@app.command()
def verify(
    event: OneEvent = None,
    every: AllEvents = False,
    as_json: Json = False,
) -> None:
    """Compare Redis with Postgres, seat by seat, and print each difference."""
    _check_choice(event, every)
    with _settings(attached=True) as settings:
        from seatmap.verify import verify

        found = _run(verify(settings, event))
        if as_json:
            out.print_json(msgspec.json.encode({"differences": found}).decode())
        elif not found:
            out.print("Redis and Postgres agree on every seat.")
        else:
            table = Table("Event", "Seat", "Redis", "Postgres")
            for difference in found:
                table.add_row(
                    *map(str, (difference.event_id, difference.seat, difference.redis, difference.postgres))
                )
            out.print(table)
        if found:
            raise typer.Exit(1)


@app.command()
def rebuild(
    event: OneEvent = None,
    every: AllEvents = False,
    as_json: Json = False,
) -> None:
    """Make the seats in Redis anew from Postgres. Bookings stay, and holds that clash with nothing."""
    _check_choice(event, every)
    with _settings(attached=True) as settings:
        from seatmap.restore import restore

        report = _run(restore(settings, event))
        if as_json:
            out.print_json(msgspec.json.encode(report).decode())
        for done in () if as_json else report.rebuilt:
            kept = f"holds kept {done.holds_kept}, lost {done.holds_lost}"
            out.print(f"Event {done.event_id} is rebuilt: epoch {done.epoch}, {kept}.")
        for failed in () if as_json else report.failed:
            err.print(f"Event {failed.event_id}: {failed.reason}", style="red", markup=False)
        if report.failed:
            raise typer.Exit(1)


@app.command()
def doctor() -> None:
    """Check this machine and its servers, and say what to mend."""
    with _settings(attached=True) as settings:
        from seatmap.doctor import check

        findings = check(settings)
        signs = {"ok": "[green]ok  [/]", "warn": "[yellow]warn[/]", "bad": "[red]bad [/]"}
        for finding in findings:
            out.print(f"{signs[finding.level]} [bold]{finding.name}[/]: ", end="")
            out.print(finding.sentence, markup=False)
        if any(finding.level == "bad" for finding in findings):
            raise typer.Exit(1)
