"""A server on a socket in this process: what streams cannot be asked for in memory."""

import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn

from service.app import create_app
from service.launcher import _listen
from service.settings import ServiceSettings
from worker.stores import Stores, open_stores


@pytest.fixture(scope="module")
def stores(settings: ServiceSettings) -> Iterator[Stores]:
    """The server's own, as a worker beside it would open them."""
    opened = open_stores(settings)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def url(settings: ServiceSettings) -> Iterator[str]:
    """Where a started server listens."""
    with _listen("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(create_app(settings), log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)
        assert not thread.is_alive()
