"""What a worker beside the server would work with."""

from collections.abc import Iterator

import pytest

from service.settings import ServiceSettings
from worker.stores import Stores, open_stores


@pytest.fixture(scope="module")
def stores(settings: ServiceSettings) -> Iterator[Stores]:
    """The server's own."""
    opened = open_stores(settings)
    yield opened
    opened.close()
