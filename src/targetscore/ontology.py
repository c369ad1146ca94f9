"""Cell types, tissues and diseases: names, ids and ancestors, offline.

The ontologies are those shipped with ``cellxgene-ontology-guide`` (Cell Ontology, UBERON,
MONDO), so a run needs no network and a release of the package pins their versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from targetscore.errors import near_matches

NORMAL = "PATO:0000461"
MALIGNANT_CELL = "CL:0001064"
SEVERAL = " || "
"""Stands between the diseases of a donor who has several."""

_PLURAL = re.compile(r"(?<=[^s])s$")
_NAMES_OF_NORMAL = frozenset({"normal", "healthy", NORMAL.casefold()})


@lru_cache(maxsize=1)
def _parser() -> Any:
    from cellxgene_ontology_guide.ontology_parser import OntologyParser

    return OntologyParser()


@lru_cache(maxsize=8)
def _ids_by_name(ontology: str) -> dict[str, str]:
    """Map folded names, then synonyms that are unambiguous, to term ids."""
    parser = _parser()
    names: dict[str, str] = {}
    synonyms: dict[str, set[str]] = {}
    for term in parser.get_term_label_to_id_map(ontology).items():
        names.setdefault(term[0].casefold(), term[1])
    for name, term_id in list(names.items()):
        for synonym in parser.get_term_synonyms(term_id):
            folded = synonym.casefold()
            if folded not in names or names[folded] == term_id:
                synonyms.setdefault(folded, set()).add(term_id)
        synonyms.setdefault(name, set()).add(term_id)
    return {s: next(iter(ids)) for s, ids in synonyms.items() if len(ids) == 1} | names


@lru_cache(maxsize=8)
def _reviewed(ontology: str) -> dict[str, str]:
    """Map the folded labels of published atlases that were looked at to term ids."""
    lines = Path(__file__).with_name("ontology_labels.tsv").read_text(encoding="utf-8").splitlines()
    rows = (line.split("\t") for line in lines if not line.startswith("#"))
    return {row[1]: row[2] for row in rows if row[0] == ontology}


def is_term(term_id: str, ontology: str) -> bool:
    """Tell whether an id such as ``CL:0000786`` is a current term of ``CL`` or ``UBERON``."""
    try:
        return bool(_parser().is_valid_term_id(term_id, ontology)) and not is_deprecated(term_id)
    except KeyError:  # of the right form, and no term
        return False


@lru_cache(maxsize=65536)
def is_deprecated(term_id: str) -> bool:
    """Tell whether an ontology has retired a term."""
    return bool(_parser().is_term_deprecated(term_id))


def find(text: str, ontology: str) -> str | None:
    """Return the term id of an id, a name or an unambiguous synonym; None if there is none.

    Labels of ``ontology_labels.tsv`` come first; then nothing is guessed but the singular.

    Parameters
    ----------
    text
        For example ``CL:0000786`` or ``plasma cell``; case does not matter in names, ``_`` and
        ``.`` count as spaces, and a plural (``plasma cells``) as its singular.
    ontology
        ``CL``, ``UBERON`` or ``MONDO``.
    """
    text = text.strip()
    if text.startswith(f"{ontology}:"):
        return text if is_term(text, ontology) else None
    spaced = " ".join(re.sub(r"[_.]", " ", text).split()).casefold()
    for name in dict.fromkeys((text.casefold(), spaced, _PLURAL.sub("", spaced))):
        for known in (_reviewed(ontology), _ids_by_name(ontology)):
            if name in known:
                return known[name]
    return None


def suggest(text: str, ontology: str) -> list[str]:
    """Return names of an ontology that look like a misspelt one, best first."""
    return near_matches(text, _ids_by_name(ontology))


@lru_cache(maxsize=65536)
def label(term_id: str) -> str:
    """Return the name of a term, or the text after ``label:`` of an unmapped one."""
    if term_id.startswith("label:"):
        return term_id.removeprefix("label:")
    return str(_parser().get_term_label(term_id))


@lru_cache(maxsize=65536)
def ancestors(term_id: str) -> frozenset[str]:
    """Return a term and everything it is a kind or a part of; an unmapped one only itself."""
    if term_id.startswith("label:"):
        return frozenset({term_id})
    return frozenset({term_id, *_parser().get_term_ancestors(term_id)})


def distance(term_id: str, ancestor: str) -> int:
    """Return the number of steps from a term up to an ancestor; a large number if it is none."""
    if term_id == ancestor:
        return 0
    found = _parser().get_term_ancestors_with_distances(term_id).get(ancestor)
    return 10_000 if found is None else int(found)


def is_a(term_id: str, any_of: Iterable[str]) -> bool:
    """Tell whether a term is one of some terms or a descendant of one."""
    return not ancestors(term_id).isdisjoint(any_of)


def diseases(text: str) -> frozenset[str]:
    """Return what a disease label stands for: MONDO ids where known, else the folded words.

    Parameters
    ----------
    text
        An id or name, or several joined by :data:`SEVERAL`.
    """
    parts = (part.strip() for part in text.split(SEVERAL.strip()))
    return frozenset(find(part, "MONDO") or part.casefold() for part in parts if part)


def is_normal(disease: str) -> bool:
    """Tell whether a disease id or label means healthy (exactly PATO:0000461, or its name)."""
    return disease.strip().casefold() in _NAMES_OF_NORMAL
