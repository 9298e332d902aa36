"""Gold questions put to a chain in several processes: worth it where the time goes into this machine's own work."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

from eval.gold import GoldItem
from eval.runs.ask import Corpus, ask_one
from eval.runs.rows import Row
from rag.chain import Chain

_AT_ONCE = 8  # questions that a process is handed


def ask_in_processes(
    open_chain: Callable[[], Chain],
    items: Sequence[GoldItem],
    *,
    n_processes: int,
    retrieval_only: bool = False,
    on_row: Callable[[Row], None] | None = None,
) -> list[Row]:
    """A row of each question, in order.

    Args:
        open_chain: Opens the chain that is asked, in each process; a function of a module, so that it can be sent.
        items: The questions.
        n_processes: How many there are.
        retrieval_only: Look for passages only.
        on_row: Given each row when it is there, in order.
    """
    rows: list[Row] = []
    with ProcessPoolExecutor(
        n_processes, multiprocessing.get_context("spawn"), initializer=_open, initargs=(open_chain, retrieval_only)
    ) as pool:
        for row in pool.map(_ask, items, chunksize=_AT_ONCE):
            rows.append(row)
            if on_row is not None:
                on_row(row)
    return rows


_opened: tuple[Chain, Corpus, bool] | None = None  # of a process


def _open(open_chain: Callable[[], Chain], retrieval_only: bool) -> None:
    global _opened  # noqa: PLW0603 - a process of the pool has one chain from its beginning to its end
    chain = open_chain()
    _opened = (chain, Corpus(chain.backend), retrieval_only)


def _ask(item: GoldItem) -> Row:
    assert _opened is not None
    chain, corpus, retrieval_only = _opened
    return ask_one(chain, corpus, item, retrieval_only=retrieval_only)
