"""Bad input stops the run before the first job, with file, place, and what to do."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml

from hostile.good import labels
from targetscore.checks import check_run
from targetscore.config import load_run, read_yaml
from targetscore.errors import TargetscoreError

pytestmark = pytest.mark.workflow
GENES = ["TNFRSF17", "SLAMF7", "GPRC5D", "CD19", "CD38", "SDC1", "FCRL5", "CD46"]


def atlas(**changes) -> ad.AnnData:
    """Three patients and three healthy donors with eight genes; changes replace obs columns."""
    n = 120
    rng = np.random.default_rng(0)
    counts = sp.csr_matrix(rng.poisson(2, (n, len(GENES))).astype(np.float32))
    return ad.AnnData(counts, obs=labels(n, **changes), var=pd.DataFrame(index=GENES))


@pytest.fixture
def mine(project: Path) -> Callable[..., Path]:
    """A user's own atlas and indication, right until a test breaks it."""

    def write(data: ad.AnnData | None = None, sha256: str = "", **fields: str) -> Path:
        path = project / "mine.h5ad"
        (atlas() if data is None else data).write_h5ad(path)
        row = {
            "atlas": "mine",
            "kind": "mixed",
            "format": "h5ad",
            "version": "1",
            "url": "mine.h5ad",
            "sha256": sha256,
            "licence": "mine",
            "malignancy": "malignancy",
            "lineage": "plasma cell",
        } | fields
        lines = ["\t".join(row), "\t".join(row.values())]
        (project / "config/mine.tsv").write_text("\n".join(lines) + "\n")
        change(project, lambda i: None)
        config = {"indications": ["mine"], "registries": ["config/mine.tsv"]}
        (project / "config/config.yaml").write_text(yaml.safe_dump(config))
        return path

    return write


def change(project: Path, edit: Callable[[dict], object]) -> None:
    """Write the user's indication after an edit."""
    value = read_yaml(project / "config/indications/multiple_myeloma_demo.yaml")
    value["diseased"] = {"atlases": ["mine"]}
    value["healthy"] = {"atlases": ["mine"]}
    edit(value)
    (project / "config/indications/mine.yaml").write_text(yaml.safe_dump(value))


def refused() -> str:
    """Check the configuration in the working directory; return what a user reads."""
    with pytest.raises(TargetscoreError) as caught:
        check_run(load_run(read_yaml("config/config.yaml")))
    for problem in caught.value.problems:
        assert problem.file
        assert problem.remedy
    return str(caught.value)


def test_right_input_passes(mine):
    mine()
    assert check_run(load_run(read_yaml("config/config.yaml"))) == []


def test_unknown_atlas_in_an_indication(mine, project):
    mine()
    change(project, lambda i: i["healthy"].update(atlases=["mnie"]))
    message = refused()
    assert "config/indications/mine.yaml: healthy.atlases: unknown atlas 'mnie'" in message
    assert "did you mean 'mine'?" in message


def test_missing_column(mine):
    data = atlas()
    del data.obs["donor_id"]
    mine(data)
    message = refused()
    assert "config/mine.tsv: mine, column donor: nothing says the donor of a cell" in message
    assert "=value" in message


def test_label_column_with_nan(mine):
    labels = atlas().obs["cell_type"].astype(object)
    labels.iloc[3] = np.nan
    mine(atlas(cell_type=pd.Categorical(labels)))
    message = refused()
    assert "mine.h5ad: cell_type: 1 of 120 cells have no cell_type (for example cell3)" in message


@pytest.mark.parametrize(
    ("values", "wrong"),
    [
        (lambda x: np.log1p(x), "looks log-normalised"),
        (lambda x: x * 100.5, "looks normalised"),
        (lambda x: x - 1, "negative"),
        (lambda x: x * np.nan, "not finite"),
    ],
)
def test_matrix_without_raw_counts(mine, values, wrong):
    data = atlas()
    data.X = values(data.X.toarray()).astype(np.float32)
    mine(data)
    message = refused()
    assert "mine.h5ad" in message
    assert wrong in message
    assert "raw counts" in message


def test_truncated_h5ad(mine):
    path = mine()
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    message = refused()
    assert "mine.h5ad" in message
    assert "truncated" in message
    assert "fetch it again" in message


def test_wrong_checksum(mine):
    wrong = hashlib.sha256(b"other").hexdigest()
    path = mine(sha256=wrong)
    message = refused()
    assert "mine.h5ad" in message
    assert wrong in message
    assert hashlib.sha256(path.read_bytes()).hexdigest() in message


def test_file_that_is_not_there(mine):
    mine().unlink()
    message = refused()
    assert "mine.h5ad" in message
    assert "check the path" in message


def test_duplicated_barcodes(mine):
    data = atlas()
    data.obs_names = ["cell1", *data.obs_names[1:]]
    mine(data)
    assert "1 barcodes repeat, for example cell1" in refused()


@pytest.mark.parametrize(
    ("name", "wrong", "remedy"),
    [
        ("TNFRSF71", "no gene is called 'TNFRSF71'", "TNFRSF17"),
        ("CS1", "'CS1' stands for more than one gene: ITPRID2, SLAMF7", "candidates.context"),
        ("TNFRSF17", "'BCMA' and 'TNFRSF17' are one gene", "keep one of them"),
    ],
)
def test_antigen_unknown_ambiguous_or_twice(mine, project, name, wrong, remedy):
    mine()
    change(project, lambda i: i["candidates"]["panel"].append(name))
    message = refused()
    assert f"mine.yaml: candidates.panel: {wrong}" in message
    assert remedy in message


def test_panel_gene_that_the_atlas_holds_twice(mine):
    data = atlas()
    data.var_names = [*GENES[:7], "CD19-1"]
    mine(data)
    message = refused()
    assert "the atlas holds 'CD19' twice" in message
    assert "gene_id" in message


def test_indication_without_diseased_cells(mine):
    mine(atlas(malignancy="normal"))
    message = refused()
    assert "mine.yaml: diseased.atlases: no cell of mine is diseased" in message


def test_indication_without_healthy_cells(mine):
    mine(atlas(disease="plasma cell myeloma"))
    message = refused()
    assert "mine.yaml: healthy.atlases: no cell of mine is healthy" in message
    assert "PATO:0000461" in message


def test_disease_that_no_donor_has(mine, project):
    mine()
    change(project, lambda i: i["diseased"].update(disease=["acute myeloid leukemia"]))
    assert "no diseased cell has the disease acute myeloid leukemia" in refused()


def test_cell_type_the_atlas_does_not_have(mine, project):
    mine()
    change(project, lambda i: i.update(normal_counterpart={"cell_types": ["plasmablast"]}))
    message = refused()
    assert "no cell of the atlases is a 'plasmablast'" in message
    assert "did you mean plasma cell" in message


@pytest.mark.parametrize("place", ["tolerated", "normal_counterpart"])
def test_vital_cells_cannot_be_accepted_to_be_lost(mine, project, place):
    mine()
    change(project, lambda i: i.update({place: {"cell_types": ["hematopoietic precursor cell"]}}))
    wrong = f"mine.yaml: {place}.cell_types: 'hematopoietic precursor cell' holds cells that are"
    message = refused()
    assert wrong in message
    assert "hematopoietic stem cell" in message
    change(project, lambda i: i.update({place: {"cell_types": ["cell"]}, "hsct_rescue": True}))
    message = refused()
    assert "Purkinje cell" in message.partition("vital (tier 1): ")[2]
    assert "hematopoietic stem cell" not in message


def test_labels_without_a_term_need_a_map(mine):
    labels = atlas().obs["cell_type"].map({"plasma cell": "cluster 1", "T cell": "cluster 2"})
    mine(atlas(cell_type=labels))
    message = refused()
    assert "no cell of the atlases is a 'plasma cell'" in message
    assert "cell types there: cluster 1, cluster 2; give labels without a Cell Ontology" in message
    assert "label_map" in message


def test_cell_type_that_does_not_exist(mine, project):
    mine()
    change(project, lambda i: i.update(normal_counterpart={"cell_types": ["plasma cel"]}))
    message = refused()
    assert "'plasma cel' is no Cell Ontology term" in message
    assert "did you mean plasma cell" in message


def test_unknown_key_in_any_yaml(mine, project):
    mine()
    change(project, lambda i: i.update(tolerate={}))
    assert "mine.yaml: tolerate: unknown key" in refused()
    config = project / "config/config.yaml"
    config.write_text(config.read_text() + "scorring: {}\n")
    assert "config/config.yaml: scorring: unknown key\n    → did you mean 'scoring'?" in refused()


def test_problems_of_several_inputs_come_together(mine, project):
    mine(atlas(malignancy="normal"))
    change(project, lambda i: i["candidates"]["panel"].extend(["CS1", "NOGENE"]))
    message = refused()
    assert "CS1" in message
    assert "NOGENE" in message
    assert "no cell of mine is diseased" in message


def test_atlas_that_is_still_to_be_fetched_stops_nothing(project):
    (project / "config/config.yaml").write_text("indications: [multiple_myeloma]\n")
    notices = check_run(load_run(read_yaml("config/config.yaml")))
    assert "tabula_sapiens: not here yet, will be fetched; its cells are checked then" in notices


def test_dataset_without_an_id(project):
    registry = project / "config/atlases.tsv"
    registry.write_text(registry.read_text().replace("cellxgene:53d208b0", "cellxgene:x53d208b0"))
    (project / "config/config.yaml").write_text("indications: [multiple_myeloma]\n")
    message = refused()
    assert "holds no id of a dataset of CELLxGENE Discover" in message
    assert "write cellxgene:<dataset id>" in message


def test_stated_tissue_that_is_no_term(mine):
    mine(tissues="bone marow")
    message = refused()
    assert "config/mine.tsv: mine, column tissues: 'bone marow' is no UBERON term" in message
    assert "did you mean bone marrow" in message


def test_changed_file_is_checked_again(mine):
    mine()
    run = load_run(read_yaml("config/config.yaml"))
    check_run(run)
    mine(atlas(malignancy="normal"))
    assert "no cell of mine is diseased" in refused()


def test_hostile_labels_are_shown_harmless(mine):
    mine(atlas(malignancy="\x1b[31mred\u202e"))
    message = refused()
    assert "\x1b" not in message
    assert "\u202e" not in message


@pytest.mark.parametrize(
    "breakage",
    [
        lambda p: (p / "config/config.yaml").write_text("indications: [nope]\n"),
        lambda p: (p / "mine.h5ad").write_bytes(b"\x89HDF"),
        lambda p: (p / "config/config.yaml").write_text(
            (p / "config/config.yaml").read_text() + "indications: [mine]\n"
        ),
    ],
    ids=["unknown indication", "broken atlas", "repeated key"],
)
def test_snakemake_stops_before_the_first_job(mine, project, snakemake, breakage):
    mine()
    breakage(project)
    done = snakemake(project)
    assert done.returncode != 0
    assert "→" in done.stdout
    assert "Traceback" not in done.stdout
    assert not (project / "results").exists()


def test_failing_job_says_why_and_leaves_nothing_half_written(mine, project, snakemake):
    """A chunk damaged in the middle is found by the job that reads every cell."""
    folder = project / "geo"
    folder.mkdir()
    counts = np.random.default_rng(0).poisson(0.5, (6000, 900))
    genes = [*GENES, *(f"GENE{i}" for i in range(5992))]
    cells = [f"c{i}" for i in range(900)]
    table = pd.DataFrame(counts.astype(float), index=pd.Index(genes, name="Gene"), columns=cells)
    table.iloc[-1, 0] = 0.5
    labels = pd.DataFrame(
        {
            "Cell": cells,
            "donor": np.repeat(["P1", "P2", "P3", "H1", "H2", "H3"], 150),
            "tissue": "bone marrow",
            "cell_type": np.where(np.arange(900) % 2, "plasma cell", "T cell"),
            "disease": np.repeat(["plasma cell myeloma", "normal"], 450),
            "malignancy": "malignant",
        }
    )
    with gzip.open(folder / "S.dem.txt.gz", "wt") as stream:
        table.to_csv(stream, sep="\t", float_format="%g")
    labels.to_csv(folder / "S.anno.txt", sep="\t", index=False)
    mine(url="geo", format="geo_text")
    done = snakemake(project)
    assert done.returncode != 0
    assert "the values are not whole numbers" in done.stdout
    assert "Traceback (most recent call last)" not in done.stdout
    profile = project / "results/profile"
    assert not [p for p in profile.rglob("*") if p.is_file()]


def test_symbol_that_repeats_is_summed_not_a_crash(mine):
    data = atlas()
    data.var_names = [*GENES[:7], "CD19"]
    mine(data)
    assert check_run(load_run(read_yaml("config/config.yaml"))) == []


@pytest.mark.parametrize(
    "written", ["mine.h5ad", "./mine.h5ad", "link.h5ad", "file://{}/mine.h5ad"]
)
def test_one_file_under_two_names_is_one_set_of_donors(mine, project, written):
    mine()
    (project / "link.h5ad").symlink_to("mine.h5ad")
    url = written.format(project)
    registry = project / "config/mine.tsv"
    header, row = registry.read_text().splitlines()
    twin = row.replace("mine", "twin", 1).replace("mine.h5ad", url)
    registry.write_text("\n".join([header, row, twin]) + "\n")
    change(project, lambda i: i["healthy"].update(atlases=["mine", "twin"]))
    assert f"'mine' and 'twin' are the same data ({url})" in refused()


@pytest.mark.parametrize(("query", "same"), [("tissue=lung", False), ("tissue=blood", True)])
def test_two_queries_of_one_store_are_two_atlases(mine, project, query, same):
    mine(url="soma:store?tissue=blood", format="soma")
    (project / "store").mkdir()
    registry = project / "config/mine.tsv"
    header, row = registry.read_text().splitlines()
    twin = row.replace("mine", "twin", 1).replace("store?tissue=blood", f"./store?{query}")
    registry.write_text("\n".join([header, row, twin]) + "\n")
    change(project, lambda i: i["healthy"].update(atlases=["mine", "twin"]))
    assert ("are the same data" in refused()) == same


def test_one_donor_in_two_files_is_found_by_barcodes(mine, project):
    letters = np.random.default_rng(0).choice(list("ACGT"), (120, 16))
    data = atlas()
    data.obs_names = ["".join(row) + "-1" for row in letters]
    path = mine(data)
    twin = data[20:].copy()
    twin.obs_names = [f"merged_{name}-0" for name in twin.obs_names]
    twin.write_h5ad(path.with_name("twin.h5ad"))
    registry = project / "config/mine.tsv"
    header, row = registry.read_text().splitlines()
    registry.write_text("\n".join([header, row, row.replace("mine", "twin", 2)]) + "\n")
    change(project, lambda i: i["healthy"].update(atlases=["mine", "twin"]))
    message = refused()
    assert "'mine' and 'twin' hold the same cells: about 100%" in message
    assert "donors must not count twice" in message


def test_simulated_follows_from_the_url_and_is_checked(mine):
    mine(url="simulate:myelom?seed=1")
    assert "simulate:" in refused()
    mine(url="simulate:myeloma?seed=1")
    run = load_run(read_yaml("config/config.yaml"))
    assert run.registry["mine"].simulated


@pytest.mark.parametrize("header", ["atlas\tkind\tkind", "atlas\tversion\tversion"])
def test_repeated_column_of_a_table(project, header):
    (project / "config/atlases.tsv").write_text(f"{header}\na\tb\tc\n")
    assert "columns repeat" in refused()
