"""`okdhp serve`: the API, a worker and the embedded broker as one program with one home.

The API runs in this process. Broker and worker are children in sessions of their own, so that
Ctrl-C reaches only us and we stop them in order; they die with us whatever kills us.
"""

import asyncio
import contextlib
import ctypes
import errno
import gc
import importlib.util
import ipaddress
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Final

import uvicorn
import uvloop

from service.app import create_app
from service.children import Kept, Process
from service.errors import NotReady
from service.home import LaunchRefused, held_home
from service.predict.models import LOADING
from service.protocol import Protocol
from service.settings import ServiceSettings
from worker.bound import bound
from worker.broker import EmbeddedBroker
from worker.stores import open_stores

log = logging.getLogger(__name__)

Say = Callable[[str], None]

_LOOK_S: Final = 0.5
_REQUESTS_GRACE_S: Final = 5
_BACKLOG: Final = 2048
_M_ARENA_MAX: Final = -8  # of malloc.h
_M_MMAP_THRESHOLD: Final = -3
_KEEP_ALIVE_S: Final = 5
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
NO_TORCH: Final = (
    "no worker runs beside this server, since training is not installed here: "
    "pip install 'okdhp[train]' and start it again, or start `okdhp worker` where it is"
)


def serve(
    settings: ServiceSettings,
    host: str,
    port: int,
    *,
    worker: bool,
    insecure: bool,
    say: Say,
) -> None:
    """Serve until a signal ends it. Raises LaunchRefused, BrokerUnusable, StoreUnusable.

    port: 0 for any free one. worker: whether to start one. insecure: whether
    other machines may be let in without keys. say: tells the user a line.
    """
    _steady_heaps()
    with (
        held_home(settings.home),
        contextlib.closing(_listen(host, port)) as listener,
        contextlib.ExitStack() as closing,
    ):
        if not insecure:
            _refuse_open_doors(settings, listener)
        broker = None
        if settings.broker_url is None:
            broker = closing.enter_context(EmbeddedBroker(settings.home / "broker"))
            settings = settings.model_copy(update={"broker_url": broker.url})
        open_stores(settings).close()  # a store that is unusable is said before anything runs
        no_worker = NO_TORCH if worker and importlib.util.find_spec("torch") is None else None
        children = []
        if broker is not None:
            children.append(Kept("broker", _restarts(broker)))
        if worker and no_worker is None:
            children.append(Kept("worker", lambda: _start_worker(settings)))
        launcher = _Launcher(settings, listener, children, no_worker, say)
        uvloop.run(launcher.run())


def _steady_heaps() -> None:
    """Threads share two heaps, where glibc would give them up to eight for each core, and pictures
    lie outside of them.

    Every model that is loaded has threads of its own, and a heap keeps what its thread freed: 180
    swaps under load took 180 MB more without the first. One large picture that is freed makes
    glibc put such pictures on a heap, unless it was told a size. Nothing where the C library is
    another.
    """
    with contextlib.suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_ARENA_MAX, 2)
        mallopt(_M_MMAP_THRESHOLD, 4 * 1024**2)


class _Server(uvicorn.Server):
    """Uvicorn without its signal handlers: the launcher has its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Launcher:
    def __init__(
        self,
        settings: ServiceSettings,
        listener: socket.socket,
        children: list[Kept],
        no_worker: str | None,
        say: Say,
    ) -> None:
        self._settings, self._listener, self._say = settings, listener, say
        self._children = children  # in the order of their start
        self._no_worker = no_worker
        self._app = create_app(settings, no_worker=no_worker)
        self._server = _Server(
            uvicorn.Config(
                self._app,
                log_config=None,
                server_header=False,
                timeout_graceful_shutdown=_REQUESTS_GRACE_S,
                http=Protocol,
                access_log=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
            )
        )
        self._stopping = False

    async def run(self) -> None:
        """Everything, until a signal and all that follows from it."""
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            # nohup has HUP ignored, and means it; a shell's `&` ignores INT for everybody.
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._stop)
        watch = asyncio.create_task(self._keep_children())
        greeting = asyncio.create_task(self._greet())
        try:
            await self._server.serve(sockets=[self._listener])
        finally:
            greeting.cancel()
            watch.cancel()
            await self._end_children()

    def _stop(self) -> None:
        if self._stopping:  # somebody is in a hurry
            self._server.force_exit = True
            for child in self._children:
                child.kill()
            return
        self._stopping = True
        self._server.should_exit = True
        if (parts := getattr(self._app.state, "context", None)) is not None:
            parts.hub.close()  # uvicorn waits for every answer, and these have no end
        with contextlib.suppress(
            OSError
        ):  # whoever read our output may be gone: we end all the same
            self._say("stopping; a job in work saves a checkpoint and goes on at the next start")
        for child in self._children:
            if child.name == "worker":  # while the last requests are answered
                child.ask_to_end()

    async def _keep_children(self) -> None:
        while not self._stopping:
            for child in self._children:
                child.look(time.monotonic())
            await asyncio.sleep(_LOOK_S)

    async def _end_children(self) -> None:
        """The last started first: a worker without its broker would complain to the end."""
        patience_s = self._settings.drain_grace_s + 10
        for child in reversed(self._children):
            child.ask_to_end()
            until = time.monotonic() + patience_s
            while not child.ended() and time.monotonic() < until:
                await asyncio.sleep(0.05)
            child.kill()

    async def _greet(self) -> None:
        """Says where we listen, and what answers once it is loaded."""
        while not self._server.started:
            await asyncio.sleep(0.02)
        # What was made until now stays: no collection has to look at it again while requests wait.
        gc.collect()
        gc.freeze()
        host, port = self._listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        self._say(f"okdhp {version('okdhp')} listens on http://{shown}:{port} (API: /docs)")
        self._say(f"home: {self._settings.home}")
        if self._no_worker is not None:
            self._say(self._no_worker)
        told = LOADING  # takes a moment at every start: nothing to tell
        while True:
            try:
                served = self._app.state.context.models.production()
            except NotReady as error:
                if str(error) != told:
                    told = str(error)
                    self._say(f"not ready: {told}")
                await asyncio.sleep(0.1)
            else:
                where = served.predictor.provider
                self._say(f"ready: model {served.name}:{served.version} on {where}")
                return


def _restarts(broker: EmbeddedBroker) -> Callable[[], Process]:
    """The running broker at first, and it started again from then on."""

    def start() -> Process:
        if broker.process.poll() is not None:
            broker.start()
        return broker.process

    return start


def _start_worker(settings: ServiceSettings) -> Process:
    given = {"OKDHP_HOME": str(settings.home), "OKDHP_BROKER_URL": settings.broker_url or ""}
    return subprocess.Popen(
        bound([sys.executable, "-m", "service.cli", "worker"]),
        env={**os.environ, **given},
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )


def _refuse_open_doors(settings: ServiceSettings, listener: socket.socket) -> None:
    """Raises LaunchRefused where other machines could ask without a key."""
    address = listener.getsockname()[0]
    if ipaddress.ip_address(address.partition("%")[0]).is_loopback or settings.require_keys:
        return
    stores = open_stores(settings)
    try:
        if stores.keys.all():
            return
    finally:
        stores.close()
    raise LaunchRefused(
        f"at {address} every machine that reaches this one could use the server, and there is no "
        "API key; make one with `okdhp keys create NAME`, or say --insecure"
    )


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, taken before any child starts. Raises LaunchRefused."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        family, kind, protocol, _, address = found[0]
        with contextlib.ExitStack() as on_error:
            # The protocol must be named: asyncio sends small packets without delay only then, and
            # `socket.create_server` leaves it out. An answer would often wait 40 ms.
            listener = on_error.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(_BACKLOG)
            on_error.pop_all()
            return listener
    except socket.gaierror as error:
        raise LaunchRefused(f"{host} is not an address of this machine: {error.strerror}") from None
    except OSError as error:
        reasons = {
            errno.EADDRINUSE: "is in use; stop what uses it, or choose another with --port",
            errno.EACCES: "may not be used by this user; choose one above 1023 with --port",
            errno.EADDRNOTAVAIL: "is not of this machine; choose another address with --host",
        }
        reason = reasons.get(error.errno or 0, f"cannot be used: {error.strerror}")
        raise LaunchRefused(f"port {port} of {host} {reason}") from None
