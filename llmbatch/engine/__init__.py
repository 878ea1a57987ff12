"""Engines turn missing interactions into recorded ones. Nothing here decides what is asked or how it is read."""
