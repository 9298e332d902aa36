"""What all interfaces of a server share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rag.chain import Chain
from ui.server.keys import KeyFile, Scope
from ui.server.metrics import Metrics
from ui.server.settings import ServerSettings

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Service:
    """An open chain, and what the server allows.

    `host` is the address that it listens on; empty, as in tests, it counts as one of this machine only.
    """

    chain: Chain
    settings: ServerSettings = field(default_factory=ServerSettings)
    host: str = ""
    metrics: Metrics = field(default_factory=Metrics)
    keys: KeyFile = field(init=False)

    def __post_init__(self) -> None:
        # Only a test builds a server without an index; it has no keys either.
        folder = self.chain.backend.folder if self.chain is not None else Path("/nonexistent")
        object.__setattr__(self, "keys", KeyFile(folder))

    @property
    def hosts(self) -> list[str]:
        """The names that the server answers to, as Starlette's TrustedHostMiddleware takes them."""
        if self.settings.allowed_hosts:
            return list(self.settings.allowed_hosts)
        if self.host in ("", "::", "0.0.0.0"):  # noqa: S104 - compared, not bound
            return ["*"]
        return [f"[{name}]" if ":" in name else name for name in (self.host, *LOOPBACK)]

    def is_open(self, scope: Scope) -> bool:
        """Whether this needs no key: asking, where everybody may, or on this machine while no key is for asking."""
        if scope is not Scope.ASK:
            return False
        is_public = _is_public(self.host, self.settings)
        return self.settings.public_anonymous or not (is_public or self.keys.any_may(Scope.ASK))


def check_open_to_somebody(settings: ServerSettings, host: str, keys: KeyFile) -> None:
    """See that somebody may ask.

    Raises:
        ValueError: Others can reach the server, and there is no key with the scope ask.
    """
    if _is_public(host, settings) and not settings.public_anonymous and not keys.any_may(Scope.ASK):
        reach = f"{host} is reached from outside" if host not in LOOPBACK else "a proxy lets others in"
        raise ValueError(
            f"{reach}, and there is no key with the scope ask; fix: dragoman key add --name web --scope ask,"
            " or let everyone ask: public_anonymous = true under [server] in dragoman.toml"
        )


def _is_public(host: str, settings: ServerSettings) -> bool:
    """Whether others than this machine's own users reach the server; a proxy in front is there to let them in."""
    return host not in ("", *LOOPBACK) or bool(settings.trusted_proxies)
