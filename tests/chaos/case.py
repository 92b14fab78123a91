"""One case of chaos: an installation, its expected end, and its row in the table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
from installation import Installation
from servers import postgres_programs
from table import Row
from twin import Twin
from verdict import judge, leftovers

from worker.store import State

CONFIG: Final[dict[str, Any]] = {
    "preset": "tiny",
    "data": {
        "crop_px": [32, 32],
        "train": [{"format": "synthetic", "people": 48, "seed": 1}],
        "valid": [{"format": "synthetic", "people": 8, "seed": 2}],
    },
    "network": {"width": 8, "depth": 1},
    "training": {"epochs": 8, "batch_size": 4, "amp": "fp32"},
    "export": {"name": "chaos"},
}
"""A real distillation of seconds: twelve steps an epoch, a checkpoint after each. The precision is
said: `auto` measures which is faster, and one that begins anew may find another than its twin."""


class Case:
    """One case: an installation, and its row in the table."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path) -> None:
        self._request, self._folder = request, folder
        self._servers = request.config.getoption("--stores") == "servers"
        self.installation: Installation | None = None

    def install(self, *, servers: bool = False, **how: Any) -> Installation:
        """servers: whether the case is about PostgreSQL, whatever the others run on."""
        self._servers |= servers
        if self._servers and postgres_programs() is None:
            pytest.skip("PostgreSQL's server is not installed")
        self.installation = Installation(self._folder, servers=self._servers, **how)
        return self.installation

    def conclude(
        self,
        fault: str,
        moment: str,
        expected: Mapping[str, State],
        *,
        twin: Twin | None = None,
        steady_clock: bool = True,
    ) -> Row:
        """Stop everything, judge, and note the row. Fails where anything does not hold."""
        installation = self.installation
        assert installation is not None
        installation.stop_workers()
        verdict = judge(installation, expected, twin=twin, steady_clock=steady_clock)
        installation.close()
        verdict.wrong += leftovers(installation)
        row = Row(
            fault,
            moment,
            "servers" if self._servers else "local",
            len(installation.faults),
            verdict.jobs,
            len(verdict.lost),
            len(verdict.doubled),
            verdict.take_over_s,
        )
        self._request.node.user_properties.append(("chaos", row.to_json()))
        assert not verdict.faults, "\n".join(verdict.faults)
        return row
