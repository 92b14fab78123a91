"""Everybody that a run learns from, with how far each label is believed."""

from model.config import Config
from model.data.label_weights import FILE, WHERE, believed
from model.data.mixture import Mixture, open_mixture
from model.skeletons import Skeleton
from model.training.start.begin import local_file


def open_people(config: Config, skeleton: Skeleton) -> Mixture:
    """`data.train`, weighed by `data.weights`. Raises DatasetError, ConfigError."""
    people = open_mixture(config.data.train, skeleton)
    if config.data.weights is None:
        return people
    return believed(people, local_file(config.data.weights, WHERE, inside=(FILE,)))
