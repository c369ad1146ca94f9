"""Inputs as they should not be: each takes a good one and breaks it in one way.

A case is a name, what breaks the input, and what must come out: words of a named error, or a
function that holds the tables against what was put in.
"""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import scipy.io
import scipy.sparse as sp

N = 60
GENES = ["TNFRSF17", "SLAMF7", "GPRC5D", "CD19", "CD38", "SDC1", "FCRL5", "CD46", "IL3RA", "CRLF2"]
GENES += [f"GENE{i}" for i in range(90)]


@dataclass(frozen=True)
class Case:
    """One broken input."""

    name: str
    make: Callable[[Path], dict[str, str] | None]
    expected: str | Callable


def counts() -> np.ndarray:
    return np.random.default_rng(3).poisson(1.5, (N, len(GENES)))


def labels(**changes) -> pd.DataFrame:
    donors = np.repeat(["P1", "P2", "P3", "H1", "H2", "H3"], N // 6)
    patient = np.char.startswith(donors, "P")
    table = pd.DataFrame(
        {
            "donor_id": donors,
            "cell_type": np.where(np.arange(N) % 2, "plasma cell", "T cell"),
            "tissue": "bone marrow",
            "disease": np.where(patient, "plasma cell myeloma", "normal"),
            "malignancy": np.where(patient & (np.arange(N) % 2 == 1), "malignant", "normal"),
        },
        index=[f"cell{i}" for i in range(N)],
    )
    return table.assign(**changes)


def one(column: str, value: object, row: int = 3) -> pd.DataFrame:
    table = labels()
    table[column] = table[column].astype(object)
    table.loc[table.index[row], column] = value
    return table


def h5ad(x=None, obs=None, genes=None) -> Callable[[Path], None]:
    """Write an h5ad file with other parts."""

    def make(folder: Path) -> None:
        values = counts() if x is None else x(counts())
        matrix = values if sp.issparse(values) else sp.csr_matrix(values.astype(np.float32))
        table = labels() if obs is None else obs()
        data = ad.AnnData(matrix, obs=table)
        data.var_names = GENES if genes is None else genes(list(GENES))
        data.write_h5ad(folder / "a.h5ad")

    return make


def broken(edit: Callable[[h5py.File], object]) -> Callable[[Path], None]:
    """Write a good h5ad file, then change what is inside."""

    def make(folder: Path) -> None:
        h5ad()(folder)
        with h5py.File(folder / "a.h5ad", "r+") as file:
            edit(file)

    return make


def replaced(place: str, value: object) -> Callable[[Path], None]:
    """Put other values into a data set; a function gets the old ones."""

    def edit(file: h5py.File) -> None:
        new = value(file[place][:]) if callable(value) else value
        kept = dict(file[place].attrs)
        del file[place]
        file[place] = new
        file[place].attrs.update(kept)

    return broken(edit)


def content(edit: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    """Change the bytes of an h5ad file."""

    def make(folder: Path) -> None:
        h5ad()(folder)
        path = folder / "a.h5ad"
        path.write_bytes(edit(path.read_bytes()))

    return make


def attribute(name: str, value: object) -> Callable[[Path], None]:
    def edit(file: h5py.File) -> None:
        if value is None:
            del file["X"].attrs[name]
        else:
            file["X"].attrs[name] = value

    return broken(edit)


def kept_all(made, found) -> None:
    """Every cell is there, with the counts that were put in."""
    assert len(made.cells) == N
    assert found.quality["n_counts"].tolist() == counts().sum(1).tolist()


def rejected(reason: str, n: int) -> Callable:
    def check(made, found) -> None:
        assert made.summary["rejected"] == {reason: n}
        assert len(made.rejected) == n
        assert len(made.cells) == N - n

    return check


def donors_are(*names: str) -> Callable:
    def check(made, found) -> None:
        kept_all(made, found)
        assert set(made.cells["donor"].astype(str)) == {*names, "P2", "P3", "H1", "H2", "H3"}

    return check


def first_donor(name: str) -> Callable[[Path], None]:
    return h5ad(obs=lambda: labels().replace({"donor_id": {"P1": name}}))


def same_gene(made, found) -> None:
    kept_all(made, found)
    ids = made.genes["gene_id"].tolist()
    assert ids[0] == ids[1] == "ENSG00000048462"


def alias_is_ambiguous(made, found) -> None:
    kept_all(made, found)
    assert made.genes.loc[1, "resolution"] == "ambiguous"
    assert made.genes["gene_id"].tolist()[:2] == ["ENSG00000048462", "symbol:CD269"]


def six_donors(made, found) -> None:
    kept_all(made, found)
    assert set(made.cells["donor"].astype(str)) == set("012345")


def one_gene_on_x_and_y(made, found) -> None:
    kept_all(made, found)
    assert made.genes["gene_id"].tolist()[8:10] == ["ENSG00000185291"] * 2


def huge_count(made, found) -> None:
    expected = counts().sum(1)
    expected[0] += 2**31 - counts()[0, 0]
    assert found.quality["n_counts"].tolist() == expected.tolist()


def measured_zero(made, found) -> None:
    assert "TNFRSF17" in set(made.genes["symbol"])
    assert found.quality["n_genes"].tolist() == (counts()[:, 1:] > 0).sum(1).tolist()


def unresolved(made, found) -> None:
    kept_all(made, found)
    assert made.summary["genes_by_resolution"] == {"unresolved": len(GENES)}


def to_cpm(values: np.ndarray) -> np.ndarray:
    return np.rint(1e6 * values / values.sum(1, keepdims=True))


H5AD = [
    Case("empty file", content(lambda b: b""), "a.h5ad"),
    Case("text instead of HDF5", content(lambda b: b"gene\tcell\n"), "a.h5ad"),
    Case("only the signature", content(lambda b: b[:8]), "a.h5ad"),
    Case("first half only", content(lambda b: b[: len(b) // 2]), "truncated"),
    Case("last bytes cut off", content(lambda b: b[:-100]), "truncated"),
    Case("gzipped", content(gzip.compress), "a.h5ad"),
    Case("no obs", broken(lambda f: f.pop("obs")), "not AnnData"),
    Case("no var", broken(lambda f: f.pop("var")), "not AnnData"),
    Case("no matrix", broken(lambda f: f.pop("X")), "no matrix holds raw counts"),
    Case("no indptr", broken(lambda f: f.pop("X/indptr")), "cannot be read"),
    Case("no indices", broken(lambda f: f.pop("X/indices")), "cannot be read"),
    Case("no data", broken(lambda f: f.pop("X/data")), "cannot be read"),
    Case("indptr goes back", replaced("X/indptr", lambda v: v[::-1]), "cannot be read"),
    Case("indptr too short", replaced("X/indptr", lambda v: v[:-3]), "cannot be read"),
    Case("indptr beyond the data", replaced("X/indptr", lambda v: v * 3), "cannot be read"),
    Case("column beyond the genes", replaced("X/indices", lambda v: v + 95), "out of range"),
    Case("negative column", replaced("X/indices", lambda v: v - 9), "out of range"),
    Case("data shorter than indices", replaced("X/data", lambda v: v[:-5]), "cannot be read"),
    Case("matrix of text", replaced("X/data", lambda v: v.astype("S4")), "text"),
    Case("matrix of truth values", replaced("X/data", lambda v: v > 0), "true/false"),
    Case("complex numbers", replaced("X/data", lambda v: v.astype(complex)), "a.h5ad"),
    Case("axes swapped in the shape", attribute("shape", np.array([100, 60])), "cannot be read"),
    Case("no shape", attribute("shape", None), "a.h5ad"),
    Case("negative shape", attribute("shape", np.array([-60, 100])), "a.h5ad"),
    Case("shape of text", attribute("shape", "sixty"), "a.h5ad"),
    Case("three axes", attribute("shape", np.array([60, 100, 2])), "a.h5ad"),
    Case(
        "dangling link",
        broken(lambda f: f.move("X", "Y") or f.__setitem__("X", h5py.SoftLink("/no"))),
        "a.h5ad",
    ),
    Case(
        "matrix in another file",
        broken(lambda f: f.move("X", "Y") or f.__setitem__("X", h5py.ExternalLink("b.h5", "/X"))),
        "a.h5ad",
    ),
    Case("label column cut short", replaced("obs/tissue/codes", lambda v: v[:-4]), "a.h5ad"),
    Case("label codes out of range", replaced("obs/donor_id/codes", lambda v: v + 9), "a.h5ad"),
    Case("labels without categories", broken(lambda f: f.pop("obs/donor_id/categories")), "obs"),
    Case("no barcodes", broken(lambda f: f.pop("obs/_index")), "obs"),
    Case(
        "obs is no table", broken(lambda f: f.pop("obs") and f.__setitem__("obs", [1, 2])), "a.h5ad"
    ),
    Case("not a number", h5ad(lambda x: np.where(x == 3, np.nan, x)), "not finite"),
    Case("infinite", h5ad(lambda x: np.where(x == 3, np.inf, x)), "not finite"),
    Case("negative counts", h5ad(lambda x: x - 1), "negative"),
    Case("log-normalised", h5ad(lambda x: np.log1p(x)), "log-normalised"),
    Case("decimals", h5ad(lambda x: x * 1.5), "not whole numbers"),
    Case(
        "one count of 2^31",
        h5ad(lambda x: np.where(np.arange(x.size).reshape(x.shape) == 0, 2**31, x)),
        huge_count,
    ),
    Case(
        "one count of 2^60",
        h5ad(lambda x: np.where(np.arange(x.size).reshape(x.shape) == 0, 2**60, x)),
        "too large",
    ),
    Case("all counts times ten", h5ad(lambda x: x * 10), "multiples of 10"),
    Case("rounded counts per million", h5ad(to_cpm), "nearly the same sum"),
    Case("no count at all", h5ad(lambda x: x * 0), "no_counts"),
    Case(
        "one gene without a count", h5ad(lambda x: x * (np.arange(x.shape[1]) > 0)), measured_zero
    ),
    Case("zero cells", h5ad(lambda x: x[:0], lambda: labels()[:0]), "no cell"),
    Case("zero genes", h5ad(lambda x: x[:, :0], genes=lambda g: []), "holds no gene"),
    Case(
        "cells and genes swapped",
        h5ad(
            lambda x: x.T,
            lambda: pd.DataFrame(index=GENES),
            lambda g: [f"cell{i}" for i in range(N)],
        ),
        "nothing says the donor",
    ),
    Case("mouse genes", h5ad(genes=lambda g: [f"Tnfrsf{i}" for i in range(len(g))]), "not human"),
    Case(
        "genes nobody knows", h5ad(genes=lambda g: [f"XQ{i}Z" for i in range(len(g))]), unresolved
    ),
    Case(
        "one gene in two columns",
        h5ad(genes=lambda g: ["TNFRSF17", "ENSG00000048462.12", *g[2:]]),
        same_gene,
    ),
    Case(
        "an alias beside its gene",
        h5ad(genes=lambda g: ["TNFRSF17", "CD269", *g[2:]]),
        alias_is_ambiguous,
    ),
    Case(
        "one gene on X and Y",
        h5ad(genes=lambda g: [*g[:8], "ENSG00000185291.12", "ENSG00000185291.12_PAR_Y", *g[10:]]),
        one_gene_on_x_and_y,
    ),
    Case("empty gene name", h5ad(genes=lambda g: ["", *g[1:]]), kept_all),
    Case(
        "NaN among donors", h5ad(obs=lambda: one("donor_id", np.nan)), "1 of 60 cells have no donor"
    ),
    Case(
        "NaN among cell types",
        h5ad(obs=lambda: one("cell_type", np.nan)),
        "1 of 60 cells have no cell_type",
    ),
    Case(
        "NaN among tissues", h5ad(obs=lambda: one("tissue", None)), "1 of 60 cells have no tissue"
    ),
    Case(
        "NaN among diseases",
        h5ad(obs=lambda: one("disease", None)),
        "1 of 60 cells have no disease",
    ),
    Case("blank donor", h5ad(obs=lambda: one("donor_id", "  ")), "1 of 60 cells have no donor"),
    Case(
        "numbers as tissues, some missing",
        h5ad(obs=lambda: labels(tissue=[np.nan, *np.ones(59)])),
        "1 of 60 cells have no tissue",
    ),
    Case(
        "a call nobody understands",
        h5ad(obs=lambda: one("malignancy", "perhaps")),
        "not understood: perhaps",
    ),
    Case(
        "one donor unknown",
        h5ad(obs=lambda: labels().replace({"donor_id": {"P1": "unknown"}})),
        rejected("donor_unknown", 10),
    ),
    Case(
        "pooled donors",
        h5ad(obs=lambda: labels().replace({"donor_id": {"H1": "pooled"}})),
        rejected("donor_unknown", 10),
    ),
    Case(
        "cell type unknown",
        h5ad(obs=lambda: one("cell_type", "unknown")),
        rejected("cell_type_unknown", 1),
    ),
    Case(
        "second copies",
        h5ad(obs=lambda: labels(is_primary_data=np.arange(N) > 4)),
        rejected("not_primary_data", 5),
    ),
    Case("every donor unknown", h5ad(obs=lambda: labels(donor_id="na")), "no cell is left"),
    Case(
        "barcodes repeat",
        h5ad(obs=lambda: labels().set_axis(["cell1", *labels().index[1:]])),
        "barcodes repeat",
    ),
    Case(
        "donors as numbers",
        h5ad(obs=lambda: labels(donor_id=np.repeat(range(6), 10))),
        six_donors,
    ),
    Case(
        "HTML as a donor",
        first_donor("<script>alert(1)</script>"),
        donors_are("<script>alert(1)</script>"),
    ),
    Case("path as a donor", first_donor("../../etc/passwd"), donors_are("../../etc/passwd")),
    Case("newline in a donor", first_donor("P\n1"), donors_are("P\n1")),
    Case("right-to-left mark in a donor", first_donor("P\u202e1"), donors_are("P\u202e1")),
    Case("very long donor", first_donor("P" * 70_000), donors_are("P" * 70_000)),
    Case("HTML as a cell type", h5ad(obs=lambda: one("cell_type", "<b>T</b>")), kept_all),
    Case(
        "terminal codes in a call",
        h5ad(obs=lambda: one("malignancy", "\x1b[31m\u202e")),
        "not understood",
    ),
]


def tenx(edit: Callable[[h5py.File], object] = lambda f: None) -> Callable[[Path], dict[str, str]]:
    """Write a 10x HDF5 file, then change what is inside; labels are joined."""

    def make(folder: Path) -> dict[str, str]:
        by_cell = sp.csc_matrix(counts().T)
        with h5py.File(folder / "a.h5", "w") as file:
            matrix = file.create_group("matrix")
            for name in ("data", "indices", "indptr"):
                matrix[name] = getattr(by_cell, name)
            matrix["shape"] = by_cell.shape
            matrix["barcodes"] = np.array([f"cell{i}" for i in range(N)], "S")
            matrix["features/id"] = np.array([f"ENSG{i:011d}" for i in range(len(GENES))], "S")
            matrix["features/name"] = np.array(GENES, "S")
            matrix["features/feature_type"] = np.array(["Gene Expression"] * len(GENES), "S")
            edit(file)
        return {"format": "tenx_h5", **_joined(folder)}

    return make


def _joined(folder: Path, **changes: object) -> dict[str, str]:
    labels(**changes).rename_axis("cell").to_csv(folder / "labels.tsv", sep="\t")
    return {"cell_labels": str(folder / "labels.tsv")}


def swap(place: str, value: Callable) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        new = value(file[place][:])
        del file[place]
        file[place] = new

    return edit


TENX = [
    Case("10x: right", tenx(), kept_all),
    Case("10x: no barcodes", tenx(lambda f: f.pop("matrix/barcodes")), "a.h5"),
    Case("10x: too few barcodes", tenx(swap("matrix/barcodes", lambda v: v[:-1])), "a.h5"),
    Case("10x: no feature types", tenx(lambda f: f.pop("matrix/features/feature_type")), "a.h5"),
    Case(
        "10x: antibodies only",
        tenx(swap("matrix/features/feature_type", lambda v: np.full(len(v), b"Antibody Capture"))),
        "holds no gene",
    ),
    Case("10x: negative shape", tenx(swap("matrix/shape", lambda v: -v)), "a.h5"),
    Case("10x: shape swapped", tenx(swap("matrix/shape", lambda v: v[::-1])), "a.h5"),
    Case("10x: decimals", tenx(swap("matrix/data", lambda v: v * 0.3)), "not whole numbers"),
    Case(
        "10x: indices out of range", tenx(swap("matrix/indices", lambda v: v + 100)), "out of range"
    ),
    Case(
        "10x: is AnnData",
        lambda folder: (
            h5ad()(folder)
            or {"format": "tenx_h5", "url": str((folder / "a.h5ad").rename(folder / "a.h5"))}
        ),
        "not a 10x matrix",
    ),
]


def mtx(edit: Callable[[Path], object] = lambda p: None, matrix=None) -> Callable[[Path], dict]:
    """Write a matrix-market folder, then change its files; labels are joined."""

    def make(folder: Path) -> dict[str, str]:
        path = folder / "mtx"
        path.mkdir()
        scipy.io.mmwrite(
            path / "matrix.mtx", sp.csc_matrix((counts() if matrix is None else matrix).T)
        )
        (path / "barcodes.tsv").write_text("".join(f"cell{i}\n" for i in range(N)))
        lines = [f"ENSG{i:011d}\t{g}\tGene Expression\n" for i, g in enumerate(GENES)]
        (path / "features.tsv").write_text("".join(lines))
        edit(path)
        return {"format": "tenx_mtx", **_joined(folder)}

    return make


def lines(name: str, change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / name
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")

    return edit


def zipped(name: str, cut: int = 0) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        whole = gzip.compress((folder / name).read_bytes())
        (folder / f"{name}.gz").write_bytes(whole[: len(whole) - cut])
        (folder / name).unlink()

    return edit


def last(value: str) -> Callable[[list[str]], list[str]]:
    """Replace the count of the last line."""
    return lambda found: [*found[:-1], " ".join([*found[-1].split()[:2], value])]


MTX = [
    Case("mtx: right, gzipped", mtx(zipped("matrix.mtx")), kept_all),
    Case("mtx: gzip cut short", mtx(zipped("matrix.mtx", 200)), "matrix.mtx.gz"),
    Case("mtx: cut short", mtx(lines("matrix.mtx", lambda v: v[:-20])), "cut short"),
    Case("mtx: no barcodes", mtx(lambda p: (p / "barcodes.tsv").unlink()), "barcodes.tsv"),
    Case(
        "mtx: too few features",
        mtx(lines("features.tsv", lambda v: v[:-1])),
        "features has 99 lines",
    ),
    Case(
        "mtx: too many barcodes",
        mtx(lines("barcodes.tsv", lambda v: [*v, "more"])),
        "barcodes has 61",
    ),
    Case("mtx: empty", mtx(lambda p: (p / "matrix.mtx").write_text("")), "matrix.mtx"),
    Case(
        "mtx: dense",
        mtx(lines("matrix.mtx", lambda v: ["%%MatrixMarket matrix array real general", *v[1:]])),
        "matrix.mtx",
    ),
    Case(
        "mtx: header of text",
        mtx(lines("matrix.mtx", lambda v: [*v[:2], "a b c", *v[3:]])),
        "matrix.mtx",
    ),
    Case("mtx: count of text", mtx(lines("matrix.mtx", last("many"))), "matrix.mtx"),
    Case("mtx: negative count", mtx(lines("matrix.mtx", last("-3"))), "negative"),
    Case("mtx: decimal count", mtx(lines("matrix.mtx", last("2.5"))), "not whole numbers"),
    Case("mtx: gene 0", mtx(lines("matrix.mtx", lambda v: [*v[:-1], "0 60 1"])), "out of range"),
    Case(
        "mtx: gene beyond the last",
        mtx(lines("matrix.mtx", lambda v: [*v[:-1], "101 60 1"])),
        "out of range",
    ),
    Case("mtx: no count at all", mtx(matrix=counts() * 0), "no_counts"),
    Case(
        "mtx: a folder of nothing",
        lambda folder: (folder / "mtx").mkdir() or {"format": "tenx_mtx"},
        "matrix.mtx",
    ),
    Case("mtx: barcodes repeat", mtx(lines("barcodes.tsv", lambda v: ["cell1", *v[1:]])), "cell"),
]


def geo(dem=lambda t: t, anno=lambda t: t, edit=lambda p: None) -> Callable[[Path], dict[str, str]]:
    """Write a GEO text sample from changed lines, then change its files."""

    def make(folder: Path) -> dict[str, str]:
        path = folder / "geo"
        path.mkdir()
        table = pd.DataFrame(counts().T, index=pd.Index(GENES, name="Gene"), columns=labels().index)
        text = table.to_csv(sep="\t").splitlines()
        said = labels().rename_axis("Cell").to_csv(sep="\t").splitlines()
        (path / "S.dem.txt").write_text("\n".join(dem(text)) + "\n")
        (path / "S.anno.txt").write_text("\n".join(anno(said)) + "\n")
        edit(path)
        return {"format": "geo_text"}

    return make


def first_count(value: str) -> Callable[[list[str]], list[str]]:
    """Replace a count of the last gene."""

    def change(found: list[str]) -> list[str]:
        fields = found[-1].split("\t")
        fields[1] = value
        return [*found[:-1], "\t".join(fields)]

    return change


GEO = [
    Case("geo: right", geo(), kept_all),
    Case("geo: gzip cut short", geo(edit=zipped("S.dem.txt", 500)), "S.dem.txt.gz"),
    Case("geo: annotation cut short", geo(edit=zipped("S.anno.txt", 60)), "S.anno.txt.gz"),
    Case("geo: no annotation", geo(edit=lambda p: (p / "S.anno.txt").unlink()), "no .anno.txt"),
    Case("geo: empty matrix", geo(edit=lambda p: (p / "S.dem.txt").write_text("")), "S.dem.txt"),
    Case("geo: a cell without a line", geo(anno=lambda v: v[:-1]), "1 cells of S.dem.txt"),
    Case("geo: a cell twice", geo(anno=lambda v: [*v, v[-1]]), "barcodes repeat"),
    Case("geo: ragged matrix", geo(dem=lambda v: [*v[:-1], v[-1] + "\t7"]), "S.dem.txt"),
    Case("geo: ragged annotation", geo(anno=lambda v: [*v[:-1], v[-1] + "\tmore"]), "S.anno.txt"),
    Case("geo: decimal", geo(dem=first_count("0.5")), "not whole numbers"),
    Case("geo: negative", geo(dem=first_count("-1")), "negative"),
    Case("geo: text", geo(dem=first_count("many")), "S.dem.txt"),
    Case("geo: count missing", geo(dem=first_count("")), "S.dem.txt"),
    Case("geo: count NA", geo(dem=first_count("NA")), "S.dem.txt"),
    Case(
        "geo: column named twice",
        geo(dem=lambda v: [v[0].replace("cell1\t", "cell0\t", 1), *v[1:]]),
        "S",
    ),
    Case(
        "geo: not UTF-8",
        geo(edit=lambda p: (p / "S.anno.txt").write_bytes(b"Cell\tdonor\n\xff\xfe\t1\n")),
        "S.anno.txt",
    ),
]


def labelled(name: str, text: str | bytes, **fields: str) -> Callable[[Path], dict[str, str]]:
    """Write a good h5ad file and a label table beside it."""

    def make(folder: Path) -> dict[str, str]:
        h5ad()(folder)
        raw = text if isinstance(text, bytes) else text.encode()
        (folder / "t.tsv").write_bytes(raw)
        return {name: str(folder / "t.tsv"), **fields}

    return make


_TERM = "label\tcell_type_ontology_term_id\n"
LABELS = [
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

CASES = [*H5AD, *TENX, *MTX, *GEO, *LABELS]
