"""The only reader and writer of stage files: atomic, checked, stamped."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from targetscore.contracts import Contract
from targetscore.errors import ContractError, StorageError

# Arrow's own pools keep the memory they took; jobs live beside arrays that need it.
pa.set_memory_pool(pa.system_memory_pool())

STAMP = b"targetscore"
# Chosen by measuring (tests/benchmarks): whole numbers as differences, floats with their bytes
# apart and compressed, labels by number; statistics of every column would double the time.
_CODING = {
    "int": "DELTA_BINARY_PACKED",
    "int32": "DELTA_BINARY_PACKED",
    "float": "BYTE_STREAM_SPLIT",
}
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside the final one and rename it when the block succeeds.

    An interrupted or failed writer leaves nothing under the final name; what a killed one left
    is overwritten by the next.

    Raises
    ------
    StorageError
        If there is no room for the file.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, final)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        free = shutil.disk_usage(final.parent).free
        wrong = f"cannot be written: {error.strerror or error} ({free:,} bytes are free)"
        limit = ", or raise the limit on the size of a file (ulimit -f)"
        also = limit if error.errno == errno.EFBIG else ""
        remedy = f"make room there{also}, then run again: finished files are kept"
        raise StorageError.one(final, "", wrong, remedy) from error
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def scratch_folder(parent: str | os.PathLike[str]) -> Iterator[str]:
    """Give an empty folder for partial results, and remove it whatever happens.

    A killed job leaves it behind; the next one of the same parent empties it first.
    """
    folder = Path(parent) / ".partial"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield str(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(text: str, path: str | os.PathLike[str]) -> None:
    """Write text as UTF-8, atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(value: object, path: str | os.PathLike[str]) -> None:
    """Write a value as JSON with sorted keys, atomically."""
    write_text(json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n", path)


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file that :func:`write_json` wrote.

    Raises
    ------
    ContractError
        If the file is not JSON.
    """
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise ContractError.one(
            path, "", f"not a JSON file ({error})", "delete it and run again"
        ) from error


def _arrow(table: pd.DataFrame, contract: Contract, file: str) -> pa.Table:
    contract.check(table, file)
    order = list(contract.sort or contract.key)
    plain_keys = table[order].apply(
        lambda c: c.astype("object") if isinstance(c.dtype, pd.CategoricalDtype) else c
    )
    if not plain_keys.equals(plain_keys.sort_values(order)):
        table = table.loc[plain_keys.sort_values(order, kind="stable").index]
    return _typed(table, contract)


def _typed(table: pd.DataFrame, contract: Contract) -> pa.Table:
    columns = []
    for field in contract.schema():
        values = table[field.name]
        if pa.types.is_dictionary(field.type):
            columns.append(_dictionary(values))
        else:
            columns.append(pa.array(values, type=field.type, from_pandas=True))
    return pa.Table.from_arrays(columns, schema=contract.schema())


def _dictionary(values: pd.Series) -> pa.DictionaryArray:
    """Code text by its sorted values, so that equal tables give equal bytes."""
    if isinstance(values.dtype, pd.CategoricalDtype):
        used = values.cat.remove_unused_categories()
        order = np.argsort(np.asarray(used.cat.categories, dtype=object), kind="stable")
        words = used.cat.categories[order]
        codes = np.append(np.argsort(order), -1)[used.cat.codes]
    else:
        present = values.astype("object").where(values.notna(), None)
        codes, words = pd.factorize(pd.Series(present, dtype="object"), sort=True)
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, type=pa.int32(), mask=codes < 0),
        pa.array([str(w) for w in words], type=pa.string()),
    )


def write_table(
    table: pd.DataFrame,
    path: str | os.PathLike[str],
    contract: Contract,
    provenance: Mapping[str, object],
) -> None:
    """Check a table against its contract, sort it and write it as Parquet, atomically.

    Parameters
    ----------
    table
        Table with the contract's columns, in any order of rows and columns.
    path
        Where to write.
    contract
        What the file promises.
    provenance
        What the table was made from; stamped into the Parquet metadata. It must not hold
        times or host names: the same input gives the same bytes.

    Raises
    ------
    ContractError
        If the table breaks the contract.
    """
    arrow = _arrow(table, contract, str(path)).replace_schema_metadata(_stamp(contract, provenance))
    with atomic_path(path) as temporary:
        pq.write_table(arrow, temporary, compression="zstd", compression_level=3)


def write_tables(
    tables: Iterable[pa.Table],
    path: str | os.PathLike[str],
    contract: Contract,
    provenance: Mapping[str, object],
) -> None:
    """Write a long table piece by piece, one Parquet row group each, atomically.

    Parameters
    ----------
    tables
        Pieces in the order of the contract's key; keys ascend over all pieces. Labels are
        coded by their sorted values, the same in every piece.
    path, contract, provenance
        As in :func:`write_table`.

    Raises
    ------
    ContractError
        If a piece breaks the contract or the pieces are out of order.
    """
    schema = contract.schema().with_metadata(_stamp(contract, provenance))
    kinds = {column.name: column.kind for column in contract.columns}
    coding = {name: _CODING[kind] for name, kind in kinds.items() if kind in _CODING}
    last: pa.Table | None = None
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(
            temporary,
            schema,
            compression={n: "lz4" if k == "float" else "none" for n, k in kinds.items()},
            use_dictionary=[name for name, kind in kinds.items() if kind == "label"],
            column_encoding=coding,
            write_statistics=[contract.key[0]],
        ) as writer,
    ):
        for table in tables:
            _check_piece(table, last, contract, str(path))
            last = table.slice(len(table) - 1) if len(table) else last
            writer.write_table(table.cast(schema), row_group_size=max(len(table), 1))


def _check_piece(table: pa.Table, last: pa.Table | None, contract: Contract, path: str) -> None:
    """Hold a piece against its contract without leaving Arrow: it may have a million rows."""
    remedy = "a defect of targetscore; please report it"
    if table.schema.remove_metadata() != contract.schema():
        raise ContractError.one(path, "columns", "not those of the contract", remedy)
    for column in contract.columns:
        values = table[column.name]
        if values.null_count and not column.nullable:
            raise ContractError.one(path, column.name, "values are missing", remedy)
        if column.kind in _CODING and len(values) > values.null_count:
            low, high = _ends(values)
            if not (np.isfinite(low) and np.isfinite(high)):
                raise ContractError.one(path, column.name, "values are not finite", remedy)
            below = column.low is not None and low < column.low
            if below or (column.high is not None and high > column.high):
                raise ContractError.one(path, column.name, f"{low:g} to {high:g}", remedy)
    ascending = np.zeros(max(len(table) - 1 + (last is not None), 0), dtype=bool)
    equal = ~ascending
    for name in contract.key:
        pieces = [] if last is None else [last[name]]
        codes = np.concatenate([_codes(piece) for piece in (*pieces, table[name])])
        ascending |= equal & (codes[1:] > codes[:-1])
        equal &= codes[1:] == codes[:-1]
    if len(table) and not ascending.all():
        raise ContractError.one(path, "+".join(contract.key), "not ascending", remedy)


def _ends(values: pa.ChunkedArray) -> tuple[float, float]:
    """Return the least and the greatest value; NaN if there is one, as numpy has it."""
    whole = values.drop_null().to_numpy()
    return float(whole.min()), float(whole.max())


def _codes(values: pa.ChunkedArray) -> NDArray[Any]:
    if pa.types.is_dictionary(values.type):
        values = pa.chunked_array([chunk.indices for chunk in values.chunks], pa.int32())
    return values.to_numpy()


def _stamp(contract: Contract, provenance: Mapping[str, object]) -> dict[bytes, bytes]:
    return {STAMP: json.dumps({"contract": contract.name, **provenance}, sort_keys=True).encode()}


def read_table(
    path: str | os.PathLike[str],
    contract: Contract,
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read a stage file, or some of its columns, and check it.

    Parameters
    ----------
    path
        File written by :func:`write_table`.
    contract
        What the file must keep; columns that are not read are not checked.
    columns
        Columns to read, all by default.

    Returns
    -------
    pandas.DataFrame
        Labels as categoricals, missing values as NA.

    Raises
    ------
    ContractError
        If the file is missing, not Parquet, or breaks the contract.
    """
    try:
        with pq.ParquetFile(path) as file:
            arrow = file.read(None if columns is None else list(columns), use_threads=False)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ContractError.one(
            path, "", f"cannot be read as a stage file ({error})", "delete it and run again"
        ) from error
    table = arrow.to_pandas()
    kept = tuple(c for c in contract.columns if columns is None or c.name in columns)
    key = contract.key if columns is None else ()
    Contract(contract.name, kept, key).check(table, str(path))
    return table


def read_pieces(
    path: str | os.PathLike[str], contract: Contract, columns: Sequence[str], rows: int = 1 << 16
) -> Iterator[pd.DataFrame]:
    """Read some columns of a stage file piece by piece, in order.

    Parameters
    ----------
    path, contract, columns
        As in :func:`read_table`.
    rows
        Rows a piece may have.

    Raises
    ------
    ContractError
        If the file is missing, not Parquet, or breaks the contract.
    """
    kept = Contract(contract.name, tuple(c for c in contract.columns if c.name in columns), ())
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(rows, columns=list(columns), use_threads=False):
                table = batch.to_pandas()
                kept.check(table, str(path))
                yield table
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ContractError.one(
            path, "", f"cannot be read as a stage file ({error})", "delete it and run again"
        ) from error


def read_matching(
    path: str | os.PathLike[str],
    contract: Contract,
    column: str,
    values: Collection[object],
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Read the rows of a long stage file that hold one of some values, in bounded memory.

    Row groups are read one after the other, and not at all if their statistics exclude the
    values.

    Parameters
    ----------
    path, contract, columns
        As in :func:`read_table`.
    column
        Column to look at.
    values
        What its rows may hold.

    Raises
    ------
    ContractError
        If the file is missing, not Parquet, or breaks the contract.
    """
    kept = contract.names if columns is None else list(columns)
    wanted = pa.array(sorted(values, key=str))
    found = [contract.schema().empty_table().select(kept)]
    try:
        with pq.ParquetFile(path) as file:
            for number in range(file.num_row_groups):
                if not _may_hold(file.metadata.row_group(number), column, wanted):
                    continue
                part = file.read_row_group(number, columns=[*{*kept, column}])
                matching = part.filter(_among(part[column], wanted)).select(kept)
                found.append(_share_words(matching, found[-1]))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ContractError.one(
            path, "", f"cannot be read as a stage file ({error})", "delete it and run again"
        ) from error
    whole = pa.concat_tables([part.replace_schema_metadata() for part in found])
    table = whole.unify_dictionaries().to_pandas()
    kept_columns = tuple(c for c in contract.columns if c.name in kept)
    Contract(contract.name, kept_columns, ()).check(table, str(path))
    return table


def _share_words(table: pa.Table, other: pa.Table) -> pa.Table:
    """Let labels refer to the words of another table where these are the same: once in memory."""
    for i, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type) and len(table):
            words = other.column(i).chunk(0).dictionary if other.column(i).num_chunks else None
            chunks = [
                pa.DictionaryArray.from_arrays(chunk.indices, words)
                if words is not None and words.equals(chunk.dictionary)
                else chunk
                for chunk in table.column(i).chunks
            ]
            table = table.set_column(i, field, pa.chunked_array(chunks, field.type))
    return table


def _may_hold(group: pq.RowGroupMetaData, column: str, wanted: pa.Array) -> bool:
    parts = (group.column(i) for i in range(group.num_columns))
    known = next(part for part in parts if part.path_in_schema == column).statistics
    if known is None or not known.has_min_max or not pa.types.is_integer(wanted.type):
        return True
    numbers = wanted.to_numpy()
    return bool(((numbers >= known.min) & (numbers <= known.max)).any())


def _among(values: pa.ChunkedArray, wanted: pa.Array) -> pa.ChunkedArray:
    """Look labels up once per word, not once per row."""
    if not pa.types.is_dictionary(values.type):
        return pc.is_in(values, pc.cast(wanted, values.type))
    masks = [
        pc.take(pc.is_in(chunk.dictionary, pc.cast(wanted, pa.string())), chunk.indices)
        for chunk in values.chunks
    ]
    return pa.chunked_array(masks, pa.bool_())


def read_stamp(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the provenance stamped into a stage file."""
    metadata = pq.read_schema(path).metadata or {}
    return json.loads(metadata.get(STAMP, b"{}"))


def tsv_text(table: pd.DataFrame) -> str:
    """Return a table as TSV for other programs; missing is NA, floats keep every digit."""
    return table.to_csv(None, sep="\t", index=False, na_rep="NA", lineterminator="\n")


def write_tsv(table: pd.DataFrame, path: str | os.PathLike[str]) -> None:
    """Write a table as :func:`tsv_text` gives it, atomically."""
    write_text(tsv_text(table), path)
