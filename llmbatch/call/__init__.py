"""Frozen values of one HTTP interaction, and its key. Knows no file, no network and no experiment."""
