"""The only reader and writer of stage files: atomic, checked, stamped."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from targetscore.contracts import Contract
from targetscore.errors import ContractError

STAMP = b"targetscore"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside the final one and rename it when the block succeeds.

    An interrupted or failed writer leaves nothing under the final name; what a killed one left
    is overwritten by the next.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    temporary = final.with_name(f".{final.name}.tmp")
    try:
        yield temporary
        os.replace(temporary, final)
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
    tables: Iterable[pd.DataFrame],
    path: str | os.PathLike[str],
    contract: Contract,
    provenance: Mapping[str, object],
) -> None:
    """Write a long table piece by piece, one Parquet row group each, atomically.

    Parameters
    ----------
    tables
        Pieces in the order of the contract's key; keys ascend over all pieces.
    path, contract, provenance
        As in :func:`write_table`.

    Raises
    ------
    ContractError
        If a piece breaks the contract or the pieces are out of order.
    """
    schema = contract.schema().with_metadata(_stamp(contract, provenance))
    last: tuple[object, ...] | None = None
    with (
        atomic_path(path) as temporary,
        pq.ParquetWriter(temporary, schema, compression="zstd", compression_level=3) as writer,
    ):
        for table in tables:
            contract.check(table, str(path))
            keys = table[list(contract.key)]
            ends = [tuple(keys.iloc[i]) for i in (0, -1)] if len(keys) else []
            if ends and last is not None and ends[0] <= last:
                remedy = "a defect of targetscore; please report it"
                raise ContractError.one(path, "+".join(contract.key), "not ascending", remedy)
            last = ends[1] if ends else last
            writer.write_table(_typed(table, contract).cast(schema))


def _stamp(contract: Contract, provenance: Mapping[str, object]) -> dict[bytes, bytes]:
    return {STAMP: json.dumps({"contract": contract.name, **provenance}, sort_keys=True).encode()}


def read_table(
    path: str | os.PathLike[str],
    contract: Contract,
    columns: Sequence[str] | None = None,
    filters: Any = None,
) -> pd.DataFrame:
    """Read a stage file, or some of its columns and rows, and check it.

    Parameters
    ----------
    path
        File written by :func:`write_table`.
    contract
        What the file must keep; columns that are not read are not checked.
    columns
        Columns to read, all by default.
    filters
        Row filters as :func:`pyarrow.parquet.read_table` takes them.

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
        arrow = pq.read_table(path, columns=columns, filters=filters, partitioning=None)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ContractError.one(
            path, "", f"cannot be read as a stage file ({error})", "delete it and run again"
        ) from error
    table = arrow.to_pandas()
    kept = tuple(c for c in contract.columns if columns is None or c.name in columns)
    key = contract.key if filters is None and columns is None else ()
    Contract(contract.name, kept, key).check(table, str(path))
    return table


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
