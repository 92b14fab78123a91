"""The lines of the table: which branch of which run counts, chosen on the selection people."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from model.comparison.cells import Cell, Student, student_names, students
from model.comparison.config import ALONE
from model.comparison.trained import Trained


@dataclass(frozen=True)
class Deployed:
    """One run's student: of its branches that could be deployed the best on selection."""

    cell: Cell
    trained: Trained
    branch: str

    @property
    def onnx(self) -> Path:
        return self.trained.students[self.branch]

    @property
    def selection(self) -> float:
        """Its score on the selection people, in percent."""
        return self.trained.selection(self.branch, self.cell.config.evaluation.metric)


@dataclass(frozen=True)
class Line:
    """One student by one way to train it, over seeds."""

    row: str
    layout: str
    student: Student
    student_name: str
    deployed: dict[int, Deployed] = field(default_factory=dict)  # by seed; only what is there

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.row, self.layout)))

    @property
    def selection(self) -> float:
        """Mean over seeds, in percent."""
        scores = [deployed.selection for deployed in self.deployed.values()]
        return sum(scores) / len(scores)


def lines_of(all_cells: Sequence[Cell], trained: Mapping[str, Trained]) -> list[Line]:
    """Every line of which a run is there: student by student, the one alone first, then by rows.

    trained: finished runs by the name of their cell.
    """
    names = student_names(all_cells)
    found: dict[tuple[str, str, Student], Line] = {}
    for cell in all_cells:
        run = trained.get(cell.name)
        if run is None:
            continue
        for student, branches in students(cell.config).items():
            key = cell.row, cell.layout, student
            line = found.setdefault(key, Line(*key, names[student]))
            branch = run.best_of(branches, cell.config.evaluation.metric)
            line.deployed[cell.seed] = Deployed(cell, run, branch)
    order = list(names)
    # Sorting is stable: within a student the rows stay as they were named.
    return sorted(found.values(), key=lambda line: (order.index(line.student), line.row != ALONE))


def rival(lines: Iterable[Line], line: Line, row: str) -> Line | None:
    """The line of another row with the same student: of the same layout, or of none."""
    for other in lines:
        same = other.student == line.student and other.row == row
        if same and other.layout in (line.layout, "") and other is not line:
            return other
    return None


def winner_of(lines: Sequence[Line]) -> tuple[Line, Deployed]:
    """The line with the best mean on the selection people, and its best run on them.

    Lines that lack seeds are passed over where others have more: a mean of fewer jumps more.
    """
    most = max(len(line.deployed) for line in lines)
    line = max((x for x in lines if len(x.deployed) == most), key=lambda x: x.selection)
    return line, max(line.deployed.values(), key=lambda deployed: deployed.selection)
