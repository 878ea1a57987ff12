"""Putting one question to a model: render, look up, obtain what is missing, read the answer."""
