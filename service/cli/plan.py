"""What `okdhp train --dry-run` says of a training: its size, memory and steps."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from model.config import Config
    from model.network.cost import Cost
    from model.training.start.plan import Memory, Plan


def tell_plan(config: "Config", device: str) -> None:
    """On stderr, since stdout is the configuration. Raises ConfigError for an unknown device."""
    from model.errors import DatasetError
    from model.training.parallel.devices import pick_device
    from model.training.start.plan import plan

    console = Console(stderr=True, highlight=False)
    try:
        found = plan(config, pick_device(device))
    except DatasetError as error:
        console.print(f"the skeleton is the data's, which cannot be read: {error}", markup=False)
        return
    console.print(_costs(found, config.data.crop_px))
    for line in (_memory_line(found.memory, found.at_once), _steps_line(found, config)):
        console.print(line, markup=False, soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)


def _costs(found: "Plan", crop_px: tuple[int, int]) -> Table:
    """A line for the whole that learns, and one for each branch as it is deployed."""
    H, W = crop_px
    table = Table(title=f"cost at {H} × {W} pixels", title_justify="left")
    table.add_column("")
    for column in ("parameters", "GMACs"):
        table.add_column(column, justify="right")

    def row(name: str, cost: "Cost") -> None:
        table.add_row(name, f"{cost.parameters:,}", f"{cost.gmacs:.3f}")

    row("the whole, in training", found.whole)
    table.add_section()
    for name, cost in found.branches.items():
        row(f"{name}, deployed", cost)
    return table


def _memory_line(memory: "Memory", people: int) -> str:
    parts = {
        "weights": memory.weights,
        "gradients": memory.gradients,
        "optimiser": memory.optimiser,
        "average": memory.average,
        f"activations of {people} people at once": memory.activations,
    }
    shown = ", ".join(f"{name} {_megabytes(size)}" for name, size in parts.items() if size)
    return f"memory of each device, at least: {_megabytes(memory.total)} ({shown})"


def _steps_line(found: "Plan", config: "Config") -> str:
    people = (
        f"{_count(found.train)} people to learn from, {_count(found.valid)} to judge on"
        if found.train is not None or found.valid is not None
        else "people: not counted"
    )
    if found.steps is None:
        return f"{people}; steps: not known"
    return (
        f"{people}; {found.steps_per_epoch:,} steps an epoch, "
        f"{found.steps:,} in {config.training.epochs} epochs"
    )


def _count(people: int | None) -> str:
    return "?" if people is None else f"{people:,}"


def _megabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"
