"""The tools at /mcp of an application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anyio
from anyio.abc import TaskGroup, TaskStatus
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ui.server.addresses import LOOPBACK
from ui.server.mcp.tools import make_server
from ui.server.service import Service

if TYPE_CHECKING:
    from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
    from mcp.server.transport_security import TransportSecuritySettings

PATH = "/mcp"
_ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - what may be listened on, not a bind


def mount(app: FastAPI, service: Service) -> bool:
    """Serve the tools at /mcp of `app`, within its lifespan; False where the library is not installed."""
    if find_spec("mcp") is None:
        return False
    endpoint = _Endpoint(service)
    app.router.routes.append(Route(PATH, endpoint, methods=["POST"], include_in_schema=False))
    inner = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(of: Any) -> AsyncIterator[Any]:
        async with inner(of) as state, endpoint.running():
            yield state

    app.router.lifespan_context = lifespan
    return True


class _Endpoint:
    """An ASGI application that starts the MCP server at its first request."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._tasks: TaskGroup | None = None
        self._manager: StreamableHTTPSessionManager | None = None
        self._lock = anyio.Lock()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """What the application's lifespan is to hold open."""
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                yield
            finally:
                tasks.cancel_scope.cancel()
                self._tasks = self._manager = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._started()).handle_request(scope, receive, send)

    async def _started(self) -> StreamableHTTPSessionManager:
        async with self._lock:
            if self._tasks is None:
                raise RuntimeError("the lifespan of the application is not running")
            if self._manager is None:
                manager = await anyio.to_thread.run_sync(_session_manager, self._service)
                await self._tasks.start(_hold_open, manager.run())
                self._manager = manager
            return self._manager


async def _hold_open(
    context: AbstractAsyncContextManager[None], *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
) -> None:
    """Open a context, and close it in the same task when that is cancelled."""
    async with context:
        task_status.started()
        await anyio.sleep_forever()


def _session_manager(service: Service) -> StreamableHTTPSessionManager:
    server = make_server(service.chain)
    # Each request stands alone and is answered by one JSON document: nothing to lose when the server restarts.
    server.streamable_http_app(
        stateless_http=True,
        json_response=True,
        max_request_body_size=service.settings.max_body_bytes,
        transport_security=_security(service),
    )
    return server.session_manager


def _security(service: Service) -> TransportSecuritySettings:
    """A page of another site must not reach a server on this machine by a name of its own (DNS rebinding)."""
    from mcp.server.transport_security import TransportSecuritySettings

    names = service.settings.allowed_hosts or tuple(filter(None, {*LOOPBACK, service.host}))
    # The library knows no patterns of names, which the application's own check does; and of a server on all addresses
    # nobody has told the names, so that it asks for a key instead.
    if any("*" in name or name in _ALL_ADDRESSES for name in names):
        return TransportSecuritySettings(enable_dns_rebinding_protection=False)
    written = [f"[{name}]" if ":" in name and not name.startswith("[") else name for name in names]
    hosts = [host for name in written for host in (name, f"{name}:*")]
    origins = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
    return TransportSecuritySettings(allowed_hosts=hosts, allowed_origins=[*origins, *service.settings.cors_origins])
