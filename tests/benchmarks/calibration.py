"""How often the 95 % intervals hold the truth: ``python tests/benchmarks/calibration.py``.

Writes calibration.md beside this file. A group is one cell type with some donors. Each donor
has a fraction of their own, Beta(M mu, M (1 − mu)) about the mean mu that the interval is for.
A second table tries the interval of one patient, by the number of cells. ``patients`` alone as an
argument writes that table anew and leaves the first as it is.
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
from targetscore.score.interval import corrected_interval

DONORS = (1, 2, 3, 5, 10, 20, 30)
PRECISION = (5.0, 100.0)  # log-uniform: donors differ much … hardly
LEVELS = {"rare (2 %)": 0.02, "some (10 %)": 0.10, "many (40 %)": 0.40}
GROUPS = 1000
CELLS = (50, 100, 200, 500, 1000)
DISPERSIONS = (0.7, 2.0, 6.0)
ASSUMED = 2.0
SECOND = "## The interval of one patient"


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
        for phi in DISPERSIONS:
            own = coverage(number, wide[:few], rng, phi).mean()
            columns.setdefault(f"coverage, dropout phi {phi:g}", {})[number] = own
    return columns


def patient(
    cells: int, truth: np.ndarray, rng: np.random.Generator, dispersion: float
) -> tuple[float, float]:
    """Return how many corrected fractions of one patient can be trusted, and hold the truth.

    Each true fraction is a gene of its own in cells of the same sizes, with 3 UMI per 10,000 in
    expressing cells; held is the truth of those that are identifiable.
    """
    sizes = np.exp(rng.normal(np.log(3500), 0.35, cells))
    shape = (truth.size, cells)
    level = (
        rng.standard_gamma(dispersion, shape) / dispersion * (rng.random(shape) < truth[:, None])
    )
    drawn = rng.poisson(3e-4 * level * sizes)
    detected, counts = (drawn > 0).sum(axis=1), drawn.sum(axis=1)
    rest = (sizes, np.ones(cells), float(sizes.sum()), ASSUMED)
    found = [
        dropout_corrected(cells, int(d), float(c), *rest)
        for d, c in zip(detected, counts, strict=True)
    ]
    use = np.array([f.identifiable for f in found])
    fractions = np.array([f.fraction for f in found])[use]
    lower, upper = corrected_interval(fractions, detected[use], counts[use], cells, *rest)
    held = (lower <= truth[use]) & (truth[use] <= upper)
    return float(use.mean()), float(held.mean())


def patients(groups: int = GROUPS, seed: int = 2) -> str:
    """Return the second table as text."""
    rng = np.random.default_rng(seed)
    head = f"| true dispersion | {' | '.join(f'{n} cells' for n in CELLS)} |"
    rows = []
    for phi in DISPERSIONS:
        shares = [patient(n, rng.uniform(0.05, 0.95, groups), rng, phi) for n in CELLS]
        rows.append(f"| phi {phi:g} | {' | '.join(_cell(held) for _, held in shares)} |")
        known = " | ".join(f"{100 * share:.0f}" for share, _ in shares)
        rows.append(f"| corrected in % of patients | {known} |")
    return "\n".join(
        [
            SECOND,
            "",
            f"Percent of {groups:,} patients whose 95 % interval holds their true fraction"
            f" (5–95 %), corrected with phi {ASSUMED:g}, 3 UMI per 10,000 in expressing cells.",
            "",
            head,
            "|---" * (len(CELLS) + 1) + "|",
            *rows,
            "",
        ]
    )


def _cell(share: float) -> str:
    text = f"{100 * share:.1f}"
    return text if 0.90 <= share <= 0.98 else f"**{text}**"


def markdown(columns: dict, donors: Sequence[int] = DONORS, groups: int = GROUPS) -> str:
    """Return the table as text; figures outside 90–98 % are bold."""
    head = f"| interval | {' | '.join(f'{d} donors' for d in donors)} |"
    rows = [
        f"| {name} | {' | '.join(_cell(values[d]) for d in donors)} |"
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
    path = Path(__file__).with_name("calibration.md")
    asked = sys.argv[1] if len(sys.argv) > 1 else str(GROUPS)
    if asked == "patients":
        text = path.read_text(encoding="utf-8").partition(SECOND)[0].rstrip() + "\n\n" + patients()
    else:
        number = int(asked)
        text = markdown(table(number), groups=number) + "\n" + patients(number)
    path.write_text(text, encoding="utf-8")
    print(text)
