"""The way to a service, step by step: the name, the connection, the certificate. Sends no HTTP."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

from llmbatch.doctor.service.step import Step, failed
from llmbatch.doctor.service.subject import Subject

WAIT_SECONDS = 10.0


async def name_found(subject: Subject) -> Step:
    """Look up the host, or the proxy's."""
    host, port = subject.host
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=1)
    except (OSError, UnicodeError, TimeoutError) as error:
        why = "no answer in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", "") or str(error)
        fix = "correct the proxy's name" if subject.proxy else "correct the host in base_url, or connect to the network"
        return failed("dns", f"the name {host} cannot be looked up: {why}", fix)
    addresses = list(dict.fromkeys(str(address[4][0]) for address in found))
    more = f" and {len(addresses) - 1} more" if len(addresses) > 1 else ""
    return Step("dns", "ok", f"{host} is {addresses[0]}{more}")


async def connected(subject: Subject) -> Step:
    """Open a connection to the host, or to the proxy, and close it."""
    host, port = subject.host
    whose = "the proxy " if subject.proxy else ""
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            _, writer = await asyncio.open_connection(host, port)
    except TimeoutError:
        fix = "check the port and the firewall; behind a company's proxy set HTTPS_PROXY"
        return failed("connection", f"{whose}{host}:{port} does not answer within {WAIT_SECONDS:.0f} s", fix)
    except OSError as error:
        fix = "correct the proxy in the environment" if subject.proxy else "start the server, or correct host and port"
        return failed("connection", f"nothing listens at {whose}{host}:{port}: {_reason(error)}", fix)
    writer.close()
    return Step("connection", "ok", f"{whose}{host}:{port} takes connections")


async def certificate_trusted(subject: Subject) -> Step | None:
    """Shake hands by TLS; None where there is none to shake, or a proxy stands before it."""
    if subject.proxy or urlsplit(subject.endpoint.base_url).scheme != "https":
        return None
    host, port = subject.host
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=ssl.create_default_context())
    except (OSError, TimeoutError) as error:
        return failed("tls", *tls_problem(error, f"{host}:{port}"))
    version = writer.get_extra_info("ssl_object").version()
    writer.close()
    return Step("tls", "ok", f"{version}, and the certificate is trusted")


def tls_problem(error: BaseException, where: str) -> tuple[str, str]:
    """Return what went wrong with TLS and how to put it right."""
    if isinstance(error, ssl.SSLCertVerificationError):
        said = error.verify_message or str(error)
        if "hostname" in said.lower() or "ip address" in said.lower():
            return f"the certificate of {where} is for another name: {said}", "write the host as the certificate has it"
        if "expired" in said or "not yet valid" in said:
            return f"the certificate of {where}: {said}", "check this machine's clock, or have the certificate renewed"
        return (
            f"the certificate of {where} is not trusted: {said}",
            "set SSL_CERT_FILE to a PEM file that holds your organisation's or the server's certificate",
        )
    if isinstance(error, ssl.SSLError):
        return f"{where} speaks no TLS ({error.reason or error})", "write http:// in base_url if that is meant"
    if isinstance(error, TimeoutError):
        return f"{where} does not answer the TLS handshake", "check the port; write http:// if it speaks no TLS"
    return f"{where} ends the TLS handshake: {error}", "check the port; write http:// if it speaks no TLS"


def _reason(error: OSError) -> str:
    return error.strerror or str(error)
