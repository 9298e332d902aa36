"""What all faces of a server share."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from rag.chain import Chain
from ui.server.addresses import LOOPBACK
from ui.server.keys import KeyFile, Scope
from ui.server.metrics import Metrics
from ui.server.settings import ServerSettings
from ui.server.stopping import Running


@dataclass(frozen=True, slots=True)
class Service:
    """An open chain, and what the server allows.

    `host` is what it listens on; empty where that is another's business, as in tests, and the server is held to be
    reached from this machine only.
    """

    chain: Chain
    settings: ServerSettings = field(default_factory=ServerSettings)
    host: str = ""
    metrics: Metrics = field(default_factory=Metrics)
    running: Running = field(default_factory=Running)
    keys: KeyFile = field(init=False)

    def __post_init__(self) -> None:
        # A server without an index is built in a test only; it has no keys either.
        folder = self.chain.backend.folder if self.chain is not None else Path("/nonexistent")
        object.__setattr__(self, "keys", KeyFile(folder))

    @property
    def is_public(self) -> bool:
        """Whether others than this machine's own users reach it; a proxy in front is there to let them in."""
        return self.host not in ("", *LOOPBACK) or bool(self.settings.trusted_proxies)

    def is_open(self, scope: Scope) -> bool:
        """Whether this takes no key: asking alone can be so, on this machine while no key for it was made."""
        if scope is not Scope.ASK:
            return False
        return self.settings.public_anonymous or not (self.is_public or self.keys.any_may(Scope.ASK))

    def check_open_to_somebody(self) -> None:
        """Refuse to serve the public before it was said who may ask.

        Raises:
            ValueError: It is reached from outside, and there is no key with the scope ask.
        """
        if self.is_public and not self.settings.public_anonymous and not self.keys.any_may(Scope.ASK):
            reach = f"{self.host} is reached from outside" if self.host not in LOOPBACK else "a proxy lets others in"
            raise ValueError(
                f"{reach}, and there is no key with the scope ask; to mend: dragoman key add --name web --scope ask,"
                " or let everyone ask: public_anonymous = true under [server] in dragoman.toml"
            )
