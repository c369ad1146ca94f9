"""Label tables, label maps and registry rows beside a good file."""

from collections.abc import Callable
from pathlib import Path

from hostile.good import Case, h5ad


def labelled(name: str, text: str | bytes, **fields: str) -> Callable[[Path], dict[str, str]]:
    """Write a good h5ad file and a label table beside it."""

    def make(folder: Path) -> dict[str, str]:
        h5ad()(folder)
        raw = text if isinstance(text, bytes) else text.encode()
        (folder / "t.tsv").write_bytes(raw)
        return {name: str(folder / "t.tsv"), **fields}

    return make


_TERM = "label\tcell_type_ontology_term_id\n"


CASES = [
    Case(
        "labels: no such file",
        lambda folder: h5ad()(folder) or {"cell_labels": str(folder / "no.tsv")},
        "no.tsv",
    ),
    Case("labels: empty", labelled("cell_labels", ""), "is empty"),
    Case("labels: not UTF-8", labelled("cell_labels", b"cell\tx\n\xff\xfe\n"), "cannot be read"),
    Case(
        "labels: other key",
        labelled("cell_labels", "barcode\tx\nA\t1\n"),
        "is no column of the cells",
    ),
    Case(
        "labels: one cell only",
        labelled("cell_labels", "cell\tx\ncell0\t1\n"),
        "59 of 60 cells have no line",
    ),
    Case(
        "labels: key twice",
        labelled("cell_labels", "donor_id\tx\nP1\t1\nP1\t2\n"),
        "values repeat: P1",
    ),
    Case(
        "labels: ragged",
        labelled("cell_labels", "donor_id\tx\nP1\t1\t2\n"),
        "3 fields where the header has 2",
    ),
    Case(
        "labels: column twice",
        labelled("cell_labels", "donor_id\tx\tx\nP1\t1\t2\n"),
        "columns repeat: x",
    ),
    Case(
        "map: no such term",
        labelled("label_map", _TERM + "T cell\tCL:9999999\n"),
        "is no Cell Ontology term",
    ),
    Case(
        "map: misspelt name", labelled("label_map", _TERM + "T cell\tplasma cel\n"), "plasma cell"
    ),
    Case(
        "map: two terms for a label",
        labelled("label_map", _TERM + "T cell\tCL:0000084\nT cell\tCL:0000236\n"),
        "is mapped to",
    ),
    Case(
        "map: other columns",
        labelled("label_map", "label\tterm\nT cell\tCL:0000084\n"),
        "the column is missing",
    ),
    Case(
        "map: a tissue as a cell type",
        labelled("label_map", _TERM + "T cell\tUBERON:0002371\n"),
        "is no Cell Ontology term",
    ),
    Case(
        "row: column that is not there",
        lambda folder: h5ad()(folder) or {"donor": "patient"},
        "has no column 'patient'",
    ),
    Case(
        "row: matrix that is not there",
        lambda folder: h5ad()(folder) or {"counts": "layers/raw"},
        "no such matrix",
    ),
    Case(
        "row: lineage misspelt",
        lambda folder: h5ad()(folder) or {"lineage": "plasma cel"},
        "is no Cell Ontology term",
    ),
    Case(
        "row: light chains not measured",
        lambda folder: h5ad()(folder) or {"malignancy": "=light_chain"},
        "IGKC",
    ),
]
