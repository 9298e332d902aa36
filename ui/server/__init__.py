"""One FastAPI application with several faces; none has logic of its own, all read the events of one chain.

What is imported from here is loaded at first use: the settings are read by every command, fastapi by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ui.server.app import make_app
    from ui.server.run import run

__all__ = ["make_app", "run"]


def __getattr__(name: str) -> Any:
    if name == "make_app":
        from ui.server.app import make_app

        return make_app
    if name == "run":
        from ui.server.run import run

        globals()[name] = run  # importing a module of that name has put it here
        return run
    raise AttributeError(name)
