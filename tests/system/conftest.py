"""One fault server for the tests of each file."""

from tests.support.served import running, server

__all__ = ["running", "server"]
