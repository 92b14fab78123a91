"""What a run's folder says of where the run came from. Strangers may read the manifest."""

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import yaml

from model.data.mixture import Mixture
from model.errors import CheckpointUnusable
from model.files import replaced, write_json
from model.provenance import code_version, package_versions, shown_command
from model.training.parallel.devices import device_name
from model.training.state.session import Session

MANIFEST: Final = "manifest.json"


def describe(session: Session, run_dir: Path, people: Mixture, valid: Mixture) -> None:
    """config.yaml and manifest.json: enough to do it again."""
    config = session.given
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    with replaced(run_dir / "config.yaml") as file:
        file.write(text.encode())
    write_json(
        run_dir / MANIFEST,
        {
            "code": code_version(),
            "python": platform.python_version(),
            "packages": package_versions(),
            "device": device_name(session.device),
            "seed": config.training.seed,
            "train": _data(people),
            "valid": _data(valid),
            "teacher": session.teacher.origin if session.teacher else None,
            "init": session.progress.init or None,
            "command": shown_command(),
        },
    )


def read_manifest(run_dir: Path) -> dict[str, Any]:
    """What `describe` wrote. Raises CheckpointUnusable."""
    try:
        manifest: dict[str, Any] = json.loads((run_dir / MANIFEST).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointUnusable(f"{run_dir.name} has no manifest that can be read") from error
    return manifest


def _data(people: Mixture) -> dict[str, Any]:
    """The mixture's own fingerprint, and each set of it with the one by which it is known."""
    return {
        "fingerprint": people.fingerprint,
        "sets": [asdict(o) for o in people.origins],
        "weights": asdict(people.weighing) if people.weighing else None,
    }
