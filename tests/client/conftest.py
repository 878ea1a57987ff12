"""One fault server for the tests of each file of this room."""

from tests.support.served import running, server

__all__ = ["running", "server"]
