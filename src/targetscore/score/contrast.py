"""Diseased cells held against healthy groups: the parts of specificity (C2)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from targetscore import ontology
from targetscore.config import Scoring
from targetscore.score.detection import grid_posterior
from targetscore.score.healthy import Floats, Healthy
from targetscore.score.specificity import (
    log2_cpm,
    pair_auc,
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
    compared = (
        healthy.assessed[:, gene]
        & ~healthy.tolerated
        & (healthy.n_donors[:, gene] >= scoring.min_donors_clear)
    )
    middle = float(np.nanmedian(log2_cpm(tumour.counted_cpm[:, gene])))
    changes = [_change(middle, healthy, gene, compared & (healthy.tier == t)) for t in TIERS]
    beside = Contrast(per_tier=tuple(changes), counterpart=against, tau=index, argmax=argmax)
    vital = np.nonzero(compared & (healthy.tier <= VITAL_TIER))[0]
    if not vital.size:
        missing = f"no healthy tier 1–2 group with at least {scoring.min_donors_clear} donors"
        return replace(beside, missing=missing)
    quartile = healthy.q75[vital, gene]
    highest = int(vital[int(quartile.argmax())])
    change = float(middle - quartile.max())
    alike = [h for h in vital if comparable(healthy.groups[h].suspension, tumour.suspensions)]
    if not alike:
        missing = "detection in cells is not compared with detection in nuclei (C9)"
        return replace(beside, missing=missing)
    ceiling = float(healthy.upper[alike, gene].max())
    gap = reach.posterior.lower - ceiling
    patients = tumour.counted_cpm[:, gene]
    auc = min(float(pair_auc(patients, healthy.donor_cpm[h][:, gene])) for h in vital)
    parts = specificity_parts(change, gap, auc, index if index and own_lineage else 0.0)
    worst = healthy.groups[highest]
    return replace(
        beside,
        score=specificity_score(parts, scoring.specificity_weights),
        parts=parts,
        log_fold_change=change,
        group=f"{worst.cell_type} ({worst.tissue})",
        detection_gap=gap,
        detection_gap_thinned=_thinned_lower(tumour, gene) - ceiling,
        auc_min=auc,
    )


def _change(middle: float, healthy: Healthy, gene: int, use: NDArray[np.bool_]) -> float | None:
    """Return log2 of the tumour against the worst of some groups; None if there is none."""
    return float(middle - healthy.q75[use, gene].max()) if use.any() else None


def _thinned_lower(tumour: Tumour, gene: int) -> float:
    """Return the tumour's lower bound at 2,000 UMI, where healthy cells are looked at too."""
    use = np.nonzero(tumour.counted[:, gene])[0]
    return grid_posterior(tumour.sums.thinned[use, gene], tumour.sums.cells[use, gene]).lower


def comparable(suspension: str, others: Collection[str]) -> bool:
    """Tell whether detection may be compared: never cells with nuclei."""
    return "unknown" in (suspension, *others) or suspension in others


def collapsed(healthy: Healthy, gene: int) -> list[list[int]]:
    """Return the assessed groups of each cell type: tau looks at types, not at tissues."""
    by_type: dict[str, list[int]] = {}
    for i in np.nonzero(healthy.assessed[:, gene] & np.isfinite(healthy.mean_cpm[:, gene]))[0]:
        by_type.setdefault(healthy.groups[i].cell_type_id, []).append(int(i))
    return list(by_type.values())


def _tau(tumour_cpm: float, healthy: Healthy, gene: int) -> tuple[float | None, str | None, bool]:
    """Return tau over collapsed cell types, the highest, and whether that is intended.

    The tumour enters with the median over patients, a cell type with the mean over its
    groups (all tissues) of the mean over donors: both choices are to the antigen's
    disadvantage. A tie goes to the healthy type that is not tolerated.
    """
    means = healthy.mean_cpm[:, gene]
    levels = [(float(tau_level(tumour_cpm)), True, TUMOUR_NAME)]
    for members in collapsed(healthy, gene):
        first = healthy.groups[members[0]]
        level = float(tau_level(float(np.mean(means[members]))))
        levels.append((level, first.tolerated, first.cell_type))
    index = tau([level for level, _, _ in levels])
    if index is None:
        return None, None, False
    _, intended, name = max(levels, key=lambda entry: (entry[0], not entry[1]))
    return index, name, intended


def _counterpart(
    level: float, tumour: Tumour, healthy: Healthy, gene: int, counterpart: Collection[str]
) -> float | None:
    """Return log2 against the normal counterpart: healthy donors, else patients' own cells."""
    per_donor: dict[tuple[str, str], list[float]] = {}
    for group, cpm, donors in zip(healthy.groups, healthy.donor_cpm, healthy.donors, strict=True):
        if ontology.is_a(group.cell_type_id, counterpart):
            for donor, value in zip(donors, cpm[:, gene], strict=True):
                if np.isfinite(value):
                    per_donor.setdefault(donor, []).append(float(value))
    normal: Floats = np.array([np.mean(v) for v in per_donor.values()], dtype=np.float64)
    if not normal.size:
        own = tumour.counterpart_cpm[:, gene]
        normal = own[np.isfinite(own)]
    return level - float(np.median(log2_cpm(normal))) if normal.size else None
