"""What all faces of a server share."""

from __future__ import annotations

from dataclasses import dataclass, field

from rag.chain import Chain
from ui.server.settings import ServerSettings


@dataclass(frozen=True, slots=True)
class Service:
    """An open chain, and what the server allows."""

    chain: Chain
    settings: ServerSettings = field(default_factory=ServerSettings)
