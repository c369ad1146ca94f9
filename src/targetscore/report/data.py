"""What a report is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from targetscore.config.models import Indication, Scoring
from targetscore.contracts_levels import LEVELS

if TYPE_CHECKING:
    from targetscore.knowledge import Knowledge


def holds_simulated(ranking: pd.DataFrame) -> bool:
    """Say whether a ranking rests on invented cells."""
    return bool((ranking["data"] == "SIMULATED").any())


@dataclass(frozen=True)
class ReportData:
    """Everything one report draws; the tables keep the contracts of the same name.

    Attributes
    ----------
    name
        Slug of the indication.
    indication
        The question, the disease and the tolerated lineages.
    evidence, toxicity, coverage, shedding, components, ranking, robustness, outranks
        Score tables, see :mod:`targetscore.contracts`.
    knowledge
        Curated tables, one data frame each.
    scoring
        Parameters and weights of the score.
    atlases
        One summary per atlas: atlas, kind, simulated, version, url, sha256, licence, doi,
        note, n_cells, n_cells_kept, rejected, n_genes, genes_by_resolution, n_genes_masked,
        malignancy_method, populations, unmapped_cell_types; clones where light chains were
        called; quality and contamination as ``assess_samples`` sums them up.
    provenance
        package_versions, code_fingerprint, config_digest.
    levels, references
        Contract ``score/levels`` and a summary per aggregated reference; none without them.
    """

    name: str
    indication: Indication
    evidence: pd.DataFrame
    toxicity: pd.DataFrame
    coverage: pd.DataFrame
    shedding: pd.DataFrame
    components: pd.DataFrame
    ranking: pd.DataFrame
    robustness: pd.DataFrame
    outranks: pd.DataFrame
    knowledge: Knowledge
    scoring: Scoring
    atlases: Sequence[Mapping[str, Any]]
    provenance: Mapping[str, Any]
    levels: pd.DataFrame = field(default_factory=LEVELS.empty)
    references: Sequence[Mapping[str, Any]] = ()

    @property
    def simulated(self) -> bool:
        """Whether any cell behind the report was invented."""
        return any(a["simulated"] for a in self.atlases) or holds_simulated(self.ranking)


@dataclass(frozen=True)
class IndexEntry:
    """One report in the index: its slug, title and ranking."""

    name: str
    title: str
    ranking: pd.DataFrame

    @property
    def simulated(self) -> bool:
        """Whether any cell behind the report was invented."""
        return holds_simulated(self.ranking)
