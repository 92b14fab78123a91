"""The validation people, and what a session makes of them between two epochs."""

import numpy as np
from numpy.typing import NDArray

from model.config import Config
from model.data.mixture import Mixture
from model.data.packing import exact_crops
from model.evaluation import measure, on_images, summary
from model.training.outcome.judge import keypoints
from model.training.parallel.group import Group
from model.training.state.session import Session


class Valid:
    """Everybody's labels, and the crops, as serving would make them, of this process's share."""

    def __init__(self, people: Mixture, config: Config, group: Group) -> None:
        self.labelled, self.group = people.as_set(), group
        share = people.people[group.share(len(people.people))]
        self.crops, self.ways = exact_crops(share, config.data.crop_px, config.data.padding)

    def __len__(self) -> int:
        return len(self.labelled.people)

    def scores(self, session: Session) -> dict[str, dict[str, float]]:
        """Each metric's one number, by branch and of the ensemble; the same in every process."""
        found = self.found(session)
        return self.group.same(
            lambda: {
                name: summary(measure(points, session.skeleton, self.labelled, intervals=False))
                for name, points in found.items()
            }
        )

    def found(self, session: Session) -> dict[str, NDArray[np.float64]]:
        """Everybody's keypoints on their images, `[P, K, 3]`, by branch and of the ensemble."""
        learner, config = session.judged, session.config
        own = keypoints(learner, self.crops, config, session.skeleton, flip_test=False)
        return {
            name: self.group.gather(on_images(points, self.ways)) for name, points in own.items()
        }
