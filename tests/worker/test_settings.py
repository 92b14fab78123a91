"""Settings out of nothing, and out of the environment."""

from pathlib import Path

import pytest

from worker.settings import WorkerSettings


def test_all_state_lies_below_one_home_by_default(tmp_path: Path) -> None:
    """One folder to keep, to move and to delete."""
    settings = WorkerSettings(home=tmp_path)

    assert settings.database_url == f"sqlite:///{tmp_path}/okdhp.db"
    assert settings.artifacts_url == f"file://{tmp_path}/artifacts"
    assert (settings.data_dir, settings.runs_dir) == (tmp_path / "data", tmp_path / "runs")
    assert settings.broker_url is None


def test_the_environment_sets_what_it_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable, as compose files leave them, counts as none."""
    monkeypatch.setenv("OKDHP_HOME", "~/elsewhere")
    monkeypatch.setenv("OKDHP_DATABASE_URL", "postgresql://host/okdhp")
    monkeypatch.setenv("OKDHP_DATA_DIR", "")

    settings = WorkerSettings()

    assert settings.home == Path.home() / "elsewhere"
    assert settings.database_url == "postgresql://host/okdhp"
    assert settings.data_dir == Path.home() / "elsewhere" / "data"


def test_a_relative_home_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker and the children may stand in another folder."""
    monkeypatch.chdir(tmp_path)

    settings = WorkerSettings(home=Path("here"))

    assert settings.home == tmp_path / "here"
    assert settings.artifacts_url == f"file://{tmp_path}/here/artifacts"


def test_passwords_are_not_shown() -> None:
    """Settings are written to logs."""
    settings = WorkerSettings(
        database_url="postgresql://u:secret@h/x", broker_url="redis://:secret@h"
    )

    assert "secret" not in repr(settings)
