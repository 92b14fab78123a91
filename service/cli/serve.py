"""`okdhp serve`."""

from typing import Annotated

import typer

from service.cli.options import Home, need_runtime, settings_of


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 8000,
    home: Home = None,
    worker: Annotated[
        bool, typer.Option(help="Whether a worker for jobs runs beside the API.")
    ] = True,
    insecure: Annotated[
        bool,
        typer.Option(
            "--insecure", help="Listen beyond this machine although no API key was ever made."
        ),
    ] = False,
) -> None:
    """Start the server: API, worker and broker, all state in one folder.

    Answers POST /predict with the bundled student from the first start. Other settings are
    environment variables OKDHP_…, as OKDHP_PROVIDER=cuda or OKDHP_DATA_DIR=/photos.
    Ctrl-C stops everything; a job in work saves a checkpoint and goes on at the next start.
    """
    need_runtime()
    settings = settings_of(home)
    from service import launcher
    from service.logs import log_to_stderr

    log_to_stderr(settings.log_format)

    launcher.serve(settings, host, port, worker=worker, insecure=insecure, say=typer.echo)
