"""How the ranking changes with the data and the parameters behind it (C7, C1)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from targetscore.config import Scoring
from targetscore.score.antigen import AntigenScore
from targetscore.score.composite import ranks
from targetscore.score.draws import Draws
from targetscore.score.healthy import judged, measured
from targetscore.score.inputs import Inputs, healthy_of, tumour_of, world_of
from targetscore.score.levels import credit
from targetscore.score.parts import World, parts_of
from targetscore.score.replicates import composites
from targetscore.score.tumour import counted_patients
from targetscore.score.uncertainty import candidates

FACTORS = (0.5, 1.5)
TIER_THRESHOLDS = ("alert_fraction", "saturation_fraction", "saturation_cpm")
JUDGEMENTS = (
    "min_cells_assessed",
    "min_cells_clear",
    "min_donors_clear",
    "min_surface_confidence",
    "escape_fraction",
)
DONOR_THRESHOLDS = ("min_cells_donor", "min_library_donor")
PATIENT_THRESHOLD = "min_cells_patient"
AMBIENT_THRESHOLD = "ambient_fraction"
DISPERSIONS = (0.7, 2.0, 6.0)
WITHOUT_DOUBLETS = "without flagged doublets"
DEFAULT_FREE_RNA = "free RNA as if no empty droplets were measured"

Outcome = tuple[float | None, str | None]


def robustness(inputs: Inputs, world: World, scores: Sequence[AntigenScore]) -> pd.DataFrame:
    """Score the panel again in every scenario.

    The scenarios: as configured; each atlas, each aggregated reference and each patient left
    out; each threshold halved and half as large again; the dispersion of the dropout correction
    at 0.7, 2 and 6, unless configured so; without the cells flagged as doublets, where there are
    any; with the default share of free RNA and the profile of the sample's other cells, where
    empty droplets measured them.
    Shedding is held, as is the surface. Alert and escape fraction change what is said, not
    the composite. Whole numbers are rounded, at least 1; fractions are held at most 1. With
    ``scoring.bootstrap: 0`` there is only the score as configured.

    Parameters
    ----------
    inputs, world
        What the score was computed from.
    scores
        The score as configured.

    Returns
    -------
    pandas.DataFrame
        The contract ``score/robustness``: composite and rank of each antigen in each scenario,
        or why there is none.
    """
    configured = [(s.components["composite_score"], s.components["reason"]) for s in scores]
    rows = _rows(scores, "as_configured", "as configured", configured)
    if not inputs.scoring.bootstrap:
        return pd.DataFrame(rows)
    for kind, name, outcome in _without_patients(world, scores):
        rows += _rows(scores, kind, name, outcome)
    for kind, name, other in _worlds(inputs, world):
        if isinstance(other, str):
            outcome = [(None, other)] * len(scores)
        else:
            again = [parts_of(other, gene, i) for i, gene in enumerate(inputs.panel)]
            outcome = [(parts.composite, parts.reason) for parts in again]
        rows += _rows(scores, kind, name, outcome)
    return pd.DataFrame(rows)


def _rows(
    scores: Sequence[AntigenScore], kind: str, name: str, outcomes: Sequence[Outcome]
) -> list[dict[str, Any]]:
    order = ranks([s.gene.symbol for s in scores], [composite for composite, _ in outcomes])
    return [
        {
            "gene_id": s.gene.gene_id,
            "antigen": s.gene.symbol,
            "kind": kind,
            "scenario": name,
            "composite_score": composite,
            "rank": rank,
            "reason": reason,
        }
        for s, (composite, reason), rank in zip(scores, outcomes, order, strict=True)
    ]


def _worlds(inputs: Inputs, world: World) -> Iterator[tuple[str, str, World | str]]:
    """Yield kind, name and the world of each scenario, or why there is none."""
    for atlas in inputs.indication.atlases:
        rest = _without_atlas(inputs, atlas)
        left = rest if isinstance(rest, str) else world_of(rest)
        yield "atlas_left_out", f"without {atlas}", left
    for reference in sorted(inputs.references.measured):
        levels = credit(inputs.references.without(reference), world.rows)
        yield "reference_left_out", f"without {reference}", replace(world, levels=levels)
    for name in TIER_THRESHOLDS:
        for factor in FACTORS:
            tiers = {
                tier: replace(limits, **{name: _scaled(getattr(limits, name), factor, name)})
                for tier, limits in inputs.tiers.items()
            }
            healthy = judged(world.healthy, tiers, inputs.scoring)
            yield "threshold", f"{name} × {factor:g}", replace(world, tiers=tiers, healthy=healthy)
    for name in (*JUDGEMENTS, *DONOR_THRESHOLDS):
        for factor in FACTORS:
            scoring = _changed(inputs.scoring, name, factor)
            same = name in JUDGEMENTS  # who counts as a donor does not change
            found = world.healthy if same else measured(world.healthy.shown, scoring)
            healthy = judged(found, inputs.tiers, scoring)
            other = replace(world, scoring=scoring, healthy=healthy)
            yield "threshold", f"{name} × {factor:g}", other
    for factor in FACTORS:
        scoring = _changed(inputs.scoring, PATIENT_THRESHOLD, factor)
        counted = counted_patients(world.tumour.sums, scoring)
        other = replace(world, scoring=scoring, tumour=replace(world.tumour, counted=counted))
        yield "threshold", f"{PATIENT_THRESHOLD} × {factor:g}", other
    for factor in FACTORS:
        scoring = _changed(inputs.scoring, AMBIENT_THRESHOLD, factor)
        healthy = healthy_of(replace(inputs, scoring=scoring))
        other = replace(world, scoring=scoring, healthy=healthy)
        yield "threshold", f"{AMBIENT_THRESHOLD} × {factor:g}", other
    for phi in DISPERSIONS:
        if phi == inputs.scoring.dropout_dispersion:
            continue  # as configured, no other analysis
        scoring = inputs.scoring.model_copy(update={"dropout_dispersion": phi})
        tumour = tumour_of(replace(inputs, scoring=scoring))
        other = replace(world, scoring=scoring, tumour=tumour)
        yield "dropout_dispersion", f"dropout_dispersion = {phi:g}", other
    read = inputs.profiles
    if (read.groups["doublet"] == "yes").any():
        single = read.only(lambda groups: groups["doublet"] != "yes")
        yield "doublets_left_out", WITHOUT_DOUBLETS, world_of(replace(inputs, profiles=single))
    if read.free_rna:
        assumed = replace(read, free_rna={})
        yield "free_rna_default", DEFAULT_FREE_RNA, world_of(replace(inputs, profiles=assumed))


def _changed(scoring: Scoring, name: str, factor: float) -> Scoring:
    return scoring.model_copy(update={name: _scaled(getattr(scoring, name), factor, name)})


def _scaled(value: float, factor: float, name: str) -> float:
    """Return a threshold times a factor, kept a whole number, or a fraction."""
    if isinstance(value, int):
        return max(1, math.floor(value * factor + 0.5))
    return value * factor if name.endswith("cpm") else min(1.0, value * factor)


def _without_atlas(inputs: Inputs, atlas: str) -> Inputs | str:
    indication = inputs.indication
    parts = {}
    for name in ("diseased", "healthy"):
        part = getattr(indication, name)
        left = [a for a in part.atlases if a != atlas]
        if not left:
            return f"no atlas with {name} cells is left"
        parts[name] = part.model_copy(update={"atlases": left})
    rest = inputs.profiles.only(lambda groups: groups["atlas"] != atlas)
    measured = {a: genes for a, genes in rest.measured.items() if a != atlas}
    return replace(
        inputs,
        indication=indication.model_copy(update=parts),
        profiles=replace(rest, measured=measured),
    )


def _without_patients(
    world: World, scores: Sequence[AntigenScore]
) -> Iterator[tuple[str, str, list[Outcome]]]:
    """Leave out each patient who counts; the healthy side stays as it is."""
    units = world.tumour.sums.units
    who = np.nonzero(world.tumour.counted.any(axis=1))[0]
    others = np.array([who[who != p] for p in who], dtype=np.int64)
    others = others.reshape(who.size, max(0, who.size - 1))
    ranked = [i for i, s in enumerate(scores) if s.components["status"] == "ranked"]
    found = composites(world, candidates(scores), Draws(others))
    for place, patient in enumerate(who):
        outcomes: list[Outcome] = [(None, s.components["reason"]) for s in scores]
        for i, score in zip(ranked, found[:, place], strict=True):
            known = bool(np.isfinite(score))
            outcomes[i] = (float(score), None) if known else (None, "no patient is left")
        donor, atlas = units["donor"].iloc[patient], units["atlas"].iloc[patient]
        yield "patient_left_out", f"without {donor} of {atlas}", outcomes
