"""Archives in an archive, as GEO ships one per sample: unpacked, or refused as a whole."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse as sp

from targetscore.errors import AtlasError, FetchError
from targetscore.fetch import unpack
from targetscore.formats import open_atlas
from targetscore.genes import load_genes
from targetscore.ingest import ingest_atlas

GENES = {
    "old": ["CD19", "MS4A1", "TWICE", "TWICE", "GONE"],
    "new": ["NEW", "TWICE", "MS4A1", "CD19"],
}


def packed(members: dict[str, object], mode: str = "w:gz") -> bytes:
    """A tar archive of name → content; a TarInfo is taken as it is."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as archive:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            body = b"" if isinstance(content, tarfile.TarInfo) else content
            info.name, info.size = name, len(body)
            archive.addfile(info, io.BytesIO(body))
    return stream.getvalue()


def mtx(counts: np.ndarray) -> bytes:
    stream = io.BytesIO()
    scipy.io.mmwrite(stream, sp.csc_matrix(counts.T))
    return stream.getvalue()


def sample(name: str, counts: np.ndarray, genes: list[str]) -> bytes:
    """One folder more than Cell Ranger makes, genes.tsv of symbols only, counts.mtx."""
    barcodes = "".join(f"AAAC-{i}\n" for i in range(len(counts)))
    files = {
        f"{name}/barcodes.tsv": barcodes.encode(),
        f"{name}/genes.tsv": "".join(f"{g}\n" for g in genes).encode(),
        f"{name}/counts.mtx": mtx(counts),
    }
    return packed(files)


@pytest.fixture
def counts() -> dict[str, np.ndarray]:
    draw = np.random.default_rng(3)
    return {
        "27522_1": draw.poisson(1.0, (4, 5)),
        "27522_2": draw.poisson(1.0, (3, 4)),
        "NBM8": draw.poisson(1.0, (2, 5)),
    }


@pytest.fixture
def archive(tmp_path, counts) -> Path:
    """The layout of GSE223060_RAW.tar, invented counts."""
    genes = {"27522_1": "old", "27522_2": "new", "NBM8": "old"}
    members = {
        f"GSM69{n}_{name}.tar.gz": sample(name, counts[name], GENES[genes[name]])
        for n, name in enumerate(genes)
    }
    path = tmp_path / "GSE223060_RAW.tar"
    path.write_bytes(packed(members, "w"))
    return path


def test_one_row_many_samples(archive, fetch, make_row, counts):
    fetched = fetch(str(archive))
    place = Path(fetched.location)
    assert not list(place.rglob("*.tar.gz"))
    atlas = open_atlas(make_row(str(archive), format="tenx_mtx"), fetched.location)
    assert atlas.cells["sample"].tolist() == ["27522_1"] * 4 + ["27522_2"] * 3 + ["NBM8"] * 2
    assert atlas.cells["cell"].tolist()[:5] == [
        *(f"27522_1_AAAC-{i}" for i in range(4)),
        "27522_2_AAAC-0",
    ]
    assert atlas.cells["cell"].is_unique
    assert atlas.gene_ids == ["CD19", "MS4A1"]
    read = np.vstack([b.toarray() for _, b in atlas.blocks()])
    expected = [
        counts["27522_1"][:, [0, 1]],
        counts["27522_2"][:, [3, 2]],
        counts["NBM8"][:, [0, 1]],
    ]
    assert np.array_equal(read, np.vstack(expected))
    (note,) = atlas.notes
    assert "2 gene references (5 and 4 genes)" in note
    assert "2 genes that all hold exactly once, matched by symbol" in note
    part = list(atlas.rows(5, 8))
    assert part[0].start == 5
    assert sum(len(b.indptr) - 1 for b in part) == 3


def test_nothing_is_unpacked_twice(archive, fetch):
    place = Path(fetch(str(archive)).location)
    inside = {p: p.stat().st_ino for p in place.rglob("*")}
    fetch(str(archive))
    assert {p: p.stat().st_ino for p in place.rglob("*")} == inside


def link(kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo()
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "inner",
    [
        {"good": b"1", "../../../evil": b"x"},
        {"good": b"1", "../../GSM1_a.tar.gz": b"x"},
        {"l": link(tarfile.SYMTYPE, "/etc")},
        {"l": link(tarfile.LNKTYPE, "good")},
        {"pipe": link(tarfile.FIFOTYPE, "")},
    ],
    ids=["parent", "over another", "link", "hard link", "fifo"],
)
def test_hostile_inner_archive_is_refused(fetch, tmp_path, inner):
    path = tmp_path / "x.tar"
    path.write_bytes(packed({"GSM1_a.tar.gz": packed({"a": b"1"}), "z.tar.gz": packed(inner)}, "w"))
    with pytest.raises(FetchError, match="refused"):
        fetch(str(path))
    assert list((tmp_path / "atlas").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("nested", [True, False])
def test_what_grows_without_end_is_refused(fetch, tmp_path, monkeypatch, nested):
    monkeypatch.setattr(unpack, "SLACK", 1000)
    bomb = packed({"zeros": bytes(20_000_000)})
    path = tmp_path / ("x.tar" if nested else "x.tar.gz")
    path.write_bytes(packed({"a.tar.gz": bomb}, "w") if nested else bomb)
    with pytest.raises(FetchError, match=r"unpacks to more than [\d,]+ bytes"):
        fetch(str(path))
    assert list((tmp_path / "atlas").iterdir()) == []


@pytest.mark.parametrize(
    "inner", [b"no archive", packed({"a": bytes(range(256)) * 400})[:300]], ids=["text", "cut"]
)
def test_damaged_inner_archive_is_named(fetch, tmp_path, inner):
    path = tmp_path / "x.tar"
    path.write_bytes(packed({"good.tar.gz": packed({"a": b"1"}), "GSM2_b.tar.gz": inner}, "w"))
    with pytest.raises(FetchError, match=r"damaged or no tar archive \('GSM2_b.tar.gz' in it"):
        fetch(str(path))
    assert list((tmp_path / "atlas").iterdir()) == []


def test_two_things_of_one_name(fetch, tmp_path):
    path = tmp_path / "x.tar"
    path.write_bytes(packed({"a/file": b"1", "a.tar.gz": packed({"b": b"1"})}, "w"))
    with pytest.raises(FetchError, match="something of that name already"):
        fetch(str(path))


def test_an_archive_with_a_sample_cut_short(archive, fetch, make_row, counts, tmp_path):
    place = Path(fetch(str(archive)).location)
    matrix = next(place.rglob("27522_2/counts.mtx"))
    matrix.write_text("".join(matrix.read_text().splitlines(keepends=True)[:-1]))
    atlas = open_atlas(make_row(str(archive), format="tenx_mtx"), str(place))
    with pytest.raises(AtlasError, match="27522_2.*\n.*cut short"):
        list(atlas.blocks())


def test_labels_are_joined_by_sample(archive, fetch, make_row, tmp_path, repository):
    """What a user writes for such an atlas: one line per sample."""
    labels = tmp_path / "samples.tsv"
    labels.write_text(
        "sample\tdonor\tdisease\n"
        "27522_1\t27522\tplasma cell myeloma\n"
        "27522_2\t27522\tplasma cell myeloma\n"
        "NBM8\tNBM8\tnormal\n"
    )
    row = make_row(
        str(archive),
        format="tenx_mtx",
        cell_labels=str(labels),
        tissue="=bone marrow",
        cell_type="=plasma cell",
        lineage="plasma cell",
        note="Cut at 10,000 UMI before deposit.",
    )
    genes = load_genes(str(repository / "config" / "knowledge"))
    found = ingest_atlas(row, fetch(str(archive)).location, genes, "atlases.tsv")
    who = found.cells.groupby(["donor", "sample", "population"]).size().to_dict()
    assert who == {
        ("27522", "27522_1", "diseased"): 4,
        ("27522", "27522_2", "diseased"): 3,
        ("NBM8", "NBM8", "healthy"): 2,
    }
    assert found.genes["symbol"].tolist() == ["CD19", "MS4A1"]
    assert found.summary["note"].startswith("Cut at 10,000 UMI before deposit. Its samples were")
    assert "2 gene references" in found.summary["reading"][0]
