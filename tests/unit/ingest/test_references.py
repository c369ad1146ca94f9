"""Aggregated references: read as a plain loop would, or refused with a named error."""

import csv
import gzip
import math
import zipfile

import numpy as np
import pytest
from scipy.stats import poisson

from targetscore.config import AtlasRow
from targetscore.contracts import REFERENCE_LEVELS
from targetscore.errors import AtlasError, TargetscoreError
from targetscore.genes import load_genes
from targetscore.ingest.references import ingest_reference
from targetscore.io import read_table, write_table

HPA = "config/labels/hpa_labels.tsv"
BCMA, SDC1, CD38 = "ENSG00000048462", "ENSG00000115884", "ENSG00000004468"


@pytest.fixture(scope="module")
def genes(repository):
    return load_genes(str(repository / "config/knowledge"))


@pytest.fixture
def ingest(tmp_path, repository, genes):
    """Write a table and ingest it as a reference."""

    def run(text, name="table.tsv", **fields):
        path = tmp_path / name
        if name.endswith(".zip"):
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("table.tsv", text)
        elif name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
        base = {"kind": "reference", "format": "level_table", "version": "1", "licence": "test"}
        base |= {"atlas": "ref", "url": str(path), "label_map": str(repository / HPA)}
        row = AtlasRow.model_validate(base | fields)
        return ingest_reference(row, str(path), genes, "config/mine.tsv")

    return run


def by_label(found, gene=BCMA, column="level"):
    own = found.levels[found.levels["gene_id"] == gene]
    return dict(zip(own["label"].astype(str), own[column], strict=True))


WIDE = f"GeneID\tliver\tskin\ttotal_PBMC\tmoon\n{BCMA}\t3.5\t\t9\t9\n{SDC1}.4\t120\t0\t9\t9\n"
LONG = (
    "Gene\tGene name\tTissue\tnTPM\n"
    f"{BCMA}\tTNFRSF17\tliver\t3.5\n{SDC1}\tSDC1\tliver\t120\n{SDC1}\tSDC1\tskin\t0\n"
    f"{BCMA}\tTNFRSF17\tmoon\t9\n"
)
ONCE = "".join(LONG.splitlines(keepends=True)[:3])


@pytest.mark.parametrize("name", ["t.tsv", "t.tsv.gz", "t.tsv.zip"])
def test_wide_and_long_tables_say_the_same(ingest, name):
    wide = ingest(WIDE, name, unit="NX", tissue="*", n_donors="3")
    long = ingest(LONG, name, unit="nTPM", tissue="Tissue", counts="nTPM")
    for found in (wide, long):
        assert by_label(found) == {"liver": 3.5}
        assert by_label(found, SDC1) == {"liver": 120.0, "skin": 0.0}
        assert found.summary["unmapped_labels"] == ["moon"]
    assert by_label(wide, BCMA, "n_donors") == {"liver": 3}
    assert long.levels["n_donors"].isna().all()
    assert list(wide.summary["labels_not_used"]) == ["total_PBMC"]


def test_what_is_read_survives_its_contract(ingest, tmp_path):
    found = ingest(WIDE, unit="NX", tissue="*")
    write_table(found.levels, tmp_path / "levels.parquet", REFERENCE_LEVELS, {})
    again = read_table(tmp_path / "levels.parquet", REFERENCE_LEVELS)
    for column in REFERENCE_LEVELS.names:
        before, after = (table[column].astype(object) for table in (found.levels, again))
        assert (
            after.where(after.notna(), None).tolist() == before.where(before.notna(), None).tolist()
        )


def test_a_missing_value_is_no_row_and_zero_is_one(ingest):
    assert "skin" not in by_label(ingest(WIDE, unit="NX", tissue="*"))
    assert by_label(ingest(WIDE, unit="NX", tissue="*"), SDC1)["skin"] == 0


def test_gct_is_read_below_its_two_lines(ingest, repository):
    text = f"#1.2\n2\t2\nName\tDescription\tLiver\tBrain - Cortex\n{BCMA}.12\tTNFRSF17\t1.5\t0\n"
    found = ingest(
        text,
        "x.gct.gz",
        unit="TPM",
        tissue="*",
        label_map=str(repository / "config/labels/gtex_labels.tsv"),
    )
    assert by_label(found) == {"Liver": 1.5, "Brain - Cortex": 0.0}
    assert by_label(found, BCMA, "tissue_id")["Brain - Cortex"] == "UBERON:0000956"


def test_pooled_counts_become_cpm_without_masked_genes(ingest, repository):
    counts = {"TNFRSF17": (3, 0), "SDC1": (97, 10), "IGKC": (900000, 5), "MT-CO1": (5000, 5)}
    text = "gene\tPlasma\tNK\n" + "".join(f"{g}\t{a}\t{b}\n" for g, (a, b) in counts.items())
    found = ingest(
        text,
        unit="counts",
        cell_type="*",
        label_map=str(repository / "config/labels/pooled_cell_types.tsv"),
    )
    assert by_label(found) == {"Plasma": 30000.0, "NK": 0.0}
    assert by_label(found, SDC1)["NK"] == 1e6
    lower = by_label(found, BCMA, "level_lower")
    assert lower["NK"] == 0
    # Exact bound: with this mean, three or more are seen in 2.5 % of cases.
    mean = lower["Plasma"] / 1e6 * 100
    assert poisson.sf(2, mean) == pytest.approx(0.025)


def test_rows_of_one_gene_are_summed(ingest):
    text = f"GeneID\tliver\n{BCMA}\t1\n{BCMA}_PAR_Y\t2\n{SDC1}\t4\n"
    assert by_label(ingest(text, unit="TPM", tissue="*")) == {"liver": 3.0}


def test_columns_of_type_and_tissue(ingest, repository):
    text = (
        "gene\tMacrophage_AdultLiver1\tMacrophage_SPP1 high_AdultLiver1-1\tB cell (Plasmocyte)_"
        "IGHG_IGK high_AdultKidney3-2\tNeuron_FetalBrain3\tUnknown_AdultLiver1\n"
        "TNFRSF17\t0\t1\t2\t9\t9\nSDC1\t8\t9\t8\t9\t9\n"
    )
    found = ingest(
        text,
        unit="counts",
        cell_type="*",
        tissue="*",
        label_map=str(repository / "config/labels/hcl_labels.tsv"),
    )
    types, tissues = by_label(found, BCMA, "cell_type"), by_label(found, BCMA, "tissue")
    assert types == {
        "AdultLiver1 / Macrophage": "macrophage",
        "AdultLiver1-1 / Macrophage_SPP1 high": "macrophage",
        "AdultKidney3-2 / B cell (Plasmocyte)_IGHG_IGK high": "plasma cell",
    }
    assert set(tissues.values()) == {"liver", "kidney"}
    assert set(found.summary["labels_not_used"]) == {
        "FetalBrain3 / Neuron",
        "AdultLiver1 / Unknown",
    }


IHC = (
    "Gene\tGene name\tTissue\tCell type\tLevel\tReliability\n"
    f"{SDC1}\tSDC1\tliver\thepatocytes\tHigh\tEnhanced\n"
    f"{SDC1}\tSDC1\tskin 1\tkeratinocytes\tLow\tUncertain\n"
    f"{SDC1}\tSDC1\tkidney\tcells in glomeruli\tHigh\tEnhanced\n"
    f"{SDC1}\tSDC1\tlung\talveolar cells type II\tNot detected\tApproved\n"
    f"{SDC1}\tSDC1\tcolon\tgoblet cells\tNot representative\tApproved\n"
    f"{CD38}\tCD38\tN/A\tN/A\tN/A\tUncertain\n"
)


def test_immunohistochemistry(ingest):
    found = ingest(IHC, unit="protein", tissue="Tissue", cell_type="Cell type", counts="Level")
    assert by_label(found, SDC1, "protein_level") == {
        "liver / hepatocytes": "high",
        "skin 1 / keratinocytes": "low",
        "lung / alveolar cells type II": "not_detected",
    }
    assert by_label(found, SDC1, "reliability")["skin 1 / keratinocytes"] == "uncertain"
    assert found.levels["level"].isna().all()
    assert not (found.levels["gene_id"] == CD38).any()
    assert found.summary["values_not_understood"] == {"Not representative": 1}
    assert "kidney / cells in glomeruli" in found.summary["labels_not_used"]


PROTEIN = {"unit": "protein", "tissue": "Tissue", "cell_type": "Cell type", "counts": "Level"}
WRONG = [
    ("", {"unit": "NX", "tissue": "*"}, "is empty"),
    ("GeneID\tliver\n", {"unit": "NX", "tissue": "*"}, "holds no level"),
    ("GeneID\n", {"unit": "NX", "tissue": "*"}, "no column but the genes"),
    ("x\tliver\nA\t1\n", {"unit": "NX", "tissue": "*"}, "no column names the genes"),
    (WIDE, {"unit": "NX"}, "what the columns of the table are"),
    (WIDE.replace("3.5", "-1"), {"unit": "NX", "tissue": "*"}, "liver: holds values that are neg"),
    (WIDE.replace("3.5", "inf"), {"unit": "NX", "tissue": "*"}, "negative or infinite"),
    (WIDE.replace("3.5", "high"), {"unit": "NX", "tissue": "*"}, "no level, for example 'high'"),
    (WIDE.replace("3.5", "9" * 30), {"unit": "NX", "tissue": "*"}, "no level, for example '999"),
    ("GeneID\tliver\nA\tTrue\n", {"unit": "NX", "tissue": "*"}, "no level, for example 'True'"),
    (WIDE.replace("skin", "liver"), {"unit": "NX", "tissue": "*"}, "columns repeat: liver"),
    (
        WIDE.replace("liver", "mars").replace("skin", "sun"),
        {"unit": "NX", "tissue": "*"},
        "none of",
    ),
    (WIDE + "a\t1\t2\t3\t4\t5\n", {"unit": "NX", "tissue": "*"}, "5 fields of the header"),
    (WIDE + "a\t1\t2\n", {"unit": "NX", "tissue": "*"}, "1 lines do not have the 5 fields"),
    (LONG, {"unit": "nTPM", "tissue": "Tisue", "counts": "nTPM"}, "did you mean 'Tissue'"),
    (
        LONG + "".join(LONG.splitlines(keepends=True)[1:2]),
        {"unit": "nTPM", "tissue": "Tissue", "counts": "nTPM"},
        f"1 genes have several rows for one label: {LONG.splitlines()[1].split()[0]}",
    ),
    (f"GeneID\tliver\n{BCMA}\t1\n{BCMA}\t2\n", {"unit": "TPM", "tissue": "*"}, "several rows"),
    (LONG, {"unit": "nTPM", "tissue": "Tissue", "counts": "NX"}, "no column 'NX'"),
    (LONG, {"unit": "nTPM", "counts": "nTPM"}, "which tissue or cell type"),
    (ONCE, {"unit": "nTPM", "tissue": "=liverr", "counts": "nTPM"}, "is no term of UBERON"),
    (ONCE, {"unit": "nTPM", "tissue": "Gene name", "counts": "nTPM"}, "is mapped"),
    (IHC.replace("High", "3"), PROTEIN | {"counts": "Reliability"}, "holds no level"),
]


@pytest.mark.parametrize(("text", "fields", "wrong"), WRONG, ids=range(len(WRONG)))
def test_bad_tables_end_in_a_named_error(ingest, text, fields, wrong):
    with pytest.raises(AtlasError) as caught:
        ingest(text, **fields)
    assert wrong in str(caught.value)
    assert all(p.file and p.remedy for p in caught.value.problems)


@pytest.mark.parametrize("name", ["t.tsv.gz", "t.tsv.zip"])
def test_a_file_cut_short(ingest, tmp_path, name):
    rows = "".join(f"ENSG{i:011d}\t{i % 7}.{i}\n" for i in range(5000))
    ingest("GeneID\tliver\n" + rows, name, unit="NX", tissue="*")
    path = tmp_path / name
    content = path.read_bytes()
    row = {"kind": "reference", "format": "level_table", "version": "1", "licence": "test"}
    row |= {"atlas": "ref", "url": str(path), "unit": "NX", "tissue": "*"}
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(AtlasError, match="cannot be read as a table"):
        ingest_reference(
            AtlasRow.model_validate(row), str(path), load_genes("config/knowledge"), "r"
        )


def test_an_archive_behind_a_password(ingest, monkeypatch):
    def locked(archive, name):
        raise RuntimeError(f"File {name!r} is encrypted, password required for extraction")

    monkeypatch.setattr(zipfile.ZipFile, "read", locked)
    with pytest.raises(AtlasError, match="cannot be read as a table .*password required"):
        ingest(WIDE, "t.tsv.zip", unit="NX", tissue="*")


def test_hostile_labels_are_listed_not_run(ingest):
    label = '<script>alert(1)</script>\u202e"../../x'
    text = f"GeneID\tliver\t{label}\n{BCMA}\t1\t2\n"
    found = ingest(text, unit="NX", tissue="*")
    assert len(found.summary["unmapped_labels"]) == 1
    assert by_label(found) == {"liver": 1.0}


def test_row_of_a_reference_needs_its_unit():
    row = {"atlas": "a", "version": "1", "licence": "x", "url": "x.tsv"}
    for wrong in (
        {"kind": "reference", "format": "level_table"},
        {"kind": "healthy", "format": "level_table", "unit": "NX"},
        {"kind": "reference", "format": "h5ad", "unit": "NX"},
        {"kind": "healthy", "format": "h5ad", "unit": "NX"},
    ):
        with pytest.raises(ValueError, match=r"reference"):
            AtlasRow.model_validate(row | wrong)


def test_shipped_label_maps_hold_current_terms_and_tier_rows(repository, in_repository):
    """Each line is a current term, or none with a reason; tier rows exist."""
    from targetscore.ingest.level_labels import read_label_map

    with (repository / "config/knowledge/tissue_tiers.tsv").open() as stream:
        lines = [line for line in stream if not line.startswith("#")]
    tiers = {r["label"]: r for r in csv.DictReader(lines, delimiter="\t")}
    for name in ("hpa_labels", "gtex_labels", "hcl_labels", "pooled_cell_types"):
        path = f"config/labels/{name}.tsv"
        row = AtlasRow.model_validate(
            {
                "atlas": "a",
                "kind": "reference",
                "format": "level_table",
                "version": "1",
                "url": "x",
                "licence": "x",
                "unit": "NX",
                "label_map": path,
            }
        )
        for line in read_label_map(row, "r").lines.values():
            assert line["tissue_id"] or line["cell_type_id"] or line["note"], line
            if line["tier_label"]:
                assert line["tier_label"] in tiers, line
                # A level never speaks for cells that RNA or atlases as a whole cannot show.
                assert tiers[line["tier_label"]]["assessable"] not in (
                    "not_by_RNA",
                    "poorly_captured",
                    "absent_from_atlases",
                )


def test_random_wide_tables_equal_a_plain_loop(ingest):
    rng = np.random.default_rng(3)
    labels = ["liver", "skin", "colon", "spleen", "B_cells"]
    ids = [f"ENSG{i:011d}" for i in range(40)]
    values = np.round(rng.gamma(0.3, 20, (40, 5)), 3)
    values[rng.random(values.shape) < 0.2] = np.nan
    text = "GeneID\t" + "\t".join(labels) + "\n"
    for gene, row in zip(ids, values, strict=True):
        text += gene + "\t" + "\t".join("" if math.isnan(v) else repr(float(v)) for v in row) + "\n"
    found = ingest(text, unit="NX", tissue="*").levels
    expected = {
        (g, label): v
        for g, row in zip(ids, values.tolist(), strict=True)
        for label, v in zip(labels, row, strict=True)
        if not math.isnan(v)
    }
    keys = zip(found["gene_id"].astype(str), found["label"].astype(str), strict=True)
    assert dict(zip(keys, found["level"].tolist(), strict=True)) == expected
    assert issubclass(AtlasError, TargetscoreError)
