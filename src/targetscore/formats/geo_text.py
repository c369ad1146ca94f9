"""GEO text matrices: one ``*.dem.txt[.gz]`` (genes × cells) and one ``*.anno.txt[.gz]`` per sample.

The accession numbers of a sample's two files may differ; they are paired by sample name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import scipy.sparse as sp

from targetscore.config.models import AtlasRow
from targetscore.errors import AtlasError, MatrixError, Problem, listed, plain, raise_all
from targetscore.formats.base import Names, OpenAtlas, as_counts, row_ranges, stream_rows

_NAME = re.compile(r"^(?:GSM\d+_)?(?P<sample>.+)\.(?P<kind>dem|anno)\.txt(?:\.gz)?$")
_BLOCK_BYTES = 4 << 20


def open_geo_text(row: AtlasRow, location: str) -> OpenAtlas:
    """Open a folder of GEO text matrices; each sample's name becomes the column ``sample``.

    Raises
    ------
    AtlasError
        If a sample lacks one of its files, or its cells or genes do not fit together.
    """
    del row
    pairs = _pairs(Path(location))
    tables, genes, problems = [], [], []
    for sample, (dem, anno) in pairs.items():
        cells = _header(dem)
        table = _annotation(anno)
        missing, extra = set(cells) - set(table.index), set(table.index) - set(cells)
        if missing or extra:
            wrong = (
                f"{len(missing):,} cells of {dem.name} are not in it and {len(extra):,} of its "
                f"cells are not in the matrix (for example {listed(sorted(missing | extra), 3)})"
            )
            problems.append(Problem(str(anno), "first column", wrong, "get the matching files"))
            continue
        table = table.loc[cells].reset_index(drop=True)
        table.insert(0, "cell", cells)
        table["sample"] = sample
        tables.append(table)
        genes.append((dem, _gene_names(dem)))
    raise_all(AtlasError, problems)
    order = genes[0][1]
    for dem, others in genes[1:]:
        if others != order:
            wrong = (
                f"its {len(others):,} genes differ from the {len(order):,} of {genes[0][0].name}"
            )
            remedy = "register samples with different genes as separate atlases"
            raise AtlasError.one(dem, "first column", wrong, remedy)
    matrices = [dem for dem, _ in pairs.values()]
    names = Names(pd.concat(tables, ignore_index=True), order, list(order))
    return OpenAtlas(
        location=location,
        counts="*.dem.txt",
        shape=(len(names.cells), len(order)),
        read_names=lambda: names,
        rows=lambda start, stop: stream_rows(_blocks(matrices), start, stop),
        peek=lambda: _peek(matrices),
    )


def _pairs(folder: Path) -> dict[str, tuple[Path, Path]]:
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        match = _NAME.match(path.name)
        if match:
            files = found.setdefault(match["sample"], {})
            if match["kind"] in files:
                wrong = f"the sample '{match['sample']}' has two .{match['kind']} files"
                raise AtlasError.one(path, "", wrong, "leave one of them in the folder")
            files[match["kind"]] = path
    if not found:
        raise AtlasError.one(
            folder, "", "holds no *.dem.txt.gz files", "give the folder of GEO sample files"
        )
    problems = [
        Problem(str(path), "", f"the sample '{sample}' has no .{other}.txt file", "add it")
        for sample, files in found.items()
        for kind, path in files.items()
        if (other := {"dem": "anno", "anno": "dem"}[kind]) not in files
    ]
    raise_all(AtlasError, problems)
    return {sample: (files["dem"], files["anno"]) for sample, files in sorted(found.items())}


def _stream(path: Path) -> pa.NativeFile:
    return pa.input_stream(str(path), compression="gzip" if path.suffix == ".gz" else None)


def _unreadable(path: Path, error: Exception) -> MatrixError:
    return MatrixError.one(
        path, "", f"cannot be read ({plain(error)})", "it is damaged or cut short; fetch it again"
    )


def _header(path: Path) -> list[str]:
    try:
        return list(pd.read_csv(path, sep="\t", nrows=0, quoting=3, index_col=0).columns)
    except (OSError, EOFError, ValueError) as error:
        raise _unreadable(path, error) from error


def _annotation(path: Path) -> pd.DataFrame:
    names = [_first_column(path), *_header(path)]
    try:
        texts = pacsv.read_csv(
            _stream(path),
            parse_options=pacsv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string())),
        ).to_pandas()
    except pa.ArrowInvalid as error:
        remedy = "give every row as many fields as the header"
        raise AtlasError.one(path, "", f"is not a table ({plain(error)})", remedy) from error
    except (OSError, EOFError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error
    table = texts.set_index(texts.columns[0]).rename(columns={"cell": "cell_column"})
    if table.index.has_duplicates:
        repeated = table.index[table.index.duplicated()].unique()
        raise AtlasError.one(
            path,
            "first column",
            f"barcodes repeat: {listed(repeated, 3)}",
            "give each cell one row",
        )
    return table


def _gene_names(path: Path) -> list[str]:
    try:
        reader = pacsv.open_csv(
            _stream(path),
            read_options=pacsv.ReadOptions(block_size=_BLOCK_BYTES),
            parse_options=pacsv.ParseOptions(delimiter="\t", quote_char=False),
            convert_options=pacsv.ConvertOptions(include_columns=[_first_column(path)]),
        )
        return [str(v) for batch in reader for v in batch.column(0).to_pylist()]
    except (OSError, EOFError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _first_column(path: Path) -> str:
    try:
        with _stream(path) as stream:
            start = bytes(stream.read(4096))
    except OSError as error:
        raise _unreadable(path, error) from error
    return start.split(b"\t", 1)[0].decode(errors="replace").strip("\r\n")


def _batches(path: Path, kind: pa.DataType) -> Iterator[sp.csr_matrix]:
    """Yield the counts of a sample as cells × genes, some genes at a time."""
    reader = pacsv.open_csv(
        _stream(path),
        read_options=pacsv.ReadOptions(block_size=_BLOCK_BYTES),
        parse_options=pacsv.ParseOptions(delimiter="\t", quote_char=False),
        convert_options=pacsv.ConvertOptions(
            column_types={_first_column(path): pa.string()} | dict.fromkeys(_header(path), kind),
        ),
    )
    for batch in reader:
        dense = np.vstack([c.to_numpy(zero_copy_only=False) for c in batch.columns[1:]])
        counts = sp.csr_matrix(dense)
        counts.data = as_counts(counts.data, str(path), "counts")
        yield counts


def _counts(path: Path, n_batches: int | None = None) -> list[sp.csr_matrix]:
    """Read a sample, as whole numbers if it holds them, else as decimals to say what it holds."""
    try:
        try:
            return list(islice(_batches(path, pa.int64()), n_batches))
        except pa.ArrowInvalid:
            return list(islice(_batches(path, pa.float64()), n_batches))
    except (OSError, EOFError, pa.ArrowException) as error:
        raise _unreadable(path, error) from error


def _peek(paths: list[Path]) -> None:
    for path in paths:
        _counts(path, 1)


def _blocks(paths: list[Path]) -> Iterator[tuple[int, sp.csr_matrix]]:
    start = 0
    for path in paths:
        sample = sp.csr_matrix(sp.hstack(_counts(path)))
        for a, b in row_ranges(sample.indptr.astype(np.int64)):
            yield start + a, sample[a:b]
        start += sample.shape[0]
