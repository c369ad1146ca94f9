"""Who is a patient, who is healthy, and which lineages may be lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from targetscore import ontology
from targetscore.config import Indication
from targetscore.errors import ConfigError, Problem, listed, raise_all
from targetscore.libraries import bin_centres

STRATUM = ("suspension", "assay_class")
PATIENT = ("atlas", "donor")
GROUP = ("tissue_id", "cell_type_id", "suspension", "assay_class")


@dataclass(frozen=True)
class Lineages:
    """Cell Ontology ids an indication names; descendants count too."""

    diseased: frozenset[str]
    counterpart: frozenset[str]
    tolerated: frozenset[str]


def lineages(indication: Indication) -> Lineages:
    """Look up the cell types an indication names.

    Returns
    -------
    Lineages
        ``tolerated`` holds the tolerated lineages and the normal counterpart.

    Raises
    ------
    ConfigError
        With every name the Cell Ontology does not have.
    """
    named = {
        "diseased": indication.diseased.cell_types,
        "normal_counterpart": getattr(indication.normal_counterpart, "cell_types", []),
        "tolerated": indication.tolerated.cell_types,
    }
    problems: list[Problem] = []
    found: dict[str, frozenset[str]] = {}
    for place, names in named.items():
        terms = {name: ontology.find(name, "CL") for name in names}
        for name in (n for n, term in terms.items() if term is None):
            near = ontology.suggest(name, "CL")
            hint = f"did you mean {listed(near)}? " if near else ""
            problems.append(
                Problem(
                    f"indication '{indication.title}'",
                    f"{place}.cell_types",
                    f"the Cell Ontology has no '{name}'",
                    f"{hint}write a CL id or a Cell Ontology name",
                )
            )
        found[place] = frozenset(t for t in terms.values() if t is not None)
    raise_all(ConfigError, problems)
    counterpart = found["normal_counterpart"]
    return Lineages(found["diseased"], counterpart, found["tolerated"] | counterpart)


def _of_disease(values: pd.Series, wanted: Sequence[str]) -> pd.Series:
    """Tell which donors have one of some diseases, maybe beside others."""
    asked = [ontology.diseases(name) for name in wanted]

    def matches(value: str) -> bool:
        has = ontology.diseases(value)
        return any(all_of <= has for all_of in asked)

    return values.map({value: matches(value) for value in values.unique()})


def patient_groups(
    groups: pd.DataFrame, indication: Indication, diseased: frozenset[str]
) -> pd.DataFrame:
    """Return the groups of patients' diseased cells.

    Parameters
    ----------
    groups
        Groups of all atlases.
    indication
        Names the atlases, diseases and cell types to keep.
    diseased
        Ids of those cell types; empty keeps all.
    """
    kept = groups[
        groups["atlas"].isin(indication.diseased.atlases) & (groups["population"] == "diseased")
    ]
    if indication.diseased.disease:
        kept = kept[_of_disease(kept["disease"], indication.diseased.disease).astype(bool)]
    if diseased:
        kept = kept[[ontology.is_a(c, diseased) for c in kept["cell_type_id"]]]
    return kept


def companions(groups: pd.DataFrame, patients: pd.DataFrame, population: str) -> pd.DataFrame:
    """Return the groups of another population of the same patients."""
    who = pd.MultiIndex.from_frame(patients[list(PATIENT)])
    same = pd.MultiIndex.from_frame(groups[list(PATIENT)]).isin(who)
    return groups[same & (groups["population"] == population)]


def largest_stratum(patients: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Keep each patient's best-measured kind of preparation: detection is never pooled over two.

    Returns
    -------
    kept, left_out
        Groups of the suspension and assay class with most cells of each patient (the first
        by name if equal), and the others.
    """
    keys = [*PATIENT, *STRATUM]
    sizes = patients.groupby(keys, sort=True)["n_cells"].sum().reset_index()
    best = sizes.sort_values("n_cells", ascending=False, kind="stable").drop_duplicates(
        list(PATIENT)
    )
    use = pd.MultiIndex.from_frame(patients[keys]).isin(pd.MultiIndex.from_frame(best[keys]))
    return patients[use], patients[~use]


def library_histograms(
    groups: pd.DataFrame, units: pd.DataFrame
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return library sizes (UMI) and cells of each size, per patient in the order of ``units``."""
    pooled: dict[tuple[str, str], dict[int, int]] = {}
    for row in groups.to_dict("records"):
        bins = pooled.setdefault((row["atlas"], row["donor"]), {})
        for code, cells in zip(row["library_bin"], row["library_cells"], strict=True):
            bins[int(code)] = bins.get(int(code), 0) + int(cells)
    histograms = []
    for key in zip(units["atlas"], units["donor"], strict=True):
        bins = dict(sorted(pooled[key].items()))
        histograms.append((bin_centres(list(bins)), np.array(list(bins.values()), np.float64)))
    return histograms


def healthy_groups(groups: pd.DataFrame, indication: Indication) -> pd.DataFrame:
    """Return the groups of healthy donors in the indication's healthy atlases.

    Cells of patients, also those called normal, are never healthy evidence.
    """
    return groups[
        groups["atlas"].isin(indication.healthy.atlases) & (groups["population"] == "healthy")
    ]


def group_names(groups: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return one name per tissue and cell type id: the ontology's, else the first of the data."""
    names: dict[str, dict[str, str]] = {}
    for column in ("tissue", "cell_type"):
        first = groups.groupby(f"{column}_id", sort=True)[column].min()
        names[column] = {
            term: ontology.label(term) if term.startswith(("CL:", "UBERON:")) else name
            for term, name in zip(first.index.astype(str), first.astype(str), strict=True)
        }
    return names
