"""Folders of 10x matrix-market samples: how they are found, named and put together."""

import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from targetscore.errors import AtlasError
from targetscore.formats import base, open_atlas
from targetscore.formats.mtx_samples import shared_genes

IDS = [f"ENSG{i:011d}" for i in range(4)]


def write(
    folder: Path,
    counts: np.ndarray,
    genes: list[tuple[str, ...]],
    prefix: str = "",
    matrix: str = "matrix.mtx.gz",
    features: str = "features.tsv.gz",
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ending = ".gz" if matrix.endswith(".gz") else ""
    scipy.io.mmwrite(folder / f"{prefix}plain.mtx", sp.csc_matrix(counts.T))
    made = (folder / f"{prefix}plain.mtx").read_bytes()
    (folder / f"{prefix}plain.mtx").unlink()
    texts = {
        matrix: made,
        f"barcodes.tsv{ending}": "".join(f"AC{i}-1\n" for i in range(len(counts))).encode(),
        features: "".join("\t".join(g) + "\n" for g in genes).encode(),
    }
    for name, content in texts.items():
        path = folder / f"{prefix}{name}"
        path.write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)


@pytest.fixture
def two() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(8)
    return {"A": draw.poisson(1, (5, 4)), "B": draw.poisson(1, (3, 4))}


def full(n: int) -> list[tuple[str, ...]]:
    return [(IDS[i], f"G{i}", "Gene Expression") for i in range(n)]


LAYOUTS = {
    "folders": ("{s}", "", {}),
    "cell ranger": ("{s}/outs/filtered_feature_bc_matrix", "", {}),
    "early cell ranger": (
        "{s}/filtered_gene_bc_matrices/GRCh38",
        "",
        {"matrix": "matrix.mtx", "features": "genes.tsv"},
    ),
    "accessions": ("GSM12_{s}/{s}", "", {"matrix": "counts.mtx", "features": "genes.tsv"}),
    "flat": (".", "GSM12_{s}_", {}),
    "flat with dots": (".", "GSM12_{s}.", {}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("limit", [1, 1000])
def test_layouts(atlas_row, tmp_path, two, layout, limit, monkeypatch):
    monkeypatch.setattr(base, "BLOCK_VALUES", limit)
    place, prefix, how = LAYOUTS[layout]
    for s, counts in two.items():
        write(tmp_path / place.format(s=s), counts, full(4), prefix.format(s=s), **how)
    atlas = open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))
    read = np.vstack([b.toarray() for _, b in atlas.blocks()])
    assert np.array_equal(read, np.vstack([two["A"], two["B"]]))
    assert atlas.cells["sample"].tolist() == ["A"] * 5 + ["B"] * 3
    assert atlas.cells["cell"].tolist()[4:6] == ["A_AC4-1", "B_AC0-1"]
    assert atlas.cells["cell"].is_unique
    assert (atlas.gene_ids, atlas.gene_symbols) == (IDS, ["G0", "G1", "G2", "G3"])
    assert atlas.notes == ()
    atlas.peek()


def test_a_sample_in_the_folder_itself_keeps_its_barcodes(atlas_row, tmp_path, two):
    write(tmp_path, two["A"], full(4))
    atlas = open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))
    assert atlas.cells.columns.tolist() == ["cell"]
    assert atlas.cells["cell"].iloc[0] == "AC0-1"


def test_samples_below_a_folder_that_is_one_itself_are_named(atlas_row, tmp_path, two):
    write(tmp_path, two["A"], full(4))
    write(tmp_path / "below", two["B"], full(4))
    write(tmp_path, two["B"], full(4), "beside\x1b_")
    atlas = open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))
    assert atlas.shape == (5, 4)
    (note,) = atlas.notes
    assert note.endswith("2 more in it were not read: beside\\x1b_, below")


def test_genes_are_matched_by_ensembl_id_where_all_have_it(atlas_row, tmp_path, two):
    """Versions do not matter, and neither does that one symbol was renamed."""
    write(tmp_path / "A", two["A"], full(4))
    other = [(f"{IDS[i]}.{i}", "renamed" if i == 2 else f"G{i}") for i in (3, 2, 0)]
    write(tmp_path / "B", two["B"][:, [3, 2, 0]], other)
    atlas = open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))
    assert atlas.gene_ids == [IDS[0], IDS[2], IDS[3]]
    read = np.vstack([b.toarray() for _, b in atlas.blocks()])
    assert np.array_equal(read, np.vstack([two["A"], two["B"]])[:, [0, 2, 3]])
    assert "(4 and 3 genes)" in atlas.notes[0]
    assert "matched by Ensembl id" in atlas.notes[0]


@pytest.mark.parametrize(("twice", "kept"), [("AB", 4), ("A", 2), ("", 3)])
def test_a_gene_on_x_and_y_is_kept_where_all_tables_have_both(
    atlas_row, tmp_path, two, twice, kept
):
    """IL3RA and CRLF2 are such genes; half of one sample's counts must not be lost."""
    for s, version in (("A", 3), ("B", 12)):
        other = f"{IDS[0]}.{version}_PAR_Y" if s in twice else f"x{s}"
        ids = [f"{IDS[0]}.{version}", IDS[1], IDS[2], other]
        genes = [(i, f"G{n % 3}") for n, i in enumerate(ids) if i[0] == "E"]
        write(tmp_path / s, two[s][:, : len(genes)], genes)
    atlas = open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))
    assert len(atlas.gene_ids) == kept
    assert (IDS[0] in atlas.gene_ids) == (twice != "A")
    assert (f"{IDS[0]}_PAR_Y" in atlas.gene_ids) == (twice == "AB")
    read = np.vstack([b.toarray() for _, b in atlas.blocks()])
    first = 0 if twice != "A" else 1
    expected = [two[s][:, first : first + kept] for s in "AB"]
    assert np.array_equal(read, np.vstack(expected))


def test_antibodies_of_one_sample_are_no_genes(atlas_row, tmp_path, two):
    write(tmp_path / "A", two["A"], full(4))
    mixed = [*full(3), ("CD19", "CD19", "Antibody Capture")]
    write(tmp_path / "B", two["B"], mixed)
    atlas = open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))
    assert atlas.gene_ids == IDS[:3]


@pytest.mark.parametrize("swap", ["one", "both"])
def test_cells_times_genes_is_refused(atlas_row, tmp_path, two, swap):
    write(tmp_path / "A", two["A"] if swap == "one" else two["A"].T, full(4))
    if swap == "both":
        names = "".join(f"AC{i}-1\n" for i in range(5)).encode()
        (tmp_path / "A/barcodes.tsv.gz").write_bytes(gzip.compress(names))
        wrong = "matrix.mtx.gz is cells × genes .5 × 4"
    else:
        (tmp_path / "A/barcodes.tsv.gz").write_bytes(gzip.compress(b"AC0-1\n"))
        wrong = "barcodes has 1 lines, matrix.mtx.gz says 5"
    with pytest.raises(AtlasError, match=wrong):
        open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))


def test_all_samples_with_a_problem_at_once(atlas_row, tmp_path, two):
    for s in ("A", "B", "C"):
        write(tmp_path / s, two["A"], full(4))
    (tmp_path / "A/barcodes.tsv.gz").unlink()
    (tmp_path / "C/features.tsv.gz").unlink()
    with pytest.raises(AtlasError) as caught:
        open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))
    assert len(caught.value.problems) == 2


def test_two_matrices_of_one_sample(atlas_row, tmp_path, two):
    for kind in ("raw", "filtered"):
        write(tmp_path / f"A/outs/{kind}_feature_bc_matrix", two["A"], full(4))
    with pytest.raises(AtlasError, match="another matrix of the sample 'A'.*\n.*keep one"):
        open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))


def test_samples_without_a_gene_in_common(atlas_row, tmp_path, two):
    write(tmp_path / "A", two["A"], full(4))
    write(tmp_path / "B", two["B"], [(f"x{i}", f"x{i}") for i in range(4)])
    with pytest.raises(AtlasError, match="share no symbol"):
        open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))


def test_no_sample_at_all(atlas_row, tmp_path):
    (tmp_path / "note.txt").write_text("nothing")
    with pytest.raises(AtlasError, match=r"has no matrix.mtx\[.gz\] or counts.mtx.*note.txt"):
        open_atlas(atlas_row(format="tenx_mtx"), str(tmp_path))


SYMBOLS = st.lists(st.sampled_from("ABCDEF"), min_size=1, max_size=8)


@given(first=SYMBOLS, second=SYMBOLS)
def test_shared_genes_are_those_that_stand_once_in_each(first, second):
    tables = [
        pd.DataFrame({"id": names, "symbol": names, "is_gene": True}) for names in (first, second)
    ]
    expected = [g for g in first if first.count(g) == 1 and second.count(g) == 1]
    if not expected:
        with pytest.raises(AtlasError, match="share no symbol"):
            shared_genes(tables, "x")
        return
    genes = shared_genes(tables, "x")
    assert genes.ids == expected
    for names, columns in zip((first, second), genes.columns, strict=True):
        assert [names[i] for i in columns] == expected
