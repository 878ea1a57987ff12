"""A first experiment that runs as it is: `llmbatch new`. Knows no run, no cassette and no network."""

from llmbatch.scaffold.creation import create_experiment

__all__ = ["create_experiment"]
