"""Labels of published atlases: each reviewed row leads to a current term and hides no name."""

import csv
from pathlib import Path

import pytest
from cellxgene_ontology_guide.ontology_parser import OntologyParser

from targetscore import ontology

FILE = Path(ontology.__file__).with_name("ontology_labels.tsv")
ROWS = list(
    csv.DictReader(
        (line for line in FILE.read_text().splitlines() if not line.startswith("#")),
        delimiter="\t",
    )
)


def test_every_row_is_well_formed():
    assert len({(r["ontology"], r["label"]) for r in ROWS}) == len(ROWS)
    for row in ROWS:
        assert ontology.is_term(row["term"], row["ontology"]), row
        assert row["label"] == row["label"].casefold().strip(), row
        assert row["source"], row
        assert row["status"] in ("design", "prior knowledge", "verified"), row
        assert ontology.find(row["label"].upper(), row["ontology"]) == row["term"]


@pytest.mark.parametrize("of", ["CL", "UBERON"])
def test_no_label_hides_the_name_of_another_term(of):
    names = OntologyParser().get_term_label_to_id_map(of)
    folded = {name.casefold(): term for name, term in names.items()}
    for row in ROWS:
        if row["ontology"] == of:
            assert folded.get(row["label"], row["term"]) == row["term"], row


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("T cells", "T cell"),
        ("Plasma_cells", "plasma cell"),
        ("plasma.cell", "plasma cell"),
        ("CD14+ Monocytes", "CD14-positive monocyte"),
        ("CD16+ Monocytes", "non-classical monocyte"),
        ("NK", "natural killer cell"),
        ("Kupffer cells", "Kupffer cell"),
        ("cDC2", "CD1c-positive myeloid dendritic cell"),
        ("hepatocytes", "hepatocyte"),
    ],
)
def test_labels_that_atlases_carry(label, name):
    found = ontology.find(label, "CL")
    assert found == OntologyParser().get_term_label_to_id_map("CL")[name]


@pytest.mark.parametrize("label", ["PC", "cluster 7", "doublets", "LMPP", "Mac", "plasma cel", "s"])
def test_what_nobody_can_say_is_not_mapped(label):
    assert ontology.find(label, "CL") is None
