"""Diseased cells held against healthy groups: the parts of specificity (C2)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from targetscore import ontology
from targetscore.config import Scoring
from targetscore.score.healthy import Floats, Healthy
from targetscore.score.specificity import (
    group_aucs,
    log2_cpm,
    specificity_parts,
    specificity_score,
    tau,
    tau_level,
)
from targetscore.score.tumour import Reach, Tumour

VITAL_TIER = 2
TIERS = (1, 2, 3, 4)
TUMOUR_NAME = "diseased cells"


@dataclass(frozen=True)
class Contrast:
    """Specificity of one antigen and what it is made of; None where it cannot be computed.

    Attributes
    ----------
    score, parts
        Specificity and s1–s4, 0–1 and 1 best.
    log_fold_change, group
        log2 against the worst tier 1–2 group, and its name.
    per_tier
        The same against the worst group of each tier, 1 to 4.
    counterpart
        log2 against the normal counterpart, medians of donors on both sides.
    detection_gap, detection_gap_thinned, auc_min, tau, argmax
        As the contract ``score/components`` says.
    missing
        Why there is no score.
    """

    score: float | None = None
    parts: tuple[float | None, ...] = (None, None, None, None)
    log_fold_change: float | None = None
    group: str | None = None
    per_tier: tuple[float | None, ...] = (None,) * len(TIERS)
    counterpart: float | None = None
    detection_gap: float | None = None
    detection_gap_thinned: float | None = None
    auc_min: float | None = None
    tau: float | None = None
    argmax: str | None = None
    missing: str | None = None


def contrast(
    tumour: Tumour,
    reach: Reach | None,
    healthy: Healthy,
    gene: int,
    counterpart: Collection[str],
    scoring: Scoring,
) -> Contrast:
    """Compare one antigen in patients with vital healthy groups.

    The worst case is taken over assessed, non-tolerated groups of tiers 1–2 with enough
    donors; tiers 3–4 act through safety only, or they would count twice.

    The detection gap (s2) takes the tumour's bound as C2 and C3 do, corrected for dropout where
    that can be done, and the healthy bound as C1 gives it, at 2,000 UMI: most healthy groups
    hold too few counts of an antigen to correct anything, and a raw tumour bound ranks genes by
    how much RNA they make. Where healthy cells do express, their bound is thus low and the gap
    too large; ``detection_gap_thinned`` has both sides at 2,000 UMI and stands beside it, and
    the fold change and the AUC, which know no dropout, hold 60 % of the weight.

    Parameters
    ----------
    tumour, reach
        Patients' evidence, and its summary for this gene.
    healthy
        Healthy evidence.
    gene
        Column of the gene.
    counterpart
        Cell Ontology ids of the normal counterpart; empty if it is not named, or if nothing
        separates it from the diseased cells.
    scoring
        Parameters.
    """
    if reach is None or np.isnan(reach.median_cpm):
        return Contrast(missing="no patient with enough diseased cells to compare")
    index, argmax, own_lineage = _tau(reach.median_cpm, healthy, gene)
    level = float(log2_cpm(reach.median_cpm))
    against = _counterpart(level, tumour, healthy, gene, counterpart) if counterpart else None
    use = compared(healthy, gene, scoring)
    middle = float(np.nanmedian(log2_cpm(tumour.counted_cpm[:, gene])))
    changes = [_change(middle, healthy, gene, use & (healthy.tier == t)) for t in TIERS]
    beside = Contrast(per_tier=tuple(changes), counterpart=against, tau=index, argmax=argmax)
    vital, alike = worst_case_groups(healthy, gene, scoring, tumour.suspensions)
    if not vital.size:
        missing = f"no healthy tier 1–2 group with at least {scoring.min_donors_clear} donors"
        return replace(beside, missing=missing)
    quartile = healthy.q75[vital, gene]
    highest = int(vital[int(quartile.argmax())])
    change = float(middle - quartile.max())
    if not alike.size:
        missing = "detection in cells is not compared with detection in nuclei (C9)"
        return replace(beside, missing=missing)
    ceiling = float(healthy.upper[alike, gene].max())
    gap = reach.posterior.lower - ceiling
    patients = tumour.counted_cpm[:, gene]
    auc = float(group_aucs(patients, healthy.cpm[:, gene], healthy.shown.group_of)[vital].min())
    parts = specificity_parts(change, gap, auc, index if index and own_lineage else 0.0)
    worst = healthy.groups[highest]
    return replace(
        beside,
        score=specificity_score(parts, scoring.specificity_weights),
        parts=parts,
        log_fold_change=change,
        group=f"{worst.cell_type} ({worst.tissue})",
        detection_gap=gap,
        detection_gap_thinned=reach.thinned_lower - ceiling,
        auc_min=auc,
    )


def compared(healthy: Healthy, gene: int, scoring: Scoring) -> NDArray[np.bool_]:
    """Tell which groups the tumour is held against: assessed, not tolerated, enough donors."""
    enough = healthy.n_donors[:, gene] >= scoring.min_donors_clear
    return np.asarray(healthy.assessed[:, gene] & ~healthy.tolerated & enough)


def worst_case_groups(
    healthy: Healthy, gene: int, scoring: Scoring, suspensions: Collection[str]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the groups of tiers 1–2 that the worst case is over.

    Returns
    -------
    vital, alike
        Positions of all of them, and of those whose detection may be compared with that of
        the tumour's ``suspensions``.
    """
    vital = np.nonzero(compared(healthy, gene, scoring) & (healthy.tier <= VITAL_TIER))[0]
    kinds = set(healthy.suspensions[vital].tolist())
    alike = [kind for kind in sorted(kinds) if comparable(kind, suspensions)]
    return vital, vital[np.isin(healthy.suspensions[vital].astype(str), alike)]


def _change(middle: float, healthy: Healthy, gene: int, use: NDArray[np.bool_]) -> float | None:
    """Return log2 of the tumour against the worst of some groups; None if there is none."""
    return float(middle - healthy.q75[use, gene].max()) if use.any() else None


def comparable(suspension: str, others: Collection[str]) -> bool:
    """Tell whether detection may be compared: never cells with nuclei."""
    return "unknown" in (suspension, *others) or suspension in others


def collapsed(healthy: Healthy, gene: int) -> list[NDArray[np.int64]]:
    """Return the assessed groups of each cell type: tau looks at types, not at tissues."""
    use = np.nonzero(healthy.assessed[:, gene] & np.isfinite(healthy.mean_cpm[:, gene]))[0]
    kinds, first, kind = np.unique(healthy.cell_types[use], return_index=True, return_inverse=True)
    place = np.argsort(np.argsort(first))[kind]  # types in the order in which they appear
    ends = np.cumsum(np.bincount(place, minlength=kinds.size)).tolist()
    members = use[np.argsort(place, kind="stable")]
    return [members[start:end] for start, end in pairwise([0, *ends])]


def _tau(tumour_cpm: float, healthy: Healthy, gene: int) -> tuple[float | None, str | None, bool]:
    """Return tau over collapsed cell types, the highest, and whether that is intended.

    The tumour enters with the median over patients, a cell type with the mean over its
    groups (all tissues) of the mean over donors: both choices are to the antigen's
    disadvantage. A tie goes to the healthy type that is not tolerated.
    """
    means = healthy.mean_cpm[:, gene]
    types = collapsed(healthy, gene)
    first = [healthy.groups[members[0]] for members in types]
    sizes = np.array([members.size for members in types], dtype=np.int64)
    starts = np.cumsum(sizes) - sizes
    total = np.add.reduceat(means[np.concatenate(types)], starts) if types else np.zeros(0)
    levels = tau_level(np.append(tumour_cpm, total / sizes)).tolist()
    index = tau(levels)
    if index is None:
        return None, None, False
    intended = [True, *(group.tolerated for group in first)]
    names = [TUMOUR_NAME, *(group.cell_type for group in first)]
    top = max(range(len(levels)), key=lambda i: (levels[i], not intended[i]))
    return index, names[top], intended[top]


def _counterpart(
    level: float, tumour: Tumour, healthy: Healthy, gene: int, counterpart: Collection[str]
) -> float | None:
    """Return log2 against the normal counterpart: healthy donors, else patients' own cells."""
    _, person = healthy.shown.people
    values = healthy.cpm[:, gene]
    named = tuple(g.cell_type_id for g in healthy.groups)
    use = _of_lineage(named, frozenset(counterpart))[healthy.shown.group_of] & np.isfinite(values)
    cells = np.bincount(person[use])
    total = np.bincount(person[use], values[use])
    normal: Floats = total[cells > 0] / cells[cells > 0]
    if not normal.size:
        own = tumour.counterpart_cpm[:, gene]
        normal = own[np.isfinite(own)]
    return level - float(np.median(log2_cpm(normal))) if normal.size else None


@lru_cache(maxsize=16)  # the same groups are asked about for every gene and in every scenario
def _of_lineage(cell_types: tuple[str, ...], lineage: frozenset[str]) -> NDArray[np.bool_]:
    return np.array([ontology.is_a(kind, lineage) for kind in cell_types], dtype=bool)
