"""The whole of a run's configuration: one tree of frozen models with units and bounds.

A preset is a YAML file of this tree; overrides are merged over it. The same schema checks the API,
and its resolved form is stored with every run and rebuilds the network from the checkpoint alone.
"""

from model.config.data import AugmentConfig, DataConfig, SourceConfig
from model.config.load import (
    load_config,
    merge,
    parse_overrides,
    preset_names,
    read_config,
    validated,
)
from model.config.network import BranchConfig, NetworkConfig
from model.config.scheme import FauConfig, SchemeConfig, TargetConfig
from model.config.training import EvaluationConfig, ExportConfig, OptimConfig, TrainingConfig
from model.config.tree import Config

__all__ = [
    "AugmentConfig",
    "BranchConfig",
    "Config",
    "DataConfig",
    "EvaluationConfig",
    "ExportConfig",
    "FauConfig",
    "NetworkConfig",
    "OptimConfig",
    "SchemeConfig",
    "SourceConfig",
    "TargetConfig",
    "TrainingConfig",
    "load_config",
    "merge",
    "parse_overrides",
    "preset_names",
    "read_config",
    "validated",
]
