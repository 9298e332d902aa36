"""What shapes an index (its manifest carries it), what is read into it, and how it is searched."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

TERMS_VERSION = 4  # of `index.text.terms`: raise it when their output changes
NAMES_VERSION = 2  # of `index.names`


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSettings:
    """How documents are cut and encoded. A change makes every stored document stale.

    Raises:
        ValueError: a size is not positive, or the target is over the maximum.
    """

    target_tokens: int = 256  # encoder tokens a passage; measured in docs/decisions/0006
    max_tokens: int = 384  # a longer sentence is split; a passage never has more
    overlap_sentences: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.target_tokens <= self.max_tokens:
            raise ValueError(f"target_tokens {self.target_tokens} must be in 1..max_tokens {self.max_tokens}")
        if self.overlap_sentences < 0:
            raise ValueError(f"overlap_sentences {self.overlap_sentences} must not be negative")

    def key(self, encoder_fingerprint: str) -> str:
        """Short digest of all that shapes a document's passages and vectors."""
        # Versions of the code that cuts and tokenises: raise one when its output changes.
        versions = {"segment": 2, "chunk": 2, "terms": TERMS_VERSION, "names": NAMES_VERSION, "vectors": 2}
        payload = json.dumps([asdict(self), encoder_fingerprint, versions], sort_keys=True)
        return hashlib.sha256(payload.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Named limits of what is read; each has its own clear error."""

    max_file_bytes: int = 64 * 2**20  # of a file; of JSON lines, of a line
    max_document_chars: int = 20_000_000
    max_unpacked_bytes: int = 256 * 2**20  # of a DOCX
    max_pages: int = 5_000  # of a PDF
    parse_timeout_s: float = 120.0  # of one PDF or DOCX
    parse_memory_bytes: int = 2 * 2**30
    url_timeout_s: float = 20.0
    max_url_bytes: int = 16 * 2**20
    max_redirects: int = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How passages are ranked. Defaults are measured in docs/decisions/0010."""

    n_candidates: int = 100  # passages of each signal
    max_sim_weight: float = 0.7  # of the word by word similarity in that of the encoder; docs/decisions/0009
    context_weight: float = 0.5  # of the contextual encoder's similarity, where passages have it; docs/decisions/0019
    lexical_weight: float = 0.3  # of the share of the question's information that a passage's words hold
    names_weight: float = 1.0  # of the same share, for other forms of its names; docs/decisions/0011
    quoted_weight: float = 0.3  # of a phrase that the question quotes
    copy_share: float = 0.8  # of the shorter passage's shingles that makes it a copy; over 1 keeps copies
