"""Whose address a request comes from."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import Scope

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip")

Address = IPv4Address | IPv6Address


class Addresses:
    """Tells whose address a request comes from; what it says itself is believed of trusted proxies only."""

    def __init__(self, trusted_proxies: Sequence[str]) -> None:
        self._trusted = [ip_network(one, strict=False) for one in trusted_proxies]

    def of(self, scope: Scope) -> str:
        """The address of the client; empty where there is none, as of a Unix socket."""
        peer = (scope.get("client") or ("",))[0]
        address = _address(peer)
        if address is None or not self._is_trusted(address):
            return str(peer)
        # The last proxy appends whom it saw: read from the right, the first that is no proxy of ours is the client.
        named = ",".join(Headers(scope=scope).getlist("x-forwarded-for")).split(",")
        for name in reversed(named):
            hop = _address(name.strip())
            if hop is None:
                break
            address = hop
            if not self._is_trusted(hop):
                break
        return str(address)

    def is_this_machine(self, scope: Scope) -> bool:
        """Whether the client is on this machine, with no sign of a proxy between."""
        address = _address(self.of(scope))
        if address is None or not address.is_loopback:
            return False
        headers = Headers(scope=scope)
        return not any(name in headers for name in _FORWARDING)

    def _is_trusted(self, address: Address) -> bool:
        return any(address in network for network in self._trusted)


def group_of(address: str) -> str:
    """What one client holds of addresses: of IPv6 a /64, of which it may take any."""
    found = _address(address)
    return str(IPv6Network((found, 64), strict=False)) if isinstance(found, IPv6Address) else address


def _address(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found
