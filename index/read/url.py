"""Fetching a page, off unless asked for, guarded against addresses that are not public.

The host name is resolved once a hop, every address it has must be global, and the
connection goes to the very address that was checked (no second look-up in between).
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Callable
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
        answer = _get(current, limits, resolve or _system_resolve, allow or _is_public, deadline)
        if isinstance(answer, Page):
            return answer
        current = urljoin(current, answer)
    raise UnsafeUrl(f"{url} redirects more than {limits.max_redirects} times", "a page", "name the last address")


def _get(url: str, limits: Limits, resolve: Resolve, allow: Callable[[str, int], bool], deadline: float) -> Page | str:
    import httpx

    host, port, address = _checked_address(url, resolve, allow)
    parts = urlsplit(url)
    shown = f"[{address}]" if ":" in address else address
    target = parts._replace(netloc=f"{shown}:{port}", fragment="").geturl()
    headers = {
        "Host": parts.netloc,
        "User-Agent": "dragoman/0.1",
        "Accept": "text/html,text/plain,application/pdf;q=0.9,*/*;q=0.1",
    }
    extensions: dict[str, Any] = {"sni_hostname": host} if parts.scheme == "https" else {}
    try:
        # trust_env=False: a proxy from the environment would do its own look-up, past the guard.
        with (
            httpx.Client(trust_env=False, follow_redirects=False, timeout=_left(deadline)) as client,
            client.stream("GET", target, headers=headers, extensions=extensions) as response,
        ):
            if response.is_redirect:
                return str(response.headers.get("location", ""))
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


def _left(deadline: float) -> float:
    return max(0.1, deadline - time.monotonic())


def _checked_address(url: str, resolve: Resolve, allow: Callable[[str, int], bool]) -> tuple[str, int, str]:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UnsafeUrl(f"{url} is not an http(s) address", "http://... or https://...", "name a web page")
    if parts.username or parts.password:
        raise UnsafeUrl(f"{parts.hostname}: an address with a user name", "a plain address", "leave it out")
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise UnsafeUrl(f"{url} has no valid port", "port 80 or 443", "mend the address") from error
    try:
        addresses = resolve(parts.hostname, port)
    except OSError as error:
        raise ReadError(f"{parts.hostname} could not be resolved", "a host that exists", "check the address") from error
    refused = [address for address in addresses if not allow(address, port)]
    if refused or not addresses:
        raise UnsafeUrl(
            f"{parts.hostname} leads to {', '.join(refused) or 'nowhere'} port {port}",
            "a public address on port 80 or 443",
            "save the page and index the file",
        )
    return parts.hostname, port, addresses[0]


def _system_resolve(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def _is_public(address: str, port: int) -> bool:
    ip = ipaddress.ip_address(address.split("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None)
    return port in _PORTS and ip.is_global and not ip.is_multicast and (mapped is None or mapped.is_global)
