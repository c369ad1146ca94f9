"""Who is diseased: malignancy calls, lineages and healthy donors."""

from __future__ import annotations

import pandas as pd

from targetscore import ontology
from targetscore.config import AtlasRow
from targetscore.errors import AtlasError, Problem, listed, near_matches, plain, raise_all
from targetscore.ingest.columns import by_value

_MALIGNANT = frozenset({"malignant", "tumour", "tumor", "neoplastic", "true", "1", "yes"})
_NORMAL = frozenset({"normal", "non-malignant", "nonmalignant", "healthy", "false", "0", "no"})
_UNCLEAR = frozenset({"unclear", "uncertain", "unknown", "undetermined", "ambiguous"})


def lineage_terms(row: AtlasRow, registry: str) -> list[str]:
    """Return the Cell Ontology ids of the lineage a registry row names.

    Raises
    ------
    AtlasError
        If a name is not in the ontology; near matches are offered.
    """
    terms, problems = [], []
    for name in (n.strip() for n in row.lineage.split(";") if n.strip()):
        term = ontology.find(name, "CL")
        if term is None:
            near = listed(ontology.suggest(name, "CL")) or "none"
            problems.append(
                Problem(
                    registry,
                    f"{row.atlas}, column lineage",
                    f"'{plain(name)}' is no Cell Ontology term",
                    f"names that look alike: {near}",
                )
            )
        else:
            terms.append(term)
    raise_all(AtlasError, problems)
    return terms


def populations(
    row: AtlasRow,
    labels: pd.DataFrame,
    table: pd.DataFrame,
    healthy: pd.Series,
    location: str,
    registry: str,
) -> tuple[pd.Series, str]:
    """Return each cell's population; ``malignancy_unclear`` where nobody can say."""
    lineage = lineage_terms(row, registry)
    in_lineage = by_value(labels["cell_type_id"], lambda t: ontology.is_a(t, lineage)).astype(bool)
    population = pd.Series("microenvironment", index=labels.index, dtype=object)
    population[healthy] = "healthy"
    patients = ~healthy
    if not patients.any():
        return population, "none"
    if row.malignancy in ("", "=lineage"):
        if not lineage:
            raise AtlasError.one(
                registry,
                f"{row.atlas}, column malignancy",
                "patients' cells are there, but nothing says which are diseased",
                "name the column with malignant/normal calls, or write =lineage and the cell "
                "types of the disease in the column lineage",
            )
        population[patients & in_lineage] = "diseased"
        return population, "lineage" if row.malignancy else "unseparated"
    if row.malignancy not in table.columns:
        near = near_matches(row.malignancy, table.columns)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise AtlasError.one(
            registry,
            f"{row.atlas}, column malignancy",
            f"the atlas has no column '{plain(row.malignancy)}'",
            f"{hint}its columns are: {listed(table.columns, 20)}",
        )
    values = table[row.malignancy].astype(object)
    calls = values.where(values.notna(), "").astype(str).str.strip().str.casefold()
    odd = sorted(set(calls[patients]) - _MALIGNANT - _NORMAL - _UNCLEAR - {"", "nan"})
    if odd:
        raise AtlasError.one(
            location,
            row.malignancy,
            f"calls that are not understood: {listed(odd)}",
            "write malignant, normal or unclear (a cell_labels table can replace the column)",
        )
    malignant = patients & calls.isin(_MALIGNANT)
    normal = patients & calls.isin(_NORMAL)
    population[malignant] = "diseased"
    population[normal & in_lineage] = "normal_counterpart"
    unclear = patients & ~malignant & ~normal & (in_lineage | calls.isin(_UNCLEAR))
    population[unclear] = "malignancy_unclear"
    return population, "annotation"
