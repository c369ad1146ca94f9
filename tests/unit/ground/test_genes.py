"""Gene identity (specification C0, D11): resolved in a fixed order, never guessed."""

import pytest

from targetscore.config import Indication
from targetscore.errors import GeneError
from targetscore.genes import GeneTable, ensembl_id, is_masked, load_genes, resolve_panel


@pytest.fixture(scope="module")
def genes(repository) -> GeneTable:
    return load_genes(str(repository / "config" / "knowledge"))


@pytest.mark.parametrize(
    ("name", "symbol", "resolution"),
    [
        ("ENSG00000048462", "TNFRSF17", "ensembl_id"),
        ("ENSG00000048462.12", "TNFRSF17", "ensembl_id"),
        ("ENSG00000185291.12_PAR_Y", "IL3RA", "ensembl_id"),
        ("TNFRSF17", "TNFRSF17", "approved_symbol"),
        ("tnfrsf17", "TNFRSF17", "approved_symbol"),
        ("BCMA", "TNFRSF17", "alias"),
        ("CD138", "SDC1", "alias"),
        ("BCM1", "CD48", "alias"),
        ("GPCR5D", "GPRC5D", "typo_map"),
    ],
)
def test_names_resolve(genes, name, symbol, resolution):
    gene = genes.resolve(name, "file", "place")
    assert (gene.symbol, gene.resolution) == (symbol, resolution)


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("CS1", {"SLAMF7", "ITPRID2"}),
        ("CD20", {"MS4A1", "KRT20"}),
        ("CLL1", {"CLEC12A", "COLEC10"}),
        ("B4", {"CD19", "LILRB4"}),
    ],
)
def test_ambiguous_alias_lists_candidates(genes, name, candidates):
    with pytest.raises(GeneError) as caught:
        genes.resolve(name, "mm.yaml", "candidates.panel")
    message = str(caught.value)
    assert "mm.yaml: candidates.panel" in message
    assert all(c in message for c in candidates)
    assert "context" in message


def test_context_decides_ambiguous_alias(genes):
    assert genes.resolve("CS1", "f", "p", {"CS1": "SLAMF7"}).symbol == "SLAMF7"


@pytest.mark.parametrize(
    ("context", "wrong"),
    [
        ({"CD19": "CD38"}, "'CD19' means CD19, never 'CD38'"),
        ({"CS1": "NOPE"}, "'CS1' cannot mean 'NOPE'"),
        ({"CS1": "CD19"}, "'CS1' cannot mean 'CD19'"),
        ({"NOPE": "CD19"}, "'NOPE' cannot mean 'CD19'"),
    ],
)
def test_context_never_scores_another_gene_than_the_one_written(genes, context, wrong):
    def indication(context: dict[str, str]) -> Indication:
        return Indication(
            title="t",
            disease={"id": "MONDO:0009693", "label": "plasma cell myeloma"},
            diseased={"atlases": ["a"]},
            healthy={"atlases": ["a"]},
            candidates={"panel": ["CD19"], "context": context},
        )

    with pytest.raises(GeneError) as caught:
        resolve_panel(indication(context), genes, "mm.yaml")
    assert f"mm.yaml: candidates.context: {wrong}" in str(caught.value)
    assert genes.resolve("CD19", "f", "p", context).symbol == "CD19"
    assert [g.symbol for g in resolve_panel(indication({"CS1": "SLAMF7"}), genes, "f")] == ["CD19"]


def test_unknown_name_offers_near_matches(genes):
    with pytest.raises(GeneError, match="TNFRSF17"):
        genes.resolve("TNFRSF71", "f", "p")


def test_alias_is_case_sensitive_but_never_fuzzy(genes):
    with pytest.raises(GeneError):
        genes.resolve("BCMAA", "f", "p")


@pytest.mark.parametrize("text", ["ENSG0000004846", "ENSMUSG00000022496", "TNFRSF17", ""])
def test_not_a_human_ensembl_id(text):
    assert ensembl_id(text) is None


@pytest.mark.parametrize(
    "symbol",
    ["IGKC", "IGHG1", "IGHA2", "IGHM", "IGLC2", "IGHV1-69", "JCHAIN", "IGLL5", "MT-CO1"]
    + ["RPS27", "RPL10A", "RPLP0", "RPS4X", "RPL36AL"],
)
def test_masked_genes(symbol):
    assert is_masked(symbol)


@pytest.mark.parametrize(
    "symbol",
    ["TNFRSF17", "IGHMBP2", "IGLON5", "IGF1R", "IGSF8", "RPS6KA1", "RPS6KB1", "MTOR", "RPLX"],
)
def test_look_alikes_are_not_masked(symbol):
    assert not is_masked(symbol)


def test_identify_merges_par_and_versions_and_keeps_unknown(genes):
    ids = ["ENSG00000185291.13", "ENSG00000185291.13_PAR_Y", "NOVEL1", "BCMA", "TNFRSF17", "CS1"]
    table = genes.identify(ids, [None, None, "NOVEL1", "BCMA", "TNFRSF17", "CS1"])
    assert list(table["gene_id"][:2]) == ["ENSG00000185291"] * 2
    assert table["gene_id"][2] == "symbol:NOVEL1"
    assert table["resolution"][2] == "unresolved"
    # BCMA beside TNFRSF17: the old name must mean something else, so it is kept apart.
    assert table["resolution"][3] == "ambiguous"
    assert table["gene_id"][4] == "ENSG00000048462"
    assert table["resolution"][5] == "ambiguous"
    assert len(table) == len(ids)


def test_alias_alone_is_the_gene(genes):
    table = genes.identify(["BCMA"], ["BCMA"])
    assert table["gene_id"][0] == "ENSG00000048462"


def test_made_unique_symbol_is_not_guessed(genes):
    table = genes.identify(["CD19", "CD19-1", "NKX2-1"], ["CD19", "CD19-1", "NKX2-1"])
    assert list(table["resolution"]) == ["approved_symbol", "ambiguous", "unresolved"]


def test_reference_resolves_what_the_curated_table_does_not(genes, repository, tmp_path):
    reference = tmp_path / "genes.tsv"
    reference.write_text(
        "symbol\tensembl_gene_id\taliases\nAATF\tENSG00000275700\tCHE1|DED\nNOID\t\t\n"
    )
    table = load_genes(str(repository / "config" / "knowledge"), str(reference))
    assert table.resolve("CHE1", "f", "p").gene_id == "ENSG00000275700"
    assert table.find("NOID") is None
