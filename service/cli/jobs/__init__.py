"""`okdhp jobs`: what a server works on, from any machine that reaches it."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import UUID

import typer

if TYPE_CHECKING:
    from service.cli.jobs.client import Client

app = typer.Typer(
    help="Post, follow and steer the jobs of a server.",
    no_args_is_help=True,
)
ENDS: Final[Mapping[str | None, int]] = {"succeeded": 0, "failed": 1, "cancelled": 2}
"""Exit codes of `watch`."""
_INTERRUPTED: Final = 130

Server = Annotated[
    str,
    typer.Option(envvar="OKDHP_SERVER", metavar="URL", help="Where it listens; http or https."),
]
Key = Annotated[
    str | None,
    typer.Option(envvar="OKDHP_KEY", help="An API key of role `jobs`.", show_default="none"),
]
JobId = Annotated[UUID, typer.Argument(metavar="JOB", help="Its id.", show_default=False)]
HERE: Final = "http://127.0.0.1:8000"


@app.command("ls")
def list_(
    state: Annotated[
        str | None, typer.Option(help="Only jobs in this state.", show_default=False)
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only this kind.", show_default=False)] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    server: Server = HERE,
    key: Key = None,
) -> None:
    """List jobs, newest first: id, kind, state, epoch, priority, need, time of the post (UTC)."""
    from service.cli.jobs.show import entry_line

    with _client(server, key) as client:
        for job in client.jobs(limit, state=state, kind=kind):
            typer.echo(entry_line(job))


@app.command()
def show(
    job: JobId,
    as_json: Annotated[bool, typer.Option("--json", help="The server's whole document.")] = False,
    server: Server = HERE,
    key: Key = None,
) -> None:
    """Show a job: state, best result, files, every step it took, and what can be done with it."""
    from service.cli.jobs.show import document_lines

    with _client(server, key) as client:
        found = client.job(job)
    if as_json:
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    for line in document_lines(found):
        typer.echo(line)


@app.command()
def watch(job: JobId, server: Server = HERE, key: Key = None) -> None:
    """Follow a job live to its end: a bar, and a table of its epochs.

    The exit code is 0 for a job that succeeded, 1 for one that failed and 2 for a cancelled one.
    Ctrl-C ends the watching; the job goes on. A connection that breaks is made again.
    """
    with _client(server, key) as client:
        _watch(client, job)


@app.command()
def logs(
    job: JobId,
    tail: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Only the last so many lines.")
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until the job ends.")
    ] = False,
    server: Server = HERE,
    key: Key = None,
) -> None:
    """Print a job's log."""
    with _client(server, key) as client:
        params = {} if tail is None else {"tail": tail}
        while True:
            answer = client.ask("GET", f"/jobs/{job}/logs", params=params)
            typer.echo(answer.text, nl=False)
            line = int(answer.headers["X-Next-Line"])
            params = {"from": line}
            if tail is not None or not answer.text:
                break
        if follow:
            _follow_log(client, job, line)


@app.command()
def post(
    kind: Annotated[
        str, typer.Argument(help="distill, evaluate, export, predict, …", show_default=False)
    ],
    settings: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE.yaml] [KEY=VALUE]...",
            help="The job's configuration, and single values over it.",
            show_default=False,
        ),
    ] = None,
    callback_url: Annotated[
        str | None, typer.Option(help="Is told when the job ends.", show_default=False)
    ] = None,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", help="Seconds that it may work.")
    ] = None,
    priority: Annotated[
        int | None,
        typer.Option(min=0, max=9, help="Higher ones go first.", show_default="5"),
    ] = None,
    needs: Annotated[
        str | None,
        typer.Option(help="gpu, cpu or any: the device for it.", show_default="its kind's"),
    ] = None,
    follow: Annotated[bool, typer.Option("--watch", help="Follow it, as `watch` does.")] = False,
    server: Server = HERE,
    key: Key = None,
) -> None:
    """Post a job and print its id.

    okdhp jobs post distill preset=tiny training.epochs=20 --watch
    """
    said = {
        "callback_url": callback_url,
        "timeout_s": timeout_s,
        "priority": priority,
        "needs": needs,
    }
    body: dict[str, Any] = {"kind": kind, "config": _config(settings or [])}
    body |= {name: value for name, value in said.items() if value is not None}
    with _client(server, key) as client:
        job = client.ask("POST", "/jobs", json=body).json()["id"]
        typer.echo(job)
        if follow:
            _watch(client, job)


@app.command()
def cancel(job: JobId, server: Server = HERE, key: Key = None) -> None:
    """Cancel a job: at once if it waits; a running one is asked to end, then made to."""
    _act(server, key, "POST", f"/jobs/{job}/cancel")


@app.command()
def stop(job: JobId, server: Server = HERE, key: Key = None) -> None:
    """Finish a training now: evaluate and export what is there."""
    _act(server, key, "POST", f"/jobs/{job}/stop")


@app.command()
def resume(
    job: JobId,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="How many in all, to train for longer.")
    ] = None,
    server: Server = HERE,
    key: Key = None,
) -> None:
    """Go on with a job that has ended from its last checkpoint."""
    body = {} if epochs is None else {"epochs": epochs}
    _act(server, key, "POST", f"/jobs/{job}/resume", json=body)


@app.command()
def retry(job: JobId, server: Server = HERE, key: Key = None) -> None:
    """Post a job that has ended again, as a new job from the beginning."""
    _act(server, key, "POST", f"/jobs/{job}/retry")


@app.command()
def delete(
    job: JobId,
    force: Annotated[
        bool, typer.Option("--force", help="Also one that a registered model came from.")
    ] = False,
    server: Server = HERE,
    key: Key = None,
) -> None:
    """Delete a job that has ended, with its files."""
    with _client(server, key) as client:
        client.ask("DELETE", f"/jobs/{job}", params={"force": force})
    typer.echo(f"{job} is deleted")


def _client(server: str, key: str | None) -> "Client":
    from service.cli.jobs.client import Client

    return Client(server, key)


def _act(server: str, key: str | None, method: str, path: str, **given: Any) -> None:
    """Ask for a change, and print the job after it."""
    from service.cli.jobs.show import entry_line

    with _client(server, key) as client:
        typer.echo(entry_line(client.ask(method, path, **given).json()))


def _watch(client: "Client", job: UUID | str) -> None:
    """Follow to the end, and exit with what that was."""
    from rich.console import Console

    from service.cli.jobs.watch import JobDisplay

    display = JobDisplay(Console(stderr=True))
    try:
        end = display.follow(client.events(job, display.notice))
    except KeyboardInterrupt:
        typer.echo(f"job {job} goes on; `okdhp jobs watch {job}` follows it again", err=True)
        sys.exit(_INTERRUPTED)
    state = end["state"]
    if state == "failed" and (error := client.job(job)["error"]):
        typer.echo(f"{error['reason']}: {error['message']}", err=True)
    typer.echo(state or end.get("reason"))
    sys.exit(ENDS.get(state, 1))


def _follow_log(client: "Client", job: UUID, line: int) -> None:
    """Print the log's lines from number `line` on as they come."""
    try:
        for event in client.events(job, lambda text: typer.echo(text, err=True)):
            if event.kind == "log":
                for number, text in enumerate(event.data["lines"], event.data["line"]):
                    if number >= line:
                        typer.echo(text)
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _config(settings: list[str]) -> dict[str, Any]:
    """The configuration of a command line. Raises ConfigError."""
    from model.config import merge, parse_overrides, read_config
    from model.errors import ConfigError, Fault

    files = [Path(text) for text in settings if "=" not in text]
    if len(files) > 1:
        raise ConfigError([Fault("configuration", "several were given", "one file")])
    tree = read_config(files[0]) if files else {}
    return merge(tree, parse_overrides([text for text in settings if "=" in text]))
