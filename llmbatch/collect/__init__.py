"""From a path to the tasks and tables of an experiment file. Knows no samples, no cassette and no run."""

from llmbatch.collect.experiment import Experiment, collect
from llmbatch.collect.target import Target, parse_target

__all__ = ["Experiment", "Target", "collect", "parse_target"]
