"""Aggregated references as published: read as a plain loop reads them, and known biology holds."""

import csv
import gzip
from pathlib import Path

import pandas as pd
import pytest

from targetscore.config import AtlasRow
from targetscore.genes import load_genes
from targetscore.ingest.references import ingest_reference

pytestmark = [pytest.mark.realdata, pytest.mark.xdist_group("references")]
HPA, HCA = "config/labels/hpa_labels.tsv", "config/labels/pooled_cell_types.tsv"
BCMA, SDC1, GPRC5D = "ENSG00000048462", "ENSG00000115884", "ENSG00000111291"
SYMBOLS = {BCMA: "TNFRSF17", SDC1: "SDC1", GPRC5D: "GPRC5D"}
REFERENCES = {
    "tissue": ("hpa/RNAtableTissue.tsv.gz", {"unit": "NX", "tissue": "*", "n_donors": "3"}),
    "blood": ("hpa/RNAtableBlood.tsv.gz", {"unit": "NX", "cell_type": "*"}),
    "consensus": (
        "hpa/rna_tissue_consensus.tsv.gz",
        {"unit": "nTPM", "tissue": "Tissue", "counts": "nTPM"},
    ),
    "gtex": ("hpa/gtex_tissue_ntpm.tsv.gz", {"unit": "nTPM", "tissue": "*"}),
    "protein": (
        "hpa/normal_tissue_ihc.tsv.gz",
        {"unit": "protein", "tissue": "tissue", "cell_type": "cell_type", "counts": "level"},
    ),
    "pooled": (
        "pooled_references/pooled_counts_by_cell_type.tsv.gz",
        {"unit": "counts", "cell_type": "*", "label_map": HCA},
    ),
    "landscape": (
        "pooled_references/hcl_mean_expression.tsv.gz",
        {
            "unit": "counts",
            "cell_type": "*",
            "tissue": "*",
            "label_map": "config/labels/hcl_labels.tsv",
        },
    ),
}


@pytest.fixture(scope="module")
def read(realdata: Path, repository: Path):
    """Ingest a reference once: its levels of three antigens, and its summary."""
    genes = load_genes(
        str(repository / "config/knowledge"),
        str(realdata / "surface/protein_coding_genes.tsv.gz"),
    )
    done = {}

    def run(name):
        if name not in done:
            file, fields = REFERENCES[name]
            base = {"kind": "reference", "format": "level_table", "version": "1", "licence": "x"}
            row = base | {"atlas": name, "url": str(realdata / file), "label_map": HPA} | fields
            row["label_map"] = str(repository / row["label_map"])
            found = ingest_reference(AtlasRow.model_validate(row), row["url"], genes, "test")
            own = found.levels[found.levels["gene_id"].isin(SYMBOLS)]
            done[name] = own.reset_index(drop=True), found.summary
        return done[name]

    return run


def highest(levels: pd.DataFrame, gene: str, n: int = 3) -> list[str]:
    own = levels[levels["gene_id"] == gene].sort_values("level", ascending=False)
    return own["label"].astype(str).tolist()[:n]


def plain_levels(path: Path, key: str) -> dict[str, dict[str, str]]:
    """The antigens' rows of a wide table, read line by line."""
    with gzip.open(path, "rt") as stream:
        rows = csv.DictReader(stream, delimiter="\t")
        names = {*SYMBOLS, *SYMBOLS.values()}
        return {row[key]: row for row in rows if row[key] in names}


@pytest.mark.parametrize(
    ("name", "key"), [("tissue", "GeneID"), ("blood", "GeneID"), ("gtex", "ensembl_gene_id")]
)
def test_wide_tables_equal_a_plain_loop(read, realdata, name, key):
    levels, summary = read(name)
    plain = plain_levels(realdata / REFERENCES[name][0], key)
    seen = 0
    for row in levels.to_dict("records"):
        assert float(plain[row["gene_id"]][row["label"]]) == row["level"]
        seen += 1
    unused = len(summary["labels_not_used"]) + len(summary["unmapped_labels"])
    assert seen == 3 * (summary["n_labels"] - unused)
    assert summary["unmapped_labels"] == []


def test_long_table_equals_a_plain_loop(read, realdata):
    levels, summary = read("consensus")
    with gzip.open(realdata / REFERENCES["consensus"][0], "rt") as stream:
        plain = {
            (r["Gene"], r["Tissue"]): float(r["nTPM"])
            for r in csv.DictReader(stream, delimiter="\t")
            if r["Gene"] in SYMBOLS
        }
    keys = zip(levels["gene_id"].astype(str), levels["label"].astype(str), strict=True)
    assert dict(zip(keys, levels["level"], strict=True)) == plain
    assert (summary["n_genes"], summary["n_levels"]) == (20090, 1084208)


def test_known_biology(read):
    assert highest(read("tissue")[0], GPRC5D, 1) == ["skin"]
    assert highest(read("gtex")[0], GPRC5D, 1) == ["skin"]
    assert set(highest(read("consensus")[0], SDC1)) == {"esophagus", "liver", "skin"}
    blood = read("blood")[0]
    assert highest(blood, BCMA) == ["memory_B_cell", "plasmacytoid_DC", "naive_B_cell"]
    assert highest(read("pooled")[0], BCMA, 1) == ["Plasma"]
    assert "Plasmocyte" in highest(read("landscape")[0], BCMA, 1)[0]


def test_what_was_not_measured_has_no_row(read):
    """No antibody for BCMA, and GPRC5D is not among the genes of the cell landscape."""
    protein, summary = read("protein")
    assert not (protein["gene_id"] == BCMA).any()
    hepatocytes = protein[protein["label"] == "liver / hepatocytes"]
    assert set(hepatocytes["gene_id"]) == {SDC1, GPRC5D}
    assert summary["values_not_understood"] == {"Not representative": 4}
    landscape, _ = read("landscape")
    assert not (landscape["gene_id"] == GPRC5D).any()
    assert (landscape["gene_id"] == SDC1).any()


def test_protein_levels_equal_a_plain_loop(read, realdata):
    protein, _ = read("protein")
    with gzip.open(realdata / REFERENCES["protein"][0], "rt") as stream:
        plain = {
            (r["ensembl"], f"{r['tissue']} / {r['cell_type']}"): r["level"]
            for r in csv.DictReader(stream, delimiter="\t")
            if r["ensembl"] in SYMBOLS
        }
    assert len(protein) > 100
    for row in protein.to_dict("records"):
        given = plain[row["gene_id"], row["label"]]
        assert given.casefold().replace(" ", "_") == row["protein_level"]


def test_pooled_counts_equal_a_plain_loop(read, realdata, is_left_out):
    path = realdata / REFERENCES["pooled"][0]
    with gzip.open(path, "rt") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    library = sum(int(r["Plasma"]) for r in rows if not is_left_out(r["gene"]))
    count = next(int(r["Plasma"]) for r in rows if r["gene"] == "TNFRSF17")
    levels, _ = read("pooled")
    own = levels[(levels["gene_id"] == BCMA) & (levels["label"] == "Plasma")].iloc[0]
    assert own["level"] == pytest.approx(1e6 * count / library, rel=1e-3)
    assert own["level_lower"] < own["level"]
    assert pd.isna(own["n_donors"])


def test_foetal_tissue_is_not_used(read):
    levels, summary = read("landscape")
    assert not levels["label"].astype(str).str.contains("Fetal|Placenta").any()
    assert any(label.startswith("FetalLiver") for label in summary["labels_not_used"])
    assert summary["n_labels"] == 1393
    used, unmapped = summary["n_labels_used"], len(summary["unmapped_labels"])
    assert used + unmapped + len(summary["labels_not_used"]) == 1393
