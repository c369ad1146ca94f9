"""GEO text samples."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from hostile.good import GENES, Case, counts, kept_all, labels, zipped


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


CASES = [
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
