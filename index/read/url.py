"""Fetching a page, off unless asked for, guarded against addresses that are not public.

The host name is resolved once a hop, every address it has must be global, and the
connection goes to the very address that was checked (no second look-up in between).
The time limit holds for a page with all its redirects, however slowly the bytes come.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from index.errors import ReadError, TooLarge, UnsafeUrl
from index.settings import Limits

Resolve = Callable[[str, int], list[str]]
_PORTS = frozenset({80, 443})


@dataclass(frozen=True, slots=True)
class Page:
    """A fetched page: its last URL, type and bytes."""

    url: str
    content_type: str
    charset: str
    data: bytes


def fetch(
    url: str, limits: Limits, resolve: Resolve | None = None, allow: Callable[[str, int], bool] | None = None
) -> Page:
    """The page at `url`, after at most `limits.max_redirects` redirects.

    Args:
        url: http or https.
        limits: Size, time and redirects.
        resolve: Addresses of a host; the system's resolver by default.
        allow: Whether an address and port may be connected to; by default only global
            addresses on ports 80 and 443.

    Raises:
        UnsafeUrl: A hop has another scheme, credentials, or an address that is not allowed.
        TooLarge: The body is over `limits.max_url_bytes`.
        ReadError: The server did not answer with a page in time.
    """
    deadline = time.monotonic() + limits.url_timeout_s
    current = url
    for _ in range(limits.max_redirects + 1):
        answer = _get(current, limits, resolve or _system_resolve, allow or is_public, deadline)
        if isinstance(answer, Page):
            return answer
        try:
            current = urljoin(current, answer)
        except ValueError as error:
            raise UnsafeUrl(f"{current} redirects to no valid address", "http(s)", "name the last address") from error
    raise UnsafeUrl(f"{url} redirects more than {limits.max_redirects} times", "a page", "name the last address")


def _get(url: str, limits: Limits, resolve: Resolve, allow: Callable[[str, int], bool], deadline: float) -> Page | str:
    import httpx

    host, port, address = _checked_address(url, resolve, allow)
    parts = urlsplit(url)
    shown = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{shown}:{port}", fragment="").geturl()
    headers = {
        "Host": f"[{host}]" if ":" in host else host,
        "User-Agent": "dragoman/0.1",
        "Accept": "text/html,text/plain,application/pdf;q=0.9,*/*;q=0.1",
    }
    if parts.port is not None:
        headers["Host"] += f":{parts.port}"
    try:
        # trust_env=False: a proxy from the environment would do its own look-up, past the guard.
        with (
            _hung_up(deadline) as trace,
            httpx.Client(trust_env=False, follow_redirects=False, timeout=_left(deadline)) as client,
            client.stream(
                "GET", target, headers=headers, extensions={"trace": trace, "sni_hostname": host}
            ) as response,
        ):
            if response.has_redirect_location:
                return str(response.headers["location"])
            if response.status_code != 200:
                raise ReadError(f"{url} answered {response.status_code}", "200 and a page", "check the address")
            data = _body(response, url, limits, deadline)
            kind = response.headers.get("content-type", "")
            return Page(url, kind.split(";")[0].strip().lower(), response.charset_encoding or "", data)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ReadError(
            f"{url} could not be fetched ({type(error).__name__})", "an answer in time", "try again"
        ) from error


def _body(response: Any, url: str, limits: Limits, deadline: float) -> bytes:
    chunks, size = [], 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > limits.max_url_bytes:
            raise TooLarge(
                f"{url} is over {limits.max_url_bytes // 2**20} MiB", "a smaller page", "save and index it as a file"
            )
        if time.monotonic() > deadline:
            raise ReadError(f"{url} took over {limits.url_timeout_s:.0f} s", "an answer in time", "try again")
        chunks.append(chunk)
    return b"".join(chunks)


@contextmanager
def _hung_up(deadline: float) -> Iterator[Callable[[str, dict[str, Any]], None]]:
    """A listener to httpx that closes the connection at `deadline`.

    Its own timeouts begin again with each byte, so a server can dribble for ever.
    """
    sockets: list[socket.socket] = []

    def trace(event: str, info: dict[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            sockets.append(info["return_value"].get_extra_info("socket"))

    def hang_up() -> None:
        for connection in sockets:
            with suppress(OSError):  # closed meanwhile
                connection.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(_left(deadline), hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield trace
    finally:
        timer.cancel()


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())


def _checked_address(url: str, resolve: Resolve, allow: Callable[[str, int], bool]) -> tuple[str, int, str]:
    try:
        parts = urlsplit(url)
        port = parts.port if parts.port is not None else (443 if parts.scheme == "https" else 80)
        host = _ascii_host(parts.hostname or "")
    except ValueError as error:
        raise UnsafeUrl(f"{url} is no valid address ({error})", "http://... or https://...", "correct it") from error
    if parts.scheme not in ("http", "https") or not host:
        raise UnsafeUrl(f"{url} is not an http(s) address", "http://... or https://...", "name a web page")
    if "@" in parts.netloc:
        raise UnsafeUrl(f"{host}: an address with a user name", "a plain address", "leave it out")
    try:
        addresses = resolve(host, port)
    except (OSError, UnicodeError) as error:  # UnicodeError: a name with an empty or too long part
        raise ReadError(f"{host} could not be resolved", "a host that exists", "check the address") from error
    refused = [address for address in addresses if not allow(address, port)]
    if refused or not addresses:
        raise UnsafeUrl(
            f"{host} leads to {', '.join(refused) or 'nowhere'} port {port}",
            "a public address on port 80 or 443",
            "save the page and index the file",
        )
    return host, port, addresses[0]


def _ascii_host(host: str) -> str:
    """The name as it goes over the wire: `bücher.example` as `xn--bcher-kva.example`.

    Raises:
        ValueError: No such name can exist.
    """
    import httpx

    try:
        return httpx.URL(scheme="http", host=host).raw_host.decode() if host else ""
    except httpx.InvalidURL as error:
        raise ValueError(str(error)) from error


def _system_resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


_GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")  # Oracle's metadata service among them; global to Python 3.11


def is_public(address: str, port: int) -> bool:
    """Whether `address`, and the IPv4 address that it may stand for, is on the open Internet, and `port` the web's."""
    return port in _PORTS and all(map(_is_global, _destinations(ipaddress.ip_address(address.split("%")[0]))))


def _destinations(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Where a packet to `ip` may end: some IPv6 addresses are gateways to the IPv4 address in them."""
    if isinstance(ip, ipaddress.IPv4Address):
        return [ip]
    if ip.ipv4_mapped:
        return [ip.ipv4_mapped]
    if ip in _NAT64:
        return [ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)]
    return [ip, ip.sixtofour] if ip.sixtofour else [ip]


def _is_global(ip: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if isinstance(ip, ipaddress.IPv6Address):
        return ip in _GLOBAL_UNICAST and ip.is_global
    return ip.is_global and not ip.is_multicast and ip not in _PROTOCOLS
