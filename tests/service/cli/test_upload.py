"""`okdhp data upload` against a real server."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from service.cli.jobs.errors import RequestRefused
from service.settings import ServiceSettings
from tests.worker.datasets.zips import lsp_files, write, zipped

Command = Callable[..., Result]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ServiceSettings:
    """The server takes half a megabyte."""
    folder = tmp_path_factory.mktemp("server")
    return ServiceSettings(
        home=folder / "home",
        broker_url=f"redis+socket://{folder}/nobody.sock",
        upload={"max_bytes": 500_000},
    )


def test_a_folder_and_its_zip_are_the_same_set(command: Command, url: str, tmp_path: Path) -> None:
    """Once it is version 1, then it still is; the answer tells how to follow its validation."""
    write(tmp_path / "gym", lsp_files())
    (tmp_path / "gym.zip").write_bytes(zipped(lsp_files()))

    sent = [
        command("data", "upload", tmp_path / source, "--name", "gym", "--server", url).stdout
        for source in ("gym", "gym.zip")
    ]

    assert sent[0] == sent[1]
    lines = sent[0].splitlines()
    assert lines[:2] == [
        "gym:1 train: 2 people, 2 images",
        "gym:1 valid: 1 people, 1 images",
    ]
    assert lines[-1].startswith("validation: okdhp jobs watch ")


def test_a_refusal_is_the_server_s_own_words(command: Command, url: str, tmp_path: Path) -> None:
    """Also where it comes before all was sent."""
    (tmp_path / "bad.zip").write_bytes(b"PK")
    (tmp_path / "large.zip").write_bytes(bytes(40 << 20))

    with pytest.raises(RequestRefused, match="the archive is no ZIP, damaged or cut short"):
        command("data", "upload", tmp_path / "bad.zip", "--name", "x", "--server", url)
    with pytest.raises(RequestRefused, match="may have 500,000 bytes; it has 41,943,040"):
        command("data", "upload", tmp_path / "large.zip", "--name", "x", "--server", url)
