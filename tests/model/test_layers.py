"""Two doors: what serves never imports torch, what trains may.

import-linter holds the layers; whether torch is really loaded shows in a fresh process only.
"""

import subprocess
import sys

import pytest

SERVING = (
    "model.predictor",
    "model.config",
    "model.errors",
    "model.geometry",
    "model.images",
    "model.pictures",
    "model.skeletons",
    "model.evaluation",
    "model.data.person",
    "model.data.readers",
    "model.data.check",
    "model.metrics.pck",
    "model.metrics.ap",
    "model.receipt",
    "model.evidence",
    "model.comparison.publish",
    "model.comparison.gather",
    "service.app",
    "service.cli",
)
LEAN = ("model.predictor", "model.images", "model.geometry", "model.skeletons")


def loaded_by(module: str) -> set[str]:
    """Top-level packages in a fresh process after the import."""
    script = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("module", SERVING)
def test_what_serves_never_loads_torch(module: str):
    """Production has no torch; half a second and 200 MB where it has."""
    assert not {"torch", "onnx", "onnxscript", "matplotlib", "pycocotools"} & loaded_by(module)


@pytest.mark.parametrize("module", LEAN)
def test_the_predictor_needs_numpy_pillow_and_onnx_runtime_alone(module: str):
    """Whoever embeds it brings no web server, no data reader and no configuration along."""
    heavy = {"scipy", "pydantic", "yaml", "fastapi", "celery", "sqlalchemy"}

    assert not heavy & loaded_by(module)


def test_the_model_knows_no_house():
    """Neither HTTP nor broker nor database, even when it trains."""
    loaded = loaded_by("model.training.run")

    assert "torch" in loaded
    assert not {"service", "worker", "fastapi", "celery", "sqlalchemy", "redis"} & loaded
