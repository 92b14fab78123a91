"""The multi-branch hourglass: stem, stacks, branches and the Feature Aggregation Unit."""

from model.network.branches import BranchMaps, MultiBranch, Student
from model.network.fau import FeatureAggregation

__all__ = ["BranchMaps", "FeatureAggregation", "MultiBranch", "Student"]
