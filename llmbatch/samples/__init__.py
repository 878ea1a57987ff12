"""Samples: reading them from files and from Python code, their identity, and selecting some of them."""

from llmbatch.samples.selection import Selection
from llmbatch.samples.source import Samples, open_samples
from llmbatch.samples.values import Sample

__all__ = ["Sample", "Samples", "Selection", "open_samples"]
