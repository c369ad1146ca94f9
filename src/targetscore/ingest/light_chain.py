"""Which plasma cells belong to the clone: light-chain restriction (F6).

A plasma cell makes one light chain. All cells of a clone make the same one; normal cells are
mixed, about 60 kappa to 40 lambda. So the *other* chain proves a cell normal, but the clone's
chain alone never proves a cell malignant: normal cells make it too. How many of those hide
among the cells of the clone's chain is what the posterior is about.

A lambda cell uses one of several constant genes, which tells more than kappa against lambda.
IGLC2 and IGLC3 differ by few bases: reads of some alleles are split between them about 2:1
(seen in public 10x 3' data), so that split is a class of its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, logsumexp, pdtr

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

CHAIN_GENES = {
    "ENSG00000211592": "IGKC",
    "ENSG00000211675": "IGLC1",
    "ENSG00000211677": "IGLC2",
    "ENSG00000211679": "IGLC3",
    "ENSG00000254030": "IGLC5",
    "ENSG00000222037": "IGLC6",
    "ENSG00000211685": "IGLC7",
}
"""Constant genes by Ensembl id, in the order of the columns of every count array here. Human
Protein Atlas; IGLC5 and IGLC6 (hardly transcribed) from prior knowledge."""

CLASSES = ("kappa", "IGLC1", "IGLC2", "IGLC2/3", "IGLC3", "IGLC6/7")
"""What a cell can make; all but the first are lambda."""

COMPOSITION: Floats = np.array(
    [
        [1, 0, 0, 0, 0, 0, 0],
        [0, 1, 0, 0, 0, 0, 0],
        [0, 0, 1, 0, 0, 0, 0],
        [0, 0, 0.65, 0.35, 0, 0, 0],
        [0, 0, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 0, 0.3, 0.7],
    ]
)
"""Share of a class's light-chain UMI that each gene gets, ``(n_classes, n_genes)``."""

KAPPA_SHARE = 0.6
"""Normal plasma cells that make kappa (bulk RNA of marrow: 0.60, Human Protein Atlas)."""

KAPPA_STRENGTH = 20.0
"""Cells' worth of belief in it. Of 100 plasma cells or more, a ratio above 4:1 or below 1:2 counts
as clonal in the clinic (doi:10.1038/sj.leu.2404284); Beta(12, 8) puts 95 % of polyclonal samples
of 100 cells between the two."""

LAMBDA_SHARES: Floats = np.array([0.18, 0.42, 0.18, 0.18, 0.04])
"""Classes among normal lambda cells: a choice near bulk RNA (marrow: IGLC1 15 %, IGLC2 65 %,
IGLC3 20 % of reads, IGLC7 below 1 %; Human Protein Atlas)."""

LAMBDA_STRENGTH = 10.0
"""Cells' worth of belief in them: weak, because alleles and gene copies differ between donors."""

TWO_CHAINS = 0.05
"""Cells expected to hold two chains: doublets, mostly."""

BALANCE = 3.0
"""Of the two chains of such a cell: the smaller one is seldom below a tenth."""

CONCENTRATION = 30.0
"""Of the Dirichlet that the shares of one cell's genes scatter with around their mean."""

STRAY = 0.01
"""Share of light-chain UMI that is of any gene whatever the cell makes (mapping, swapping)."""

AMBIENT_BOUND = 0.975
"""A cell makes a light chain if ambient counts stay below its own with this probability."""

MIN_UMI = 5
"""Light-chain UMI a cell needs to be read."""

MIN_CELLS = 20
"""Readable cells a patient needs (C0: fewer are not assessed)."""

SURE = 0.95
"""Probability a cell's chain, and a patient's clone, must reach."""

CALLED_FROM = 0.9
"""A cell is malignant from this posterior on. It is reached where a kappa clone is about 89 % of
a patient's plasma cells, an IGLC2 clone 64 %, an IGLC3 clone 44 %; at 0.95 a kappa clone would
have to be 94 %. Below, the cells of the clone's chain are unclear."""

_N_GENES = len(CHAIN_GENES)
_GENES_OF_CLASSES: Floats = np.array([KAPPA_SHARE, *((1 - KAPPA_SHARE) * LAMBDA_SHARES)])
_STRAY_GENES: Floats = (_GENES_OF_CLASSES @ COMPOSITION) * 0.98 + 0.02 / _N_GENES
_MODELS: tuple[tuple[int, ...], ...] = ((), (0,), (1, 2, 3, 4, 5), (1,), (2,), (3,), (4,), (5,))
_PRIOR: Floats = np.log(
    0.5
    * np.array(
        [1, KAPPA_SHARE, *((1 - KAPPA_SHARE) * np.array([0.2, *(0.8 * LAMBDA_SHARES)]))],
    )
)


@dataclass(frozen=True)
class ClonePosterior:
    """What the chains of one patient's cells say about a clone.

    Attributes
    ----------
    probability
        Of each model: no clone, kappa, lambda of any gene, then each lambda class;
        shape ``(8,)``, adds up to 1.
    normal_share
        Under each model, the expected share of normal cells among the cells that make what
        the clone makes, ``(8,)``, 0–1; 1 without a clone.
    """

    probability: Floats
    normal_share: Floats

    @property
    def clonal(self) -> float:
        """Probability that there is a clone at all."""
        return float(1 - self.probability[0])

    @property
    def of_classes(self) -> Floats:
        """Probability that a cell of each class belongs to the clone, ``(6,)``."""
        member = np.array([[c in model for model in _MODELS] for c in range(len(CLASSES))])
        return member.astype(np.float64) @ (self.probability * (1 - self.normal_share))

    @property
    def lambda_share(self) -> float:
        """Probability that the clone makes lambda, given that there is one."""
        return float(self.probability[2:].sum() / max(self.probability[1:].sum(), 1e-300))


@dataclass(frozen=True)
class PatientCalls:
    """Calls of one patient's plasma cells.

    Attributes
    ----------
    call
        ``malignant``, ``normal`` or ``unclear`` per cell, ``(n_cells,)``.
    posterior
        Probability of belonging to the clone, 0–1; NaN where the chain cannot be read.
    reason
        Why a cell is unclear; empty for the others.
    summary
        chain (``kappa``, ``lambda`` or None), gene, probability_clone, n_cells, n_readable,
        chains (cells per class), calls, unclear (cells per reason) and
        expected_normal_among_malignant (share, 0–1).
    """

    call: NDArray[np.object_]
    posterior: Floats
    reason: NDArray[np.object_]
    summary: dict[str, Any]


def _dirichlet_multinomial(x: Floats, alpha: Floats) -> Floats:
    """Return the log-probability of one order of counts, along the last axis."""
    whole = gammaln(alpha.sum(-1)) - gammaln(alpha.sum(-1) + x.sum(-1))
    return whole + (gammaln(alpha + x) - gammaln(alpha)).sum(-1)


def read_chains(counts: Integers, ambient: Floats) -> Floats:
    """Return the probability of each class, and of two chains, for every cell.

    Dirichlet-multinomial of the genes' counts given the class: the mean is
    ``(1 - a - e) * composition + a * ambient profile + e * any gene``; ``e`` is
    :data:`STRAY`, ``a`` is averaged over none, half and all of the ambient bound. Two chains:
    kappa has a Beta(:data:`BALANCE`, same) share, the rest is one lambda class as in normal cells.

    Parameters
    ----------
    counts
        UMI of the genes of :data:`CHAIN_GENES`, ``(n_cells, 7)``.
    ambient
        Ambient UMI of the same genes expected at most in each cell, ``(n_cells, 7)``.

    Returns
    -------
    numpy.ndarray
        ``(n_cells, 7)``: the classes, then two chains; rows add up to 1.
    """
    x = counts.astype(np.float64)
    total = np.maximum(x.sum(1), 1.0)
    soup = (ambient + 1e-9 * _STRAY_GENES) / (ambient.sum(1, keepdims=True) + 1e-9)
    likelihood = []
    for own in COMPOSITION:
        shares = []
        for part in (0.0, 0.5, 1.0):
            a = np.clip(part * ambient.sum(1) / total, 0, 0.95)[:, None]
            mean = (1 - STRAY) * ((1 - a) * own + a * soup) + STRAY * _STRAY_GENES
            shares.append(_dirichlet_multinomial(x, CONCENTRATION * mean))
        likelihood.append(logsumexp(shares, axis=0) - np.log(3))
    lambdas = (1 - STRAY) * COMPOSITION[1:, 1:] + STRAY * _STRAY_GENES[1:] / _STRAY_GENES[1:].sum()
    parts = [_dirichlet_multinomial(x[:, 1:], CONCENTRATION * own) for own in lambdas]
    both = betaln(x[:, 0] + BALANCE, x[:, 1:].sum(1) + BALANCE) - betaln(BALANCE, BALANCE)
    both = both + logsumexp(parts, axis=0, b=LAMBDA_SHARES[:, None])
    prior = np.log([*((1 - TWO_CHAINS) * _GENES_OF_CLASSES), TWO_CHAINS])
    joint = np.stack([*likelihood, both], axis=1) + prior
    return np.exp(joint - logsumexp(joint, axis=1, keepdims=True))


def _evidence(n: Integers, clone: tuple[int, ...]) -> tuple[float, float]:
    """Return log evidence of a clone that makes some classes, and the normal share in them."""
    n_clone, total = int(n[list(clone)].sum()), int(n.sum())
    x = np.arange(n_clone + 1.0) if clone else np.zeros(1)
    kappa = x if clone == (0,) else np.full(len(x), float(n[0]))
    lambdas = np.tile(n[1:].astype(np.float64), (len(x), 1))
    n_lambda = lambdas.sum(1)
    if clone and clone != (0,):
        n_lambda = n_lambda - n_clone + x
    if len(clone) == 1 and clone != (0,):
        lambdas[:, clone[0] - 1] = x
    a, b = KAPPA_STRENGTH * KAPPA_SHARE, KAPPA_STRENGTH * (1 - KAPPA_SHARE)
    log = betaln(a + kappa, b + n_lambda) - betaln(a, b)
    log = log + _dirichlet_multinomial(lambdas, LAMBDA_STRENGTH * LAMBDA_SHARES)
    if not clone:
        return float(log[0]), 1.0
    ways = gammaln(n_clone + 1) - gammaln(x + 1) - gammaln(n_clone - x + 1)
    log = log + ways + betaln(n_clone - x + 1, total - n_clone + x + 1)
    evidence = logsumexp(log)
    share = float(np.exp(log - evidence) @ x) / n_clone if n_clone else 1.0
    return float(evidence), share


def clone_posterior(n: Integers) -> ClonePosterior:
    """Weigh every possible clone of a patient against none.

    Cells are of the clone with probability pi (uniform prior), else normal; a normal cell
    makes kappa with probability kappa ~ Beta(:data:`KAPPA_STRENGTH`) and a lambda gene with
    Dirichlet shares (:data:`LAMBDA_STRENGTH`). The sum over the number of normal cells among
    those that make the clone's chain is exact; kappa, the shares and pi are integrated out:
    P(n | c) = sum_x C(n_c, x) B(n_c-x+1, N-n_c+x+1) BetaBin(normal) DirMult(normal lambda).
    No clone and a clone are equally likely beforehand.

    Parameters
    ----------
    n
        Readable cells per class, ``(6,)``.
    """
    found = [_evidence(n, clone) for clone in _MODELS]
    log = np.array([evidence for evidence, _ in found]) + _PRIOR
    return ClonePosterior(np.exp(log - logsumexp(log)), np.array([share for _, share in found]))


def call_patient(counts: Integers, ambient: Floats) -> PatientCalls:
    """Call the plasma cells of one patient.

    A cell is ``malignant`` if a clone is sure and the cell belongs to it with a probability of
    at least :data:`CALLED_FROM`; ``normal`` if it belongs to it with at most one minus that,
    and (where there is a clone) makes the other light chain; else ``unclear``. Without a sure
    clone nothing is malignant. One clone per patient is assumed; a clone that stopped making
    light chains is not seen.

    Parameters
    ----------
    counts
        UMI of the genes of :data:`CHAIN_GENES` in the patient's plasma cells,
        ``(n_cells, 7)``.
    ambient
        Ambient UMI of the same genes expected at most in each cell, ``(n_cells, 7)``.
    """
    total = counts.sum(1)
    above = pdtr(np.maximum(total - 1, 0), ambient.sum(1)) >= AMBIENT_BOUND
    deep = (total >= MIN_UMI) & above
    reading = read_chains(counts, ambient)
    n_classes = len(CLASSES)
    is_lambda = reading[:, 1:n_classes].sum(1)
    readable = deep & (np.maximum(reading[:, 0], is_lambda) >= SURE)
    n = np.bincount(reading[readable, :n_classes].argmax(1), minlength=n_classes)
    clone = clone_posterior(n)
    posterior = np.where(readable, reading[:, :n_classes] @ clone.of_classes, np.nan)
    enough = int(readable.sum()) >= MIN_CELLS
    one_chain = max(clone.lambda_share, 1 - clone.lambda_share)
    sure = enough and clone.clonal >= SURE and one_chain >= SURE
    makes_lambda = clone.lambda_share > 0.5
    other_chain = (is_lambda < 0.5) == makes_lambda
    low = readable & (np.nan_to_num(posterior, nan=1.0) <= 1 - CALLED_FROM)
    malignant = readable & sure & (np.nan_to_num(posterior) >= CALLED_FROM)
    normal = low & (other_chain | (not sure)) & enough
    call = np.select([malignant, normal], ["malignant", "normal"], "unclear").astype(object)
    why = np.select(
        [
            malignant | normal,
            ~deep,
            ~readable,
            np.full(len(call), not enough),
            np.full(len(call), not sure),
            low,
        ],
        [
            "",
            "no light chain above ambient",
            "two light chains",
            f"fewer than {MIN_CELLS} plasma cells with a readable light chain",
            "no sure evidence of a clone",
            "another lambda gene than the clone",
        ],
        "the clone's light chain, which normal cells make too",
    ).astype(object)
    best = int(clone.probability[1:].argmax()) + 1
    chain = ("lambda" if makes_lambda else "kappa") if sure else None
    gene = CLASSES[_MODELS[best][0]] if chain == "lambda" and len(_MODELS[best]) == 1 else None
    summary = {
        "chain": chain,
        "gene": gene,
        "probability_clone": round(clone.clonal, 4),
        "n_cells": len(counts),
        "n_readable": int(readable.sum()),
        "chains": {c: int(k) for c, k in zip(CLASSES, n, strict=True)},
        "calls": {c: int((call == c).sum()) for c in ("malignant", "normal", "unclear")},
        "unclear": dict(sorted(Counter(why[why != ""]).items())),
        "expected_normal_among_malignant": (
            round(float(1 - posterior[malignant].mean()), 4) if malignant.any() else None
        ),
    }
    return PatientCalls(call, posterior, why, summary)
