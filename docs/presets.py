"""Writes the table of docs/presets.md: what each preset's branches cost when they are deployed.

python docs/presets.py
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import torch

from model.config import Config, load_config, preset_names
from model.network import MultiBranch
from model.network.cost import student_cost
from model.skeletons import SKELETONS

PAGE: Final = Path(__file__).with_suffix(".md")
BEGIN: Final = "<!-- python docs/presets.py writes from here -->\n"
END: Final = "<!-- to here -->\n"
HEAD: Final = (
    "| preset | crop | block | branch | stacks | width | parameters | GMACs |\n"
    "|---|---|---|---|---|---|---|---|\n"
)


def lines(preset: str) -> str:
    """Markdown, a line for each branch that is unlike those before it."""
    return "".join(f"| {' | '.join(row)} |\n" for row in rows(preset))


def rows(preset: str) -> Iterator[tuple[str, ...]]:
    config = with_any_data(preset)
    network, (H, W) = config.network, config.data.crop_px
    with torch.device("meta"):  # shapes without numbers
        whole = MultiBranch(network, len(SKELETONS[config.data.skeleton]))
    first: tuple[str, str, str] = (f"`{preset}`", f"{H} × {W}", network.block)
    alike: dict[tuple[int, int], list[str]] = {}
    for name, branch in zip(network.branch_names, network.branches, strict=True):
        alike.setdefault((branch.stacks, branch.width or network.width), []).append(name)
    for (stacks, width), names in alike.items():
        cost = student_cost(whole, network.branch_names.index(names[0]), (H, W))
        told = names[0] if len(names) == 1 else f"{len(names)} alike"
        shared = f"{network.shared_stacks} + " if network.shared_stacks else ""
        yield (
            *first,
            told,
            f"{shared}{stacks}",
            str(width),
            f"{cost.parameters:,}",
            f"{cost.gmacs:.3f}",
        )
        first = ("", "", "")


def with_any_data(preset: str) -> Config:
    """The preset with drawn people: what a branch costs does not depend on who it learns from."""
    sources = [{"format": "synthetic"}]
    return load_config({"preset": preset, "data": {"train": sources, "valid": sources}})


def main() -> None:
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    table = "".join(map(lines, preset_names()))
    PAGE.write_text(f"{before}{BEGIN}{HEAD}{table}{END}{after}", "utf-8")


if __name__ == "__main__":
    main()
