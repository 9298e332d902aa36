"""The suites of `suites.toml`: what each one measures, and where its data is."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.errors import SetMissing
from eval.provenance import ROOT

_FOLDER = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite: `kind` names the code that runs it, `values` are its other lines in the TOML file."""

    name: str
    group: str  # quality, or speed
    kind: str
    values: Mapping[str, Any]
    shared: Path

    def path(self, name: str = "") -> Path:
        """The file or folder `name`, by default the suite's `data`, below the shared folder or this repository.

        Raises:
            SetMissing: It is in neither.
        """
        name = name or self.values["data"]
        for folder in (self.shared, ROOT):
            if (folder / name).exists():
                return folder / name
        raise SetMissing(f"{self.shared / name} does not exist; fix: name the folder of the data with --shared")

    @property
    def every(self) -> int:
        """The step of the sample: question 0, `every`, 2 `every`... are asked."""
        return int(self.values.get("every", 1))


def read_suites(shared: Path) -> dict[str, Suite]:
    """All suites by name, in the order of the file."""
    groups = tomllib.loads((_FOLDER / "suites.toml").read_text("utf-8"))
    return {
        name: Suite(name, group, values["kind"], values, shared)
        for group, suites in groups.items()
        for name, values in suites.items()
    }


def choose(suites: Mapping[str, Suite], names: Iterable[str]) -> list[Suite]:
    """The suites that `names` mean: a suite's own name or its group's; all where there is no name.

    Raises:
        ValueError: A name is neither.
    """
    wanted = set(names)
    groups = {suite.group for suite in suites.values()}
    unknown = sorted(wanted - set(suites) - groups)
    if unknown:
        raise ValueError(f"no suite is called {unknown[0]}; expected: {', '.join([*sorted(groups), *suites])}")
    return [suite for suite in suites.values() if not wanted or {suite.name, suite.group} & wanted]


def read_thresholds() -> dict[str, dict[str, float]]:
    """The least value of each measure, by suite, from `thresholds.toml`."""
    return tomllib.loads((_FOLDER / "thresholds.toml").read_text("utf-8"))
