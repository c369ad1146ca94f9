"""What CELLxGENE files say of cells that are no evidence of human tissue as it is in a body.

The columns are those of the CELLxGENE schema, versions 5 to 7
(github.com/chanzuckerberg/single-cell-curation); other atlases may hold them too.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from targetscore import ontology
from targetscore.errors import AtlasError, listed
from targetscore.ingest.columns import by_value

__all__ = ["refuse_other_species", "unusable"]

_HUMAN = frozenset({"ncbitaxon:9606", "homo sapiens", "homo_sapiens", "human", "h. sapiens", ""})
_ORGANISM = ("organism_ontology_term_id", "organism", "species", "Species")
_CULTURED = (" (organoid)", " (cell culture)")
_NO_TISSUE = frozenset({"organoid", "cell culture", "primary cell culture", "cell line"})
_PERTURBED = ("genetic_perturbation_strategy", "perturbation_types")
_AS_IT_WAS = frozenset({"no perturbations", "control", "na", "none", "nan", ""})


def _texts(table: pd.DataFrame, column: str) -> pd.Series:
    values = table[column].astype(object)
    return values.where(values.notna(), "").astype(str).str.strip()


def _not_human(table: pd.DataFrame) -> tuple[pd.Series, pd.Series] | None:
    column = next((c for c in _ORGANISM if c in table.columns), None)
    if column is None:
        return None
    organism = _texts(table, column)
    return ~organism.str.casefold().isin(_HUMAN), organism


def refuse_other_species(table: pd.DataFrame, location: str) -> None:
    """Refuse an atlas none of whose cells is human.

    Raises
    ------
    AtlasError
        If the cell table names other organisms only.
    """
    found = _not_human(table)
    if found is not None and len(table) and found[0].all():
        others = listed(sorted(set(found[1])))
        remedy = "targetscore reads human atlases; look for one of human cells"
        raise AtlasError.one(location, "organism", f"its cells are not human ({others})", remedy)


def unusable(
    table: pd.DataFrame, labels: pd.DataFrame, healthy: pd.Series
) -> Iterator[tuple[pd.Series, str, pd.Series]]:
    """Yield which cells cannot be used, the reason, and the value of each cell that led to it.

    Parameters
    ----------
    table
        All columns of the cells.
    labels
        One column per label; ``cell_type_id`` and ``tissue`` are read.
    healthy
        Cells of healthy donors.
    """
    found = _not_human(table)
    if found is not None:
        yield found[0], "other_organism", found[1]
    if "tissue_type" in table.columns:
        kind = _texts(table, "tissue_type")
        folded = kind.str.casefold()
        # Elsewhere the column may say tumour or normal: what is unknown counts as no tissue only
        # under the schema.
        of_schema = "tissue_ontology_term_id" in table.columns
        odd = ~folded.isin(["tissue", ""]) if of_schema else folded.isin(_NO_TISSUE)
        yield odd, "not_tissue", kind
    tissue = labels["tissue"].astype(str)
    yield tissue.str.casefold().str.endswith(_CULTURED), "not_tissue", tissue
    for column in _PERTURBED:
        if column in table.columns:
            done = _texts(table, column)
            yield ~done.str.casefold().isin(_AS_IT_WAS), "perturbed", done
    malignant = by_value(
        labels["cell_type_id"], lambda term: ontology.is_a(term, [ontology.MALIGNANT_CELL])
    ).astype(bool)
    yield malignant & healthy, "malignant_in_healthy_donor", labels["cell_type_id"]
