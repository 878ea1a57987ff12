"""Rows as they arrive and the tables they become. Knows no task, cassette or network."""
