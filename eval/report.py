"""A run's measures as a table for a terminal."""

from __future__ import annotations

from typing import Any

_COLUMNS = ("n", "recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10")


def as_table(result: dict[str, Any]) -> str:
    """The summary, then a row per language and per pair of languages."""
    lines = [f"{'':18}" + "".join(f"{name:>11}" for name in _COLUMNS)]
    lines.append(_row("all", result))
    for title, part in (("question in", "by_language"), ("question -> passage", "by_language_pair")):
        lines += ["", title]
        lines += [_row(name, values) for name, values in result[part].items()]
    lines.append("")
    for name in ("answer", "citation", "abstention"):
        if name in result:
            lines.append(f"{name:12}" + "  ".join(f"{key} {value:.3f}" for key, value in result[name].items()))
    latency = result["latency_ms"]
    lines.append(f"{'latency':12}p50 {latency['p50']:.1f} ms  p95 {latency['p95']:.1f} ms")
    lines.append(f"{'failed':12}{result['failed']} of {result['n']}")
    lines += [f"  {failure['id']}: {failure['why']}" for failure in result["failures"]]
    return "\n".join(lines)


def _row(name: str, values: dict[str, Any]) -> str:
    cells = [f"{values['n_answerable']:>11}"] + [
        f"{values[key]:>11.3f}" if key in values else f"{'-':>11}" for key in _COLUMNS[1:]
    ]
    return f"{name:18}" + "".join(cells)
