"""The systems that can be measured: a peer, what it ranks by, and the interpreter that has it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WORKERS = Path(__file__).parent / "workers"
WITH_ENCODER = ("vectors", "hybrid")  # modes that need a sentence-transformers model
# Peer: its name, and what each mode of it is called. `words` is what works offline with no download.
PEERS = {
    "dragoman": ("Dragoman", {"embedded": "embedded", "vectors": "same encoder"}),
    "langchain": ("LangChain", {"words": "BM25", "vectors": "FAISS", "hybrid": "both"}),
    "txtai": ("txtai", {"words": "keywords", "vectors": "vectors", "hybrid": "hybrid"}),
    "llama_index": ("LlamaIndex", {"words": "BM25", "vectors": "vectors", "hybrid": "both"}),
    "haystack": ("Haystack", {"words": "BM25", "vectors": "vectors", "hybrid": "both"}),
}
MODES = ("embedded", "words", "vectors", "hybrid")
_OWN = "own"  # the one mode of a script that is not ours


@dataclass(frozen=True, slots=True)
class System:
    """One row of the tables: `script` does the work of `peer` by `mode` under `python`."""

    peer: str
    mode: str
    label: str
    script: Path
    python: str


def chosen(peers: Sequence[str], modes: Sequence[str], pythons: Mapping[str, str]) -> list[System]:
    """The systems of `peers` (names, or paths of scripts like those in `workers/`), Dragoman's first, each once.

    `pythons` are interpreters by peer, that of "" for all other peers; Dragoman's own is this one by default.

    Raises:
        ValueError: A peer is neither known nor a script, or two scripts have one name.
    """
    found = []
    for peer in dict.fromkeys(["dragoman", *peers]):
        python = pythons.get(peer) or (sys.executable if peer == "dragoman" else pythons.get("", sys.executable))
        if peer in PEERS:
            name, labels = PEERS[peer]
            script = WORKERS / f"{peer}.py"
            found += [System(peer, mode, f"{name}, {labels[mode]}", script, python) for mode in modes if mode in labels]
        elif Path(peer).is_file():
            if any(system.label == Path(peer).stem for system in found):
                raise ValueError(f"two peers are called {Path(peer).stem}; expected: different file names; rename one")
            found.append(System(peer, _OWN, Path(peer).stem, Path(peer).resolve(), python))
        else:
            raise ValueError(
                f"no peer {peer!r}; expected: {', '.join(PEERS)}, or the path of a script like those in {WORKERS}"
            )
    return found
