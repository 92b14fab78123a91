"""A whole audit: runs are heard on sets of labels, and a folder is written.

audit.csv  audit.json  audit.png  weights.npz
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

from model.audit.findings import Findings
from model.audit.picture import grid
from model.audit.report import summary, write_table, write_weights
from model.audit.witnesses import Run
from model.config import SourceConfig, load_config, read_config
from model.data.label_weights import FILE
from model.data.mixture import count_people
from model.errors import ConfigError, Fault
from model.files import replaced, sha256_of, write_json
from model.training.parallel.devices import leave_a_core, pick_device
from model.training.start.begin import BEST, local_file
from model.training.state.checkpoints import config_of, read_checkpoint

TABLE: Final = "audit.csv"
COUNTS: Final = "audit.json"
PICTURE: Final = "audit.png"
TABLES: Final = (TABLE, COUNTS, FILE)
PICTURES: Final = (PICTURE,)

PICTURED: Final = 24


@dataclass(frozen=True)
class Judge:
    """A run that is heard: its best.pt, and the data that it was trained on."""

    name: str
    checkpoint: Path
    learnt_from: tuple[SourceConfig, ...]


def judge_of(reference: str, where: str) -> Judge:
    """A run's folder, its best.pt, or a URL of either. Raises ConfigError, CheckpointUnusable.

    A checkpoint by itself does not say where the data lay that it was trained on.
    """
    checkpoint = local_file(reference, where, inside=(BEST,))
    name = PurePosixPath(reference.removesuffix(f"/{BEST}")).name
    beside = checkpoint.parent.parent / "config.yaml"
    if checkpoint.match(BEST) and beside.is_file():
        config = load_config(read_config(beside))
    else:
        config = config_of(read_checkpoint(checkpoint), checkpoint)
    return Judge(name, checkpoint, config.data.train)


def audit(
    judges: Sequence[Judge],
    sources: Sequence[SourceConfig],
    out: Path,
    *,
    top: int = PICTURED,
    device: str = "auto",
    advance: Callable[[int, int], None] = lambda done, of: None,
) -> dict[str, Any]:
    """Write the four files into `out`; returns what audit.json holds.

    A person is judged by those who have not learnt from him, by all where every one has. top: how
    many people the picture shows. advance: told how many people of how many have been judged.

    Raises ConfigError (runs of different joints, a run of one branch), CheckpointUnusable,
    DatasetError.
    """
    leave_a_core()
    where = pick_device(device)
    runs = [Run.open(judge.checkpoint, judge.learnt_from, where) for judge in judges]
    _same_joints(judges, runs)
    whole = sum(count_people(source) for source in sources)
    done = 0

    def judged(people: int) -> None:
        nonlocal done
        done += people
        advance(done, whole)

    found = [Findings.of(source, runs, judged) for source in sources]
    counts = summary(
        found,
        {
            "runs": [
                {"name": judge.name, "sha256": sha256_of(judge.checkpoint)} for judge in judges
            ],
            "witnesses": 2 * sum(len(run.learner.network.names) for run in runs),
        },
    )
    write_table(found, out / TABLE)
    write_weights(found, out / FILE)
    picture = grid(found, top)
    with replaced(out / PICTURE) as file:
        picture.save(file, "PNG")
    write_json(out / COUNTS, counts)  # the last: where it is, the audit is whole
    return counts


def _same_joints(judges: Sequence[Judge], runs: Sequence[Run]) -> None:
    first = runs[0].skeleton
    for judge, run in zip(judges, runs, strict=True):
        if run.skeleton.joints != first.joints:
            raise ConfigError(
                [
                    Fault(
                        "run",
                        f"{judge.name} knows the joints of {run.skeleton.name}, "
                        f"{judges[0].name} those of {first.name}",
                        "runs of the same joints",
                    )
                ]
            )
