"""One FastAPI application with several faces; none has logic of its own, all read the events of one chain."""

from ui.server.app import make_app
from ui.server.run import run

__all__ = ["make_app", "run"]
