"""Publisher's cell type labels as Cell Ontology terms: found, chosen, or listed for review."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

from targetscore import ontology
from targetscore.config import read_tsv
from targetscore.config.edit import field_text
from targetscore.errors import AtlasError, ConfigError, Problem, plain, raise_all

__all__ = [
    "Label",
    "label_map_text",
    "map_labels",
    "near_terms",
    "read_map",
    "spelt_terms",
    "unmapped",
]

_SEARCHED = 100
_NEAR = 3
_FORMULA = ("=", "+", "-", "@")


@dataclass(frozen=True)
class Label:
    """A label of the publisher.

    Attributes
    ----------
    text
        As the atlas has it.
    n_cells
        Cells that carry it.
    term
        Its Cell Ontology id; empty if nobody has said.
    how
        ``term`` (an id, name or synonym of the ontology), ``given``, or empty.
    near
        Ids of terms that look alike, best first; for labels without a term.
    """

    text: str
    n_cells: int
    term: str
    how: str
    near: tuple[str, ...] = ()

    @property
    def writable(self) -> bool:
        """Whether a line of a table can hold it: visible text, and no spreadsheet formula."""
        return self.text.isprintable() and not self.text.startswith(_FORMULA)

    def __str__(self) -> str:
        near = ", ".join(f"{ontology.label(t)} {t}" for t in self.near)
        also = f"; looks like {near}" if near else ""
        broken = "" if self.writable else "; cannot stand in a table: rename it in the file"
        return f"{plain(self.text, 60)} ({self.n_cells:,} cells{also}{broken})"


def map_labels(values: pd.Series, given: Mapping[str, str]) -> list[Label]:
    """Map labels to the Cell Ontology, most frequent first.

    Parameters
    ----------
    values
        Label of each cell.
    given
        Terms (ids or names) the user gave to labels.

    Raises
    ------
    ConfigError
        With every given label the atlas does not hold, and every given term that is none.
    """
    texts = values.astype(object).where(values.notna(), "").astype(str).str.strip()
    counts = texts[texts != ""].value_counts().sort_index()
    counts = counts.sort_values(ascending=False, kind="stable")
    terms = _given_terms(given, counts.index)
    labels = []
    for rank, (text, n) in enumerate(counts.items()):
        found = ontology.find(str(text), "CL")
        if text in terms:
            labels.append(Label(str(text), int(n), terms[text], "given"))
        elif found:
            labels.append(Label(str(text), int(n), found, "term"))
        else:
            near = tuple(near_terms(str(text))) if rank < _SEARCHED else ()
            labels.append(Label(str(text), int(n), "", "", near))
    return labels


def _given_terms(given: Mapping[str, str], known: Iterable[object]) -> dict[str, str]:
    here = {str(k) for k in known}
    terms, problems = {}, []
    for text, name in given.items():
        place = f"--label {plain(text)}={plain(name)}"
        term = ontology.find(name, "CL")
        if text not in here:
            remedy = f"labels of the atlas: {', '.join(plain(k, 40) for k in sorted(here)[:20])}"
            problems.append(Problem("command line", place, "no cell has this label", remedy))
        elif term is None:
            near = ", ".join(ontology.suggest(name, "CL")) or "none"
            wrong = f"'{plain(name)}' is no Cell Ontology term"
            problems.append(Problem("command line", place, wrong, f"names that look alike: {near}"))
        else:
            terms[text] = term
    raise_all(ConfigError, problems)
    return terms


def near_terms(label: str) -> list[str]:
    """Return terms a label may mean, best first: those it spells, then those that look alike."""
    spelt = spelt_terms(label)
    alike = [ontology.find(t, "CL") for t in ontology.suggest(_spaced(label), "CL")]
    return list(dict.fromkeys([*spelt, *(t for t in alike if t)]))[:_NEAR]


@lru_cache(maxsize=65536)
def spelt_terms(label: str) -> tuple[str, ...]:
    """Return terms a label spells in its own way: without spaces or ``cell``, with ``-like``."""
    spaced = _spaced(label)
    singular = re.sub(r"s$", "", spaced)
    forms = [spaced, f"{singular} cell", re.sub(r"(?i)\bcells?$", "", spaced).strip()]
    found = [ontology.find(form, "CL") for form in forms if form]
    return tuple(dict.fromkeys(t for t in found if t))


def _spaced(label: str) -> str:
    # A malignant cell is named after the one it is like.
    label = re.sub(r"(?i)(?<=\w)[- _]like$", "", label)
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|[_./]+", " ", label)
    spaced = re.sub(r"(?i)\b(b|t|nk)(cells?)\b", r"\1 \2", spaced)
    return re.sub(r"\s+", " ", spaced).strip()


def unmapped(labels: Iterable[Label]) -> list[Label]:
    """Return the labels without a term."""
    return [label for label in labels if not label.term]


def read_map(path: str) -> dict[str, str]:
    """Read the terms of a label map a user has already."""
    column = "cell_type_ontology_term_id"
    return {r["label"]: r[column] for r in read_tsv(path, AtlasError, ("label", column))}


def label_map_text(name: str, labels: Iterable[Label]) -> str:
    """Return the label map of an atlas as TSV; what is unmapped stands in it for review.

    Parameters
    ----------
    name
        Name of the atlas.
    labels
        All its labels.
    """
    return "".join(line + "\n" for line in _lines(name, list(labels)))


def _lines(name: str, labels: list[Label]) -> Iterator[str]:
    yield f"# Cell types of the atlas {name} as Cell Ontology terms. Review every line."
    yield "label\tcell_type_ontology_term_id\tcell_type\tn_cells\thow"
    for label in labels:
        if label.term and label.writable:
            fields = (label.text, label.term, ontology.label(label.term), label.n_cells, label.how)
            yield "\t".join(field_text(f) for f in fields)
    missing = unmapped(labels)
    if not missing:
        return
    yield "# Not mapped: these cells keep the publisher's name and are credited to no tissue row."
    yield "# Write the term (an id or a name) as the second field and take '# ' away to map one."
    for label in missing:
        if label.writable:
            near = " or ".join(f"{ontology.label(t)} {t}" for t in label.near)
            looks = f"looks like {near}" if near else "nothing looks like it"
            yield f"# {field_text(label.text)}\t\t\t{label.n_cells}\t{looks}"
        else:
            yield f"# {label}"
