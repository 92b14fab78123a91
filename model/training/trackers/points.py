"""A run's events as curves: values by name, over steps."""

import re
from collections.abc import Iterator, Mapping
from typing import Any


class Points:
    """Reads events in order, since an epoch's place depends on how the run started."""

    def __init__(self) -> None:
        self._steps_per_epoch = 1

    def of(self, event: Mapping[str, Any]) -> tuple[int, dict[str, float]]:
        """The step and the values by name that an event adds to the curves, if any.

        Names are `loss/total`, `images_per_s`, `lr`, and `BRANCH/METRIC` of the branches and the
        ensemble; letters that trackers do not take are `_`, as in `pck_0.2`.
        """
        match event["kind"]:
            case "started":
                self._steps_per_epoch = event["steps_per_epoch"]
                return self.first(event), {}
            case "progress":
                step, values = event["step"], {"images_per_s": event["images_per_s"]}
                return step, values | dict(_below("step_loss", event["loss"]))
            case "epoch":
                values = dict(_below("loss", event["loss"]))
                values["lr"] = event["lr"]
                scores = {**event.get("branches", {}), "ensemble": event.get("ensemble") or {}}
                for name, metrics in scores.items():
                    values |= dict(_below(name, metrics))
                return event["epoch"] * self._steps_per_epoch, values
        return 0, {}

    @staticmethod
    def first(started: Mapping[str, Any]) -> int:
        """The first step whose values a run that goes on will tell again."""
        return int(started["epoch"] * started["steps_per_epoch"]) + 1


def _below(name: str, values: Mapping[str, float | None]) -> Iterator[tuple[str, float]]:
    for key, value in values.items():
        if value is not None:
            yield re.sub(r"[^\w./-]", "_", f"{name}/{key}"), value
