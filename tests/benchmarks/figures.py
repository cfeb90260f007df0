"""Figures: samples, percentiles, what must be reached, one table and one JSON file. A missed figure is printed as missed."""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


def percentile(samples: Sequence[float], share: float) -> float:
    """The nearest-rank percentile; ``share`` from 0 to 1."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


@dataclass(frozen=True, slots=True)
class Figure:
    """``reached`` is compared with ``must``: at most it (``upper``) or at least it. ``runs`` are the values of single runs."""

    name: str
    reached: float
    must: float
    unit: str
    peers: str = ""
    upper: bool = True
    runs: tuple[float, ...] = ()
    beside: dict[str, float] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        return self.reached <= self.must if self.upper else self.reached >= self.must


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def commit() -> str:
    """The commit that is measured, with a mark when files differ from it."""
    head = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    changed = subprocess.run(["git", "status", "--porcelain", "--untracked-files=no"], capture_output=True, text=True, check=False).stdout.strip()
    return f"{head or 'unknown'}{' with changes' if changed else ''}"


def print_table(figures: Sequence[Figure]) -> None:
    """Print one line a figure: reached, must, met or missed, single runs, what was measured beside it."""
    print(f"\n{'figure':58} {'reached':>12} {'must':>14}  {'':7} runs")
    for figure in figures:
        bound = f"{'≤' if figure.upper else '≥'} {figure.must:g} {figure.unit}"
        runs = " ".join(f"{value:.3g}" for value in figure.runs)
        print(f"{figure.name:58} {figure.reached:>8.3g} {figure.unit:3} {bound:>14}  {'met' if figure.met else 'MISSED':7} {runs}")
        for name, value in figure.beside.items():
            print(f"    {name:54} {value:>8.4g}")
        if figure.peers:
            print(f"    peers: {figure.peers}")


def write_json(path: Path, figures: Sequence[Figure], samples: dict[str, list[float]], settings: dict[str, str]) -> None:
    """Write everything, raw samples included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        "commit": commit(), "python": platform.python_version(), "machine": platform.machine(), "settings": settings,
        "figures": [{**asdict(figure), "met": figure.met} for figure in figures], "samples": samples,
    }, indent=1), encoding="utf-8")


def pss_kilobytes(pid: int) -> int:
    """Proportional set size of a process in KB (Linux)."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss in smaps_rollup")
