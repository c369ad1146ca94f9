"""How sure it is that an antigen stands on the cell surface (C6)."""

from __future__ import annotations

import pandas as pd

CLINICAL = {"binder": 0.95, "tce": 0.8, "none": 0.0}
CSPA = {"high": 0.85, "putative": 0.5, "none": 0.0}
GO = {"experimental": 0.6, "other": 0.35, "none": 0.0}
UNIPROT = 0.35
HPA = 0.6
SURFY = 0.6
SINGLE_VOTE_CAP = 0.2
_INSIDE = ("not_membrane", "intracellular", "er_", "secreted", "nuclear", "cytoplasmic")
_UNRESOLVED = "unresolved"


def surface_confidence(
    *,
    topology: str,
    tm_helices: float,
    clinical_binder: str,
    cspa: str,
    uniprot: bool,
    go: str,
    hpa: bool,
    surfy_score: float,
) -> float:
    """Combine the sources as if they were independent: ``1 − prod(1 − r)``.

    The reliabilities r are choices of this project and the sources are not independent: use
    the result as a filter, not to rank.

    Parameters
    ----------
    topology
        For example ``type_I``, ``GPI``, ``7-TM_multipass``, ``not_membrane``.
    tm_helices
        Membrane helices; NaN if unknown.
    clinical_binder
        ``binder`` to the ectodomain (0.95), ``tce`` T-cell engager (0.8) or ``none``.
    cspa
        Cell Surface Protein Atlas: ``high`` 0.85, ``putative`` 0.5, ``none``.
    uniprot, hpa
        Cell membrane in UniProt (0.35) and in the Human Protein Atlas (0.6).
    go
        Gene Ontology: ``experimental`` 0.6, ``other`` 0.35, ``none``.
    surfy_score
        SURFY score 0–1, weighed by 0.6; NaN if SURFY does not call it.

    Returns
    -------
    float
        0–1. 0 for a protein without a membrane anchor; at most 0.2 with a single database
        vote and no clinical binder, or where the topology is unresolved and only one votes.
    """
    place = topology.casefold()
    unresolved = _UNRESOLVED in place
    anchored = pd.notna(tm_helices) and tm_helices > 0
    if place.startswith(_INSIDE) and not unresolved and not anchored:
        return 0.0
    surfy = SURFY * surfy_score if pd.notna(surfy_score) else 0.0
    databases = (CSPA[cspa], UNIPROT * uniprot, GO[go], HPA * hpa, surfy)
    doubt = 1.0 - CLINICAL[clinical_binder]
    for reliability in databases:
        doubt *= 1.0 - reliability
    single = sum(r > 0 for r in databases) <= 1
    capped = single and (unresolved or clinical_binder == "none")
    return min(1.0 - doubt, SINGLE_VOTE_CAP) if capped else 1.0 - doubt
