"""Levels of aggregated references: what they may say of a tier row, and what that costs (C4).

A level has no cells and no fraction expressing, so it never makes a group ``clear``, never
assesses a tier row and is pooled with no donor. It acts where nothing better is known: on a
tier row that not enough cells of enough donors assess, it can take safety away like a report of
the literature does. The largest cost of a class counts, so a further level never gives safety
back.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from targetscore import io
from targetscore.config import Levels
from targetscore.contracts_levels import LEVELS, REFERENCE_LEVELS
from targetscore.errors import ConfigError, Problem, plain, raise_all
from targetscore.genes import Gene
from targetscore.score.evidence import Gap
from targetscore.score.healthy import Healthy
from targetscore.score.safety import WORST_FIRST, harm
from targetscore.score.tiers import UNCLASSIFIED_TIER, Tier, TierRow, credited_rows
from targetscore.score.toxicity import Safety

NO_ROW = "no tier row: shown, counts nowhere"
TOLERATED = "tolerated lineage"
SETTLED = "enough cells of enough donors assess the row"
NOTHING_SEEN = "below the floor: no comfort, no cost"
_SURE_PROTEIN = ("medium", "high")
_UNSEEN = {
    "verdict": "not_assessed",
    "n_groups_assessed": 0,
    "n_groups_not_assessed": 0,
    "harm": np.nan,
    "gap_penalty": 0.0,
    "factor": 1.0,
    "worst_cell_type": None,
    "worst_tissue": None,
    "gap_label": None,
}
"""A toxicity class in which cells count for another class only."""


@dataclass(frozen=True)
class References:
    """The aggregated references of an indication, read once.

    Attributes
    ----------
    settings
        What levels count for.
    levels
        Contract ``ingest/levels`` of the panel's genes, with ``reference``.
    measured
        Genes each reference measures.
    """

    settings: Levels = field(default_factory=Levels)
    levels: pd.DataFrame = field(default_factory=lambda: _no_levels())
    measured: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def without(self, reference: str) -> References:
        """Leave one reference out."""
        levels = self.levels[self.levels["reference"] != reference].reset_index(drop=True)
        measured = {name: genes for name, genes in self.measured.items() if name != reference}
        return replace(self, levels=levels, measured=measured)


def read_references(paths: Mapping[str, str], genes: Iterable[str], settings: Levels) -> References:
    """Read the levels of some genes.

    Parameters
    ----------
    paths
        File of the contract ``ingest/levels`` by the name of the reference.
    genes
        Ensembl ids of the genes wanted.
    settings
        What levels count for.
    """
    wanted = sorted(set(genes))
    parts = [_no_levels()]
    measured = {}
    for name in sorted(paths):
        found = io.read_matching(paths[name], REFERENCE_LEVELS, "gene_id", wanted)
        texts = [c.name for c in REFERENCE_LEVELS.columns if c.kind == "label"]
        found[texts] = found[texts].astype(object)
        parts.append(found.assign(reference=name))
        measured[name] = frozenset(found["gene_id"])
    whole = pd.concat([p for p in parts if len(p)] or parts, ignore_index=True)
    return References(settings, whole, measured)


def _no_levels() -> pd.DataFrame:
    return REFERENCE_LEVELS.empty().astype(object).assign(reference="")


@dataclass(frozen=True)
class Credited:
    """References with the tier row each level counts for.

    Attributes
    ----------
    references
        As they were read.
    rows
        Tier row of each level, None where there is none.
    by_gene
        Positions of the levels of each gene.
    """

    references: References = field(default_factory=References)
    rows: Sequence[TierRow | None] = ()
    by_gene: Mapping[str, Sequence[int]] = field(default_factory=dict)


def credit(references: References, rows: Sequence[TierRow]) -> Credited:
    """Find the tier row of each level.

    A cell type counts for the nearest row of itself or of an ancestor, as a healthy group does.
    A whole tissue, or a cell type that the label map says so of, counts for the row the map
    names; without one it counts nowhere. A rare cell type is never credited by its tissue.

    Parameters
    ----------
    references
        As they were read.
    rows
        Tissue tiers as they apply.

    Raises
    ------
    ConfigError
        If a label map names a tier row that does not exist.
    """
    by_label = {row.label: row for row in rows}
    found: dict[tuple[str, str, Any], TierRow | None] = {}
    credited: list[TierRow | None] = []
    unknown: dict[str, str] = {}
    table = references.levels
    for tissue, cell_type, named, scope, reference in zip(
        *(table[c] for c in ("tissue_id", "cell_type_id", "tier_label", "scope", "reference")),
        strict=True,
    ):
        named = None if pd.isna(named) else str(named)
        key = (tissue, cell_type, named)
        if key not in found:
            if named is not None:
                found[key] = by_label.get(named)
                if named not in by_label:
                    unknown[named] = reference
            elif scope == "tissue":
                found[key] = None
            else:
                found[key] = next(iter(credited_rows(cell_type, tissue, list(rows))), None)
        credited.append(found[key])
    raise_all(
        ConfigError,
        [
            Problem(
                f"label map of the reference '{reference}'",
                "tier_label",
                f"no row of tissue_tiers.tsv is called '{plain(name)}'",
                "write the label of a row, or nothing",
            )
            for name, reference in sorted(unknown.items())
        ],
    )
    positions = table.groupby("gene_id", sort=True).indices
    return Credited(references, credited, {str(g): list(at) for g, at in positions.items()})


@dataclass(frozen=True)
class LevelEvidence:
    """What levels say of one antigen.

    Attributes
    ----------
    lines
        Rows of the contract ``score/levels`` without the antigen.
    gaps
        One per level that costs safety: its tier row and the cost.
    """

    lines: Sequence[Mapping[Any, Any]]
    gaps: Sequence[Gap]

    @property
    def table(self) -> pd.DataFrame:
        """The lines as a table, made when asked: scenarios need the gaps alone."""
        return pd.DataFrame(self.lines, columns=[*LEVELS.names])


def level_evidence(
    credited: Credited, gene: Gene, settled: frozenset[str], tiers: Mapping[int, Tier]
) -> LevelEvidence:
    """Say what each level of one antigen means, and what it costs.

    A gene that a reference does not hold is ``not_measured`` there. A label without a value has
    no line: missing, never negative.

    Parameters
    ----------
    credited
        Levels with their tier rows.
    gene
        The antigen.
    settled
        Labels of the tier rows that enough cells of enough donors assess.
    tiers
        Thresholds of each tier.
    """
    references = credited.references
    at = list(credited.by_gene.get(gene.gene_id, ()))
    lines: list[Mapping[Any, Any]] = []
    gaps: list[Gap] = []
    records = references.levels.iloc[at].to_dict("records") if at else []
    for record, position in zip(records, at, strict=True):
        row = credited.rows[position]
        verdict, cost = _judged(record, row, references.settings, tiers)
        why = _counts_not(verdict, row, settled)
        if row is not None and why is None:
            gaps.append(Gap(row, None, cost, measured=False))
        lines.append(
            {
                **record,
                "tier_label": row.label if row else None,
                "tier": row.tier if row else None,
                "toxicity_class": row.toxicity_class if row else None,
                "verdict": verdict,
                "counts": why is None,
                "counts_not": why,
                "harm": cost if row else None,
                "evidence_kind": "level",
            }
        )
    lines += [
        _not_measured(references.levels, name)
        for name, held in sorted(references.measured.items())
        if gene.gene_id not in held
    ]
    return LevelEvidence(lines, gaps)


def _judged(
    record: Mapping[Any, Any], row: TierRow | None, settings: Levels, tiers: Mapping[int, Tier]
) -> tuple[str, float]:
    """Return the verdict of a level and what it would cost.

    RNA: ``weight · min(1, level / saturation CPM)``, the CPM term of the harm of a group (C4), on
    the lower bound of the level; ``concern`` from the saturation CPM, ``possible`` from the floor.
    Of a whole tissue only a share counts. Protein: medium and high count as saturated and are a
    ``concern``; low, or of an uncertain reliability, counts a share and is ``possible``.
    """
    limits = tiers[row.tier if row else UNCLASSIFIED_TIER]
    share = settings.whole_tissue_share if record["scope"] == "tissue" else 1.0
    if record["measure"] == "protein":
        level = record["protein_level"]
        if level == "not_detected":
            return "no_signal_insufficient", 0.0
        weak = record["reliability"] in settings.uncertain_reliability
        doubt = weak or level not in _SURE_PROTEIN
        part = settings.uncertain_protein_share if doubt else 1.0
        return ("possible" if doubt else "concern"), limits.weight * min(part, share)
    level = float(record["level_lower"])
    if float(record["level"]) < settings.floor:
        return "no_signal_insufficient", 0.0
    cost = harm(0.0, level, limits.saturation_fraction, limits.saturation_cpm, limits.weight)
    verdict = "concern" if level >= limits.saturation_cpm else "possible"
    return verdict, float(cost) * share


def _counts_not(verdict: str, row: TierRow | None, settled: frozenset[str]) -> str | None:
    """Return why a level costs nothing; None if it does."""
    if row is None:
        return NO_ROW
    if row.tolerated:
        return TOLERATED
    if row.label in settled:
        return SETTLED
    return NOTHING_SEEN if verdict == "no_signal_insufficient" else None


def _not_measured(levels: pd.DataFrame, reference: str) -> dict[str, Any]:
    """Return the line that says that a reference does not hold the gene."""
    return {
        "evidence_kind": "level",
        "reference": reference,
        "label": "(not in the reference)",
        "scope": "tissue",
        "tissue_id": "label:any tissue",
        "tissue": "any tissue",
        "cell_type_id": "label:whole tissue",
        "cell_type": "whole tissue",
        "verdict": "not_measured",
        "counts": False,
        "counts_not": "the reference does not hold the gene",
    }


def with_levels(toxicity: pd.DataFrame, levels: LevelEvidence) -> pd.DataFrame:
    """Lower the classes of ``score/toxicity`` for which a level knows worse.

    The factor takes the largest cost of the class; ``concern`` and ``possible`` replace a milder
    verdict. Harm of cells and penalty of reports stay as they are.

    Parameters
    ----------
    toxicity
        Rows of one antigen.
    levels
        Its levels.
    """
    counting = levels.table[levels.table["counts"].astype(bool)]
    if counting.empty:
        return toxicity
    changed = toxicity.copy()
    for name, own in counting.groupby("toxicity_class", sort=True):
        if name not in set(changed["toxicity_class"]):
            changed = pd.concat([changed, pd.DataFrame([_UNSEEN | {"toxicity_class": name}])])
            changed = changed.reset_index(drop=True)
        at = changed.index[changed["toxicity_class"] == name]
        left = 1.0 - float(own["harm"].max())
        changed.loc[at, "factor"] = np.minimum(changed.loc[at, "factor"], left)
        worst = min(own["verdict"], key=WORST_FIRST.index)
        for i in at:
            before = str(changed.loc[i, "verdict"])
            changed.loc[i, "verdict"] = min(before, worst, key=WORST_FIRST.index)
    return changed


def worst_level(
    healthy: Healthy, column: int, safety: Safety, gaps: Sequence[Gap], levels: LevelEvidence
) -> dict[str, Any]:
    """Name the level that costs most safety, if it costs more than any cells or report.

    Returns
    -------
    dict
        The columns ``worst_*`` of ``score/components``; empty if no level is the worst.
    """
    counting = levels.table[levels.table["counts"].astype(bool)]
    if counting.empty or safety.worst is None:
        return {}
    cells = float(healthy.harm[safety.worst, column])
    known = max((gap.penalty or 0.0 for gap in gaps), default=0.0)
    order = counting.sort_values(["harm", "reference", "label"], ascending=[False, True, True])
    worst = order.iloc[0]
    if float(worst["harm"]) <= max(cells, known):
        return {}
    return {
        "worst_cell_type": f"{worst['cell_type']} (level only)",
        "worst_tissue": worst["tissue"],
        "worst_tier": int(worst["tier"]),
        "worst_verdict": worst["verdict"],
    }


def level_note(levels: LevelEvidence) -> list[str]:
    """Return in words in which classes a level costs safety; nothing if in none."""
    counting = levels.table[levels.table["counts"].astype(bool)]
    if counting.empty:
        return []
    classes = sorted(set(counting["toxicity_class"]))
    return [f"levels without cells (references) count in {', '.join(classes)}"]


__all__ = [
    "Credited",
    "LevelEvidence",
    "References",
    "credit",
    "level_evidence",
    "level_note",
    "read_references",
    "with_levels",
    "worst_level",
]
