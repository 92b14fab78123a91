"""One run of seconds, and commands in this process: nobody waits for another interpreter."""

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from model.config import load_config
from service.cli import app

Command = Callable[..., Result]


@pytest.fixture
def command() -> Command:
    """`command("verify", path)`: exit code, stdout and stderr; an error that escapes is raised."""

    def run(*arguments: object) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(
            app, [str(argument) for argument in arguments], catch_exceptions=False
        )

    return run


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two students on drawn figures, one of them exported."""
    from model.training.run import train

    folder = tmp_path_factory.mktemp("runs") / "small"
    config = load_config(
        {
            "preset": "tiny",
            "data": {
                "crop_px": [32, 32],
                "train": [{"format": "synthetic", "people": 24, "seed": 1, "size_px": 64}],
                "valid": [{"format": "synthetic", "people": 6, "seed": 2, "size_px": 64}],
            },
            "network": {"width": 8, "depth": 1, "branches": [{"name": "a"}, {"name": "b"}]},
            "training": {"epochs": 1, "batch_size": 8},
            "export": {"branch": "a"},
        }
    )
    train(config, folder, device="cpu")
    return folder
