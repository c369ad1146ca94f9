"""How often the 95 % intervals hold the truth: ``python tests/benchmarks/calibration.py``.

Writes calibration.md beside this file. A group is one cell type with some donors. Each donor
has a fraction of their own, Beta(M mu, M (1 − mu)) about the mean mu that the interval is for.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from targetscore.score.detection import (
    beta_interval,
    dropout_corrected,
    grid_posterior,
    healthy_parameters,
)

DONORS = (1, 2, 3, 5, 10, 20, 30)
PRECISION = (5.0, 100.0)  # log-uniform: donors differ much … hardly
LEVELS = {"rare (2 %)": 0.02, "some (10 %)": 0.10, "many (40 %)": 0.40}
GROUPS = 1000


def _donors(rng: np.random.Generator, mean: np.ndarray, donors: int, cells: tuple[int, int]):
    """Return true fractions and numbers of cells, ``(donors, groups)``."""
    precision = np.exp(rng.uniform(*np.log(PRECISION), mean.size))
    share = rng.beta(
        np.maximum(precision * mean, 1e-12), np.maximum(precision * (1 - mean), 1e-12),
        (donors, mean.size),
    )  # fmt: skip
    n = np.exp(rng.uniform(*np.log(cells), (donors, mean.size))).astype(np.int64)
    return share, n


def healthy(donors: int, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return whether the healthy posterior holds each true mean."""
    share, n = _donors(rng, truth, donors, (20, 300))
    k = rng.binomial(n, share)
    _, lower, upper = beta_interval(*healthy_parameters(k, n, np.ones(n.shape, dtype=bool)))
    return (lower <= truth) & (truth <= upper)


def healthy_upper(donors: int, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return whether the upper bound alone, which the verdicts rest on, is above the truth."""
    share, n = _donors(rng, truth, donors, (20, 300))
    k = rng.binomial(n, share)
    _, _, upper = beta_interval(*healthy_parameters(k, n, np.ones(n.shape, dtype=bool)))
    return truth <= upper


def coverage(
    patients: int, truth: np.ndarray, rng: np.random.Generator, dispersion: float | None = None
) -> np.ndarray:
    """Return whether the patients' posterior holds each true mean.

    With ``dispersion``, positive cells are not counted but estimated from counts that dropout
    has thinned: gamma–Poisson with 3 UMI per 10,000, corrected with phi = 2.
    """
    share, n = _donors(rng, truth, patients, (50, 500))
    inside = np.zeros(truth.size, dtype=bool)
    for g in range(truth.size):
        k = rng.binomial(n[:, g], share[:, g]).astype(np.float64)
        if dispersion is not None:
            pairs = zip(k, n[:, g], strict=True)
            k = np.array([_corrected(rng, int(a), int(b), dispersion) for a, b in pairs])
        found = grid_posterior(k, n[:, g])
        inside[g] = found.lower <= truth[g] <= found.upper
    return inside


def _corrected(rng: np.random.Generator, positive: int, cells: int, dispersion: float) -> float:
    sizes = np.exp(rng.normal(np.log(3500), 0.35, cells))
    level = rng.standard_gamma(dispersion, positive) / dispersion
    counts = rng.poisson(3e-4 * level * sizes[:positive])
    found = dropout_corrected(
        cells,
        int((counts > 0).sum()),
        float(counts.sum()),
        sizes,
        np.ones(cells),
        float(sizes.sum()),
        2.0,
    )
    seen = (counts > 0).sum() / cells
    return (found.fraction if found.identifiable else seen) * cells


def table(groups: int = GROUPS, donors: Sequence[int] = DONORS, seed: int = 1) -> dict:
    """Return the share of intervals that hold the truth, by column and number of donors."""
    rng = np.random.default_rng(seed)
    columns: dict[str, dict[int, float]] = {}
    for number in donors:
        drawn = rng.beta(0.1, 1.9, groups)
        columns.setdefault("healthy, as the prior", {})[number] = healthy(number, drawn, rng).mean()
        for name, level in LEVELS.items():
            fixed = np.full(groups, level)
            columns.setdefault(f"healthy, {name}", {})[number] = healthy(number, fixed, rng).mean()
        fixed = np.full(groups, 0.02)
        above = healthy_upper(number, fixed, rng).mean()
        columns.setdefault("healthy upper bound, 2 % (97.5)", {})[number] = above
        wide = rng.uniform(0.05, 0.95, groups)
        columns.setdefault("coverage", {})[number] = coverage(number, wide, rng).mean()
        few = max(groups // 5, 1)
        for phi in (0.7, 2.0, 6.0):
            own = coverage(number, wide[:few], rng, phi).mean()
            columns.setdefault(f"coverage, dropout phi {phi:g}", {})[number] = own
    return columns


def markdown(columns: dict, donors: Sequence[int] = DONORS, groups: int = GROUPS) -> str:
    """Return the table as text; figures outside 90–98 % are bold."""

    def cell(share: float) -> str:
        text = f"{100 * share:.1f}"
        return text if 0.90 <= share <= 0.98 else f"**{text}**"

    head = f"| interval | {' | '.join(f'{d} donors' for d in donors)} |"
    rows = [
        f"| {name} | {' | '.join(cell(values[d]) for d in donors)} |"
        for name, values in columns.items()
    ]
    return "\n".join(
        [
            "# Do the 95 % intervals hold the truth?",
            "",
            "Written by `python tests/benchmarks/calibration.py`; simulated, not data.",
            f"Percent of {groups:,} groups per cell of the table ({groups // 5} where dropout is"
            " simulated); bold is outside 90–98.",
            "The upper bound alone should be above the truth in 97.5.",
            "Healthy donors have 20–300 cells, patients 50–500; M between donors is 5–100.",
            "Coverage rows: true means 5–95 %; with dropout, 3 UMI per 10,000 in expressing cells,"
            " true dispersion as named, corrected with 2.",
            "",
            head,
            "|---" * (len(donors) + 1) + "|",
            *rows,
            "",
        ]
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else GROUPS
    found = markdown(table(number), groups=number)
    Path(__file__).with_name("calibration.md").write_text(found, encoding="utf-8")
    print(found)
