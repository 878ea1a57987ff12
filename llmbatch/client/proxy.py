"""Which proxy of the environment a host is reached through. Knows no HTTP library."""

from __future__ import annotations

import os
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


class Proxy(NamedTuple):
    """A proxy: `url` is what to connect to, with its credentials; `where` is the variable that names it."""

    url: str
    where: str

    @property
    def shown(self) -> str:
        """The proxy without what may be secret of it, and where it was set."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port} ({self.where})"


def proxy_of(url: str) -> str | None:
    """Return the proxy that `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name for a URL, if any.

    Slow (0.6 ms): ask once a host.
    """
    found = find_proxy(url)
    return None if found is None else found.url


def find_proxy(url: str) -> Proxy | None:
    """Return the same with the variable, for messages."""
    parts = urlsplit(url)
    if parts.hostname is None or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    for scheme in (parts.scheme, "all"):
        if proxies.get(scheme):
            names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
            where = next((name for name in names if os.environ.get(name)), "the system's settings")
            return Proxy(proxies[scheme], where)
    return None
