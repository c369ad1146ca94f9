"""``add-atlas`` on whole files: what it proposes, asks, writes, and refuses without writing."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from targetscore.config import load_registry
from targetscore.errors import AtlasError, ConfigError, RegistryError, TargetscoreError
from targetscore.propose.ask import NotWrittenError
from targetscore.propose.row import slug

ALL = ("donor==P1", "tissue==bone marrow", "cell_type==plasma cell", "disease==normal")


def row(name: str = "mine"):
    return load_registry(["config/atlases.tsv"])[name]


def test_cellxgene_like_columns_need_no_word(bring, write_h5ad):
    shown = bring(write_h5ad())
    added = row()
    assert (added.kind, added.format, added.counts) == ("mixed", "h5ad", "X")
    assert (added.donor, added.tissue, added.cell_type) == ("donor_id", "tissue", "cell_type")
    assert (added.disease, added.malignancy) == ("disease", "malignancy")
    assert added.lineage == "plasma cell"  # where the malignant cells are
    assert added.label_map == ""
    assert "cells kept: 11 of 12, of 2 donor(s)" in shown.text
    assert "rejected: malignancy_unclear 1" in shown.text


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ({"raw": "counts", "X": "logs"}, "raw/X"),
        ({"layers": {"umi": "counts"}, "X": "logs"}, "layers/umi"),
        ({"layers": {"scaled": "logs"}}, "X"),
    ],
)
def test_raw_counts_are_found_by_their_values(bring, write_h5ad, counts, parts, place):
    kinds = {"counts": sp.csr_matrix(counts.astype(np.float32))}
    kinds["logs"] = kinds["counts"].log1p()
    made = {
        k: {n: kinds[v] for n, v in p.items()} if isinstance(p, dict) else kinds[p]
        for k, p in parts.items()
    }
    shown = bring(write_h5ad(**made))
    assert row().counts == place
    assert f"raw counts in {place}" in shown.text
    assert "log-normalised" in shown.text


def test_no_raw_counts_is_a_refusal(bring, write_h5ad, counts):
    with pytest.raises(TargetscoreError, match="no matrix holds raw counts"):
        bring(write_h5ad(X=sp.csr_matrix(np.log1p(counts))))


def test_gene_columns_of_other_names_are_found(bring, write_h5ad):
    path = write_h5ad()
    with h5py.File(path, "a") as file:
        file["var"].move("feature_name", "names")
        order = [n if n != "feature_name" else "names" for n in file["var"].attrs["column-order"]]
        file["var"].attrs["column-order"] = order
        known = ["CD19", "CD38", "SDC1", "SLAMF7", "GPRC5D", "TNFRSF17", "CD22"]
        del file["var/names"]
        file["var"].create_dataset("names", data=known, dtype=h5py.string_dtype())
        file["var/names"].attrs.update(
            {"encoding-type": "string-array", "encoding-version": "0.2.0"}
        )
    shown = bring(path)
    assert row().gene_symbol == "names"
    assert "7 of 49 curated antigens measured" in shown.text


def test_everything_missing_is_listed_at_once(project, bring, write_tenx):
    with pytest.raises(NotWrittenError) as caught:
        bring(write_tenx())
    assert [p.place for p in caught.value.problems] == ["donor", "tissue", "cell_type", "disease"]
    assert all("--set" in p.remedy for p in caught.value.problems)
    assert not (project / "config/labels/mine_cell_types.tsv").exists()
    bring(project / "tenx", *ALL)
    assert row().kind == "healthy"


def test_labels_of_a_table_are_looked_at_like_those_of_the_file(project, bring, write_tenx):
    table = pd.DataFrame({"cell": [f"cell{i}" for i in range(12)], "patient": ["A", "B"] * 6})
    table = table.assign(organ="blood", celltype="monocyte", diagnosis="normal")
    table.to_csv("labels.tsv", sep="\t", index=False)
    bring(write_tenx(), "cell_labels=labels.tsv")
    assert (row().donor, row().cell_type, row().tissue) == ("patient", "celltype", "organ")


def test_geo_folder_sample_is_no_donor_without_a_word(bring, write_geo, obs):
    folder = write_geo()
    bring(folder)
    assert (row().format, row().donor, row().sample) == ("geo_text", "donor_id", "sample")


def test_patients_need_a_word_about_who_is_diseased(bring, write_h5ad, obs):
    path = write_h5ad(obs=obs.drop(columns="malignancy"))
    with pytest.raises(NotWrittenError, match="lineage: patients' cells are there"):
        bring(path)
    with pytest.raises(NotWrittenError, match="lineage"):
        bring(path, "malignancy==light_chain")
    bring(path, "lineage=plasma cell")
    assert row().kind == "mixed"


def test_healthy_is_said_once(bring, write_h5ad, obs):
    bring(write_h5ad(obs=obs[["donor_id", "cell_type", "tissue"]]), "kind=healthy")
    assert row().disease == "=normal"


def test_labels_go_into_a_map_for_review(project, bring, write_h5ad, obs):
    labels = ["plasma cell", "Tcells", "#1 <b>x</b>", "=1+1", "a\tb\nc", "T\u202ecell"]
    obs["cell_type"] = labels * 2
    shown = bring(write_h5ad(obs=obs), labels=["#1 <b>x</b>=B cell"])
    text = (project / row().label_map).read_text(encoding="utf-8")
    assert "\nplasma cell\tCL:0000786\tplasma cell\t2\tterm\n" in text
    assert '\n"#1 <b>x</b>"\tCL:0000236\tB cell\t2\tgiven\n' in text
    assert "# Tcells\t\t\t2\tlooks like T cell CL:0000084" in text
    (odd,) = [line for line in shown.shown if "a\\tb\\nc" in line and "not mapped" in line]
    assert odd.endswith("cannot stand in a table: rename it in the file)")
    assert all(line.isprintable() for line in "\n".join(shown.shown).splitlines())
    assert all(line.replace("\t", "").isprintable() for line in text.splitlines())


def test_a_label_map_is_never_overwritten(project, bring, write_h5ad, obs):
    path = write_h5ad(obs=obs.assign(cell_type="Tcells"))
    target = project / "config/labels/mine_cell_types.tsv"
    target.write_text("label\tcell_type_ontology_term_id\nTcells\tT cell\n")
    with pytest.raises(ConfigError, match="not overwritten"):
        bring(path)
    bring(path, f"label_map={target.relative_to(project)}")
    assert row().lineage == "T cell"


def test_a_label_map_with_a_line_that_is_no_term_is_named(project, bring, write_h5ad, obs):
    target = project / "config/labels/own.tsv"
    target.write_text("label\tcell_type_ontology_term_id\nTcells\tT sell\n")
    with pytest.raises(AtlasError) as caught:
        bring(write_h5ad(obs=obs.assign(cell_type="Tcells")), "label_map=config/labels/own.tsv")
    (problem,) = caught.value.problems
    assert (problem.file, problem.place) == ("config/labels/own.tsv", "Tcells")


@pytest.mark.parametrize(
    ("given", "kind", "says"),
    [
        (["donr=x"], ConfigError, "did you mean 'donor'"),
        (["donor=dono_id"], AtlasError, "did you mean 'donor_id'"),
        (["kind=tumor"], RegistryError, "tumour"),
        (["doi=a\nb"], RegistryError, "nobody can see"),
        (["counts=layers/none"], AtlasError, "no such matrix"),
        (["format=csv"], TargetscoreError, "format"),
        (["donor==unknown"], AtlasError, "no cell is left"),
        (["lineage=plasma sell"], AtlasError, "no Cell Ontology term"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_written(bring, write_h5ad, given, kind, says):
    with pytest.raises(kind, match=says):
        bring(write_h5ad(), *given)


@pytest.mark.parametrize("name", ["Mine", "../mine", "a b", "simulated_myeloma"])
def test_names_that_cannot_be_are_refused(bring, write_h5ad, name):
    with pytest.raises(TargetscoreError):
        bring(write_h5ad(), name=name)


def test_the_same_file_is_not_added_twice(bring, write_h5ad):
    path = write_h5ad()
    bring(path)
    with pytest.raises(RegistryError, match="is the same data"):
        bring(path, name="again")


def broken(path: Path, how: str) -> Path:
    if how == "missing":
        return path.with_name("none.h5ad")
    if how == "newline":
        return path.rename(path.with_name("a\nb.h5ad"))
    if how == "cut":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "text":
        path.write_text("cell\tgene\n")
    elif how == "empty folder":
        (path.parent / "empty").mkdir()
        return path.parent / "empty"
    else:
        with h5py.File(path, "a") as file:
            if how == "layers is a number":
                del file["layers"]
                file["layers"] = 1
            elif how == "obs is a number":
                del file["obs"]
                file["obs"] = 1
            elif how == "no genes":
                del file["var"]
            else:
                del file["X"]
    return path


@pytest.mark.parametrize(
    "how",
    ["missing", "newline", "cut", "text", "empty folder", "layers is a number"]
    + ["obs is a number", "no genes", "no matrix"],
)
def test_broken_files_end_in_a_named_error(bring, write_h5ad, how):
    with pytest.raises(AtlasError):
        bring(broken(write_h5ad(), how))


def test_the_row_is_shown_before_it_is_written(bring, write_h5ad, tables):
    before = tables()
    with pytest.raises(NotWrittenError, match="give --yes"):
        bring(write_h5ad(), agreed=False)
    assert tables() == before


def test_a_person_is_asked_and_may_decline(bring, write_h5ad, obs, tables):
    before = tables()
    table = obs[["donor_id", "tissue"]].assign(cell_type="bcells")
    path = write_h5ad(obs=table.rename(columns={"donor_id": "V1"}))
    answers = ["V2", "V1", "", "=normal", "", "a caveat", "9", "1"]
    with pytest.raises(NotWrittenError, match="nothing written"):
        bring(path, answers=[*answers, "n"], agreed=False)
    assert tables() == before
    shown = bring(path, answers=[*answers, "y"], agreed=False)
    assert "one of: cell, V1, tissue, cell_type" in shown.text
    assert "something must be said" in shown.text
    assert (row().donor, row().disease, row().note) == ("V1", "=normal", "a caveat")
    assert "bcells\tCL:0000236" in Path(row().label_map).read_text()


def test_a_row_that_cannot_be_written_leaves_no_label_map(project, bring, write_h5ad, obs):
    path = write_h5ad(obs=obs.assign(cell_type="Tcells"))
    (project / "config/.atlases.tsv.tmp").mkdir()  # where the registry is written first
    with pytest.raises(NotWrittenError, match="cannot be written"):
        bring(path)


def test_answers_that_end_early_write_nothing(bring, write_h5ad, obs):
    with pytest.raises(NotWrittenError, match="answers ended"):
        bring(write_h5ad(obs=obs[["tissue"]]), answers=["=P1"])


def test_a_file_is_named_after_itself():
    assert slug("data/My Patients (v2).H5AD") == "my_patients_v2"
    assert slug("é.h5ad") == "atlas"
