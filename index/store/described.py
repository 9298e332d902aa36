"""What an index says of itself: its settings, its encoder, and the rules that its documents were cut by."""

from __future__ import annotations

import json
from collections.abc import Mapping

from index.encoders.base import Encoder
from index.errors import SettingsMismatch
from index.settings import IndexSettings


def described(settings: IndexSettings, encoder: Encoder) -> dict[str, str]:
    """What an index with these settings and this encoder says of itself."""
    return {
        "dim": str(encoder.dim),
        "encoder": encoder.name,
        "encoder_fingerprint": encoder.fingerprint,
        "settings": json.dumps(settings.as_dict()),
        "settings_key": settings.key(encoder.fingerprint),
    }


def check_settings(place: str, meta: Mapping[str, str], encoder: Encoder, wanted: IndexSettings | None) -> None:
    """Refuse to write to the index at `place`, which `meta` describes, what would not go with the rest of it.

    Raises:
        SettingsMismatch: It has other settings than those wanted, another encoder, or is of older rules.
    """
    own = _settings(meta)
    if wanted is not None and wanted != own:
        raise SettingsMismatch(
            f"{place} was made with {meta['settings']}",
            f"the same settings, not {json.dumps(wanted.as_dict())}",
            "dragoman index --refresh with the new settings re-does the stored documents",
        )
    if meta["encoder_fingerprint"] != encoder.fingerprint:
        raise SettingsMismatch(
            f"{place} was made with encoder {meta['encoder']} ({meta['encoder_fingerprint']})",
            f"the same, not {encoder.name} ({encoder.fingerprint})",
            f"dragoman index --refresh --encoder {encoder.name} re-does the stored documents",
        )
    if is_of_older_rules(meta):
        raise SettingsMismatch(
            f"{place} was made by an older version of this program",
            "passages, terms and names by the rules of this one",
            "dragoman index --refresh re-does the stored documents; the sources are not needed",
        )


def is_of_older_rules(meta: Mapping[str, str]) -> bool:
    """Whether documents were cut, or their terms and names made, by other rules than this program's."""
    return _settings(meta).key(meta["encoder_fingerprint"]) != meta["settings_key"]


def note_of(meta: Mapping[str, str], n_stale: int) -> str:
    """What readers should know about the rules that the index or some of its documents were made by; mostly empty."""
    if n_stale:
        return f"{n_stale} documents wait for dragoman index --refresh: they are found by their words only"
    if not is_of_older_rules(meta):
        return ""
    return "the index was made by an older version of this program; dragoman index --refresh makes it search better"


def _settings(meta: Mapping[str, str]) -> IndexSettings:
    return IndexSettings.from_dict(json.loads(meta["settings"]))
