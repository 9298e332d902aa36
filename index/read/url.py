"""Fetching a page, off unless asked for, guarded against addresses that are not public.

The host name is resolved once a hop, every address it has must be global, and the
connection goes to the very address that was checked (no second look-up in between).
The time limit holds for a page with all its redirects, however slowly the bytes come.
"""

from __future__ import annotations

import ipaddress
import socket
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from index.errors import ReadError, TooLarge, UnsafeUrl
from index.settings import Limits

Resolve = Callable[[str, int], list[str]]
_PORTS = frozenset({80, 443})
_GZIP_OR_ZLIB = 47  # of zlib's `wbits`


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
    from anyio.from_thread import start_blocking_portal

    with start_blocking_portal() as portal:  # an event loop of its own: the caller may be in another
        return portal.call(_fetch, url, limits, resolve or _system_resolve, allow or is_public)


async def _fetch(url: str, limits: Limits, resolve: Resolve, allow: Callable[[str, int], bool]) -> Page:
    import anyio
    import httpx

    current = url
    try:
        with anyio.fail_after(limits.url_timeout_s):
            for _ in range(limits.max_redirects + 1):
                answer = await _get(current, limits, resolve, allow)
                if isinstance(answer, Page):
                    return answer
                current = _joined(current, answer)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
        found = f"{current} could not be fetched ({type(error).__name__})"
        raise ReadError(found, f"an answer in {limits.url_timeout_s:g} s", "try again") from error
    raise UnsafeUrl(f"{url} redirects more than {limits.max_redirects} times", "a page", "name the last address")


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise UnsafeUrl(f"{url} redirects to no valid address", "http(s)", "name the last address") from error


async def _get(url: str, limits: Limits, resolve: Resolve, allow: Callable[[str, int], bool]) -> Page | str:
    """A page, or where it has moved to."""
    import httpx
    from anyio.to_thread import run_sync

    host, port, address = await run_sync(_checked_address, url, resolve, allow, abandon_on_cancel=True)
    parts = urlsplit(url)
    shown = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{shown}:{port}", fragment="").geturl()
    headers = {
        "Host": f"[{host}]" if ":" in host else host,
        "User-Agent": "dragoman/0.1",
        "Accept": "text/html,text/plain,application/pdf;q=0.9,*/*;q=0.1",
        "Accept-Encoding": "gzip",
    }
    if parts.port is not None:
        headers["Host"] += f":{parts.port}"
    # trust_env=False: a proxy from the environment would do its own look-up, past the guard.
    async with (
        httpx.AsyncClient(trust_env=False, timeout=None) as client,  # noqa: S113 - the limit is that of all hops
        client.stream("GET", target, headers=headers, extensions={"sni_hostname": host}) as response,
    ):
        if response.has_redirect_location:
            return str(response.headers["location"])
        if response.status_code != 200:
            raise ReadError(f"{url} answered {response.status_code}", "200 and a page", "check the address")
        data = await _body(response, url, limits.max_url_bytes)
        kind = response.headers.get("content-type", "")
        return Page(url, kind.split(";")[0].strip().lower(), response.charset_encoding or "", data)


async def _body(response: Any, url: str, most: int) -> bytes:
    """The body, unpacked; never more than its limit is held, however well it was packed."""
    data = bytearray()
    async for chunk in response.aiter_raw():
        data += chunk
        if len(data) > most:
            break
    encoding = response.headers.get("content-encoding", "identity")
    if encoding != "identity":
        try:
            data = bytearray(zlib.decompressobj(_GZIP_OR_ZLIB).decompress(data, most + 1))
        except zlib.error as error:
            raise ReadError(f"{url} is packed as {encoding}", "plain, or packed by gzip once", "try again") from error
    if len(data) > most:
        raise TooLarge(f"{url} is over {most // 2**20} MiB", "a smaller page", "save and index it as a file")
    return bytes(data)


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
