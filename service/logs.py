"""What a process that runs for long writes to stderr: JSON for machines, lines for people.

Every module logs by `logging`; structlog gives the lines their form. No form prints the values of
variables beside a traceback: a key or a photograph may be among them.
"""

import logging
import sys
from typing import Final, Literal

import structlog
from structlog.types import EventDict, Processor, WrappedLogger

LogFormat = Literal["auto", "json", "console"]


def _without_uvicorns_colours(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event.pop("color_message", None)  # the line a second time
    return event


_CHAIN: Final[list[Processor]] = [
    structlog.contextvars.merge_contextvars,  # the request's id
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    _without_uvicorns_colours,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def log_to_stderr(form: LogFormat) -> None:
    """Has this process log to stderr. form: `auto` is JSON where stderr is no terminal."""
    terminal = sys.stderr.isatty()
    plain = form == "console" or (form == "auto" and terminal)
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_CHAIN,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(_for_people(terminal) if plain else _for_machines()),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # tells of its plugins at every start


def _for_people(colours: bool) -> list[Processor]:
    return [
        structlog.dev.ConsoleRenderer(
            colors=colours, exception_formatter=structlog.dev.plain_traceback
        )
    ]


def _for_machines() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
