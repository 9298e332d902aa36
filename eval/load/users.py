"""Users who ask at once, each again as soon as it has its answer, and when the parts of each answer came."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx
import numpy as np

# What is waited for, by the event that ends it: the first event of all, the passages, the first text, the end.
EVENTS = ("question", "passages", "delta", "done")
_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Asked:
    """One question: milliseconds until the first event of each kind, and what went wrong, empty where nothing did."""

    came_ms: dict[str, float]
    error: str


@dataclass(frozen=True, slots=True)
class Level:
    """What so many users at once got."""

    n_users: int
    n_answers: int
    seconds: float
    answers_per_s: float
    p50_ms: dict[str, float]  # by event
    p95_ms: dict[str, float]
    errors: dict[str, int]


def ask_all(address: str, questions: Sequence[str], n_users: int) -> Level:
    """Have `n_users` ask the questions until none is left."""
    started = time.perf_counter()
    asked = asyncio.run(_ask_all(address, questions, n_users))
    seconds = time.perf_counter() - started
    answered = [one for one in asked if not one.error]
    return Level(
        n_users=n_users,
        n_answers=len(answered),
        seconds=round(seconds, 2),
        answers_per_s=round(len(answered) / seconds, 2),
        p50_ms=_percentiles(answered, 50),
        p95_ms=_percentiles(answered, 95),
        errors=dict(Counter(one.error for one in asked if one.error)),
    )


def _percentiles(answered: Sequence[Asked], q: int) -> dict[str, float]:
    times = {event: [one.came_ms[event] for one in answered if event in one.came_ms] for event in EVENTS}
    return {event: round(float(np.percentile(own, q)), 1) for event, own in times.items() if own}


async def _ask_all(address: str, questions: Sequence[str], n_users: int) -> list[Asked]:
    coming = iter(questions)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=n_users)
    async with httpx.AsyncClient(base_url=address, timeout=_TIMEOUT_S, limits=limits, trust_env=False) as client:
        found = await asyncio.gather(*(_user(client, coming) for _ in range(n_users)))
    return [one for own in found for one in own]


async def _user(client: httpx.AsyncClient, coming: Iterator[str]) -> list[Asked]:
    return [await _ask(client, question) for question in coming]


async def _ask(client: httpx.AsyncClient, question: str) -> Asked:
    started = time.perf_counter()
    came: dict[str, float] = {}
    body = {"question": question, "stream": True}
    try:
        async with client.stream("POST", "/api/v1/ask", json=body) as response:
            if response.status_code != 200:
                return Asked(came, str(response.status_code))
            async for line in response.aiter_lines():
                if line.startswith("event: "):
                    came.setdefault(line.removeprefix("event: "), (time.perf_counter() - started) * 1000)
    except httpx.HTTPError as error:
        return Asked(came, type(error).__name__)
    return Asked(came, "" if "done" in came else "error" if "error" in came else "no end")
