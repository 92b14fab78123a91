"""From the first epoch to the last: train, judge, keep the best, save; and when it is over."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model.data.mixture import Mixture
from model.data.packing import Pack
from model.errors import ConfigError, Fault
from model.training.events import FINISH, EventLog
from model.training.loop import Loop
from model.training.outcome.validation import Valid
from model.training.parallel.group import Group
from model.training.start.begin import BEST, LAST
from model.training.state.keeping import best, epoch_file, keep_copy, latest, prune
from model.training.state.learner import ENSEMBLE
from model.training.state.session import Session


class Fit:
    """A session on its way through the epochs. Every process of the group has one."""

    def __init__(
        self,
        session: Session,
        people: Mixture,
        packed: Pack,
        valid: Valid,
        *,
        run_dir: Path,
        log: EventLog,
        stop: Callable[[], bool],
        group: Group,
    ) -> None:
        self.session, self.valid, self.group = session, valid, group
        self.run_dir, self.log = run_dir, log
        self.training = session.config.training
        self.stop = stop
        self.loop = Loop(
            session,
            packed,
            stop=lambda: stop() or self._asked_to_finish(),
            report=lambda values: log.write("progress", **values),
            checkpoint=self._save,
            group=group,
            name=lambda row: people.people[row].photograph.name,
        )
        self._began = time.monotonic() - session.progress.run_s

    def run(self) -> bool:
        """All epochs that are left; False where it was stopped before their end.

        Where it was asked to finish, what is left is not missed: the best epoch so far is the
        result, and the checkpoint lets the training go on.
        """
        history, every = self.session.progress.history, self.session.config.evaluation.every_epochs
        self._tell_start()
        # One that was killed after its last epoch is not to begin another.
        if self._ends(out_of_time=self._out_of_time() and "branches" in (history or [{}])[-1]):
            return True
        for entry in self.loop.epochs():
            epoch, out_of_time = entry["epoch"], self._out_of_time()
            judged = epoch == self.training.epochs or out_of_time or epoch % every == 0
            if judged:
                entry |= self._judge(epoch)
            history.append(entry)
            self.log.write("epoch", **entry)
            if judged and self.group.leads:
                self._keep_best(epoch)
            self._save(finished=epoch)
            if self._ends(out_of_time=out_of_time):
                return True
        if not self.loop.stopped:
            return True
        self._save()
        if self.group.any(self.stop()) or not self.group.any(self._asked_to_finish()):
            return False
        self.log.write("stopped", epoch=len(history))
        return True

    def _asked_to_finish(self) -> bool:
        """Whether somebody wants no more of it, and there is something to show."""
        return self.session.progress.best_score is not None and (self.run_dir / FINISH).exists()

    def _tell_start(self) -> None:
        session = self.session
        self.log.write(
            "started",
            device=str(session.device),
            devices=self.group.size,
            amp=session.progress.amp,
            epoch=len(session.progress.history),
            epochs=self.training.epochs,
            steps_per_epoch=self.loop.steps_per_epoch,
            batch_size=self.loop.batch_size,
            train_people=len(self.loop.people),
            valid_people=len(self.valid),
            parameters=sum(p.numel() for p in session.learner.parameters()),
        )

    def _save(self, finished: int | None = None) -> None:
        """The last checkpoint, by the process that writes. finished: the epoch that just ended."""
        progress = self.session.progress
        progress.run_s = time.monotonic() - self._began
        if not self.group.leads:
            return
        path = self.run_dir / LAST
        self.session.save(path)
        if finished is not None:
            kept = latest(finished, self.training.keep_last)
            if kept:
                keep_copy(path, finished)
            prune(path, kept)
        self.log.write("checkpoint", path=LAST, epoch=len(progress.history))

    def _keep_best(self, epoch: int) -> None:
        """The best epochs' weights beside the best one's."""
        history, path = self.session.progress.history, self.run_dir / BEST
        metric = self.session.config.evaluation.metric
        kept = best(history, metric, self.training.keep_best)
        if epoch in kept:
            self.session.save_judged(epoch_file(path, epoch))
        prune(path, kept)

    def _judge(self, epoch: int) -> dict[str, Any]:
        """Every branch and the ensemble on the validation people; a better branch is kept."""
        session = self.session
        scores = self.valid.scores(session)
        metric, progress = session.config.evaluation.metric, session.progress
        branches = {name: values for name, values in scores.items() if name != ENSEMBLE}
        if any(metric not in values for values in branches.values()):
            known = ", ".join(next(iter(branches.values())))
            raise ConfigError(
                [Fault("evaluation.metric", f"the validation people give no {metric}", known)]
            )
        name = max(branches, key=lambda b: branches[b][metric])
        if progress.best_score is None or branches[name][metric] > progress.best_score:
            progress.best_score, progress.best_epoch = branches[name][metric], epoch
            progress.best_branch = name
            if self.group.leads:
                session.save_judged(self.run_dir / BEST)
        return {"branches": branches, "ensemble": scores[ENSEMBLE]}

    def _ends(self, *, out_of_time: bool) -> bool:
        """Whether the run ends before its last epoch; it is told why."""
        why = ""
        if self._stale():
            why = "no better score for long: stopped early"
        elif out_of_time:
            why = f"training.max_hours {self.training.max_hours:g} have passed"
        if why:
            self.log.write("log", level="info", message=why)
        return bool(why)

    def _stale(self) -> bool:
        """Whether early stopping is due."""
        patience, progress = self.training.early_stop_epochs, self.session.progress
        return bool(patience) and len(progress.history) - progress.best_epoch >= patience

    def _out_of_time(self) -> bool:
        """Whether `max_hours` of training and judging have passed, resumes counted in."""
        limit_s = 3600 * self.training.max_hours
        # The clock of the first process decides: others may be a moment before or behind.
        passed_s = self.group.same(lambda: time.monotonic() - self._began)
        return bool(limit_s) and passed_s >= limit_s
