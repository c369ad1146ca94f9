"""Stage files are checked, sorted, atomic and the same bytes for the same table."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targetscore.contracts import EXPRESSION, RANKING, REJECTED, STAGE_FILES
from targetscore.errors import ContractError
from targetscore.io import (
    atomic_path,
    read_json,
    read_matching,
    read_stamp,
    read_table,
    write_json,
    write_table,
    write_tables,
    write_tsv,
)


def rejected(rows: list[tuple[int, str, str, str | None]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["row", "cell", "reason", "detail"])


def test_round_trip_sorts_and_keeps_missing(tmp_path):
    table = rejected([(2, "c", "b", None), (0, "a", "a", "x")])
    write_table(table, tmp_path / "r.parquet", REJECTED, {"code": "1"})
    read = read_table(tmp_path / "r.parquet", REJECTED)
    assert read["row"].tolist() == [0, 2]
    assert read["detail"].isna().tolist() == [False, True]
    assert read_stamp(tmp_path / "r.parquet") == {"contract": "ingest/rejected", "code": "1"}


def test_equal_tables_give_equal_bytes(tmp_path):
    table = rejected([(0, "a", "x", None), (1, "b", "y", None), (2, "c", "x", "d")])
    coded = table.iloc[::-1].assign(
        reason=lambda t: pd.Categorical(t["reason"], categories=["z", "y", "x"])
    )
    write_table(table, tmp_path / "1.parquet", REJECTED, {})
    write_table(coded, tmp_path / "2.parquet", REJECTED, {})
    assert (tmp_path / "1.parquet").read_bytes() == (tmp_path / "2.parquet").read_bytes()


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        (lambda t: t.drop(columns="reason"), "the column is missing"),
        (lambda t: t.assign(extra=1), "not in the contract"),
        (lambda t: t.assign(row=[-1, 1]), "below 0"),
        (lambda t: t.assign(row=[1, 1]), "the key repeats"),
        (lambda t: t.assign(cell=[None, "b"]), "values are missing"),
    ],
)
def test_broken_contract_is_refused_and_nothing_is_written(tmp_path, change, wrong):
    table = rejected([(0, "a", "x", None), (1, "b", "x", None)])
    with pytest.raises(ContractError, match=wrong):
        write_table(change(table), tmp_path / "r.parquet", REJECTED, {})
    assert not list(tmp_path.iterdir())


def test_all_problems_at_once(tmp_path):
    with pytest.raises(ContractError) as caught:
        write_table(pd.DataFrame({"row": [0]}), tmp_path / "r.parquet", REJECTED, {})
    assert len(caught.value.problems) == 3


def test_unknown_value_and_range(tmp_path):
    table = pd.DataFrame([RANKING.empty().reindex([0]).iloc[0]])
    with pytest.raises(ContractError):
        write_table(table, tmp_path / "r.parquet", RANKING, {})


def test_interrupted_write_leaves_nothing(tmp_path):
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "x") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert not list(tmp_path.iterdir())


def test_pieces_must_ascend(tmp_path):
    write_tables([piece([0]), piece([1])], tmp_path / "e.parquet", EXPRESSION, {})
    assert pq.ParquetFile(tmp_path / "e.parquet").num_row_groups == 2
    found = read_table(tmp_path / "e.parquet", EXPRESSION)
    assert found["group_id"].tolist() == [0, 1]
    for pieces in ([piece([1]), piece([1])], [piece([1]), piece([0])], [piece([0, 0])]):
        with pytest.raises(ContractError, match="not ascending"):
            write_tables(pieces, tmp_path / "f.parquet", EXPRESSION, {})
        assert not (tmp_path / "f.parquet").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"thinned_detected": [-1.0]}, "thinned_detected: -1 to -1"),
        ({"thinned_detected": [np.nan]}, "thinned_detected: values are not finite"),
        ({"n_detected": pa.array([None], pa.int64())}, "n_detected: values are missing"),
    ],
)
def test_a_piece_that_breaks_the_contract_is_not_written(change, says, tmp_path):
    with pytest.raises(ContractError, match=says):
        write_tables([piece([0], **change)], tmp_path / "f.parquet", EXPRESSION, {})
    assert list(tmp_path.iterdir()) == []


def piece(groups: list[int], **change) -> pa.Table:
    """A table of the contract ``profile/expression`` with one gene per group."""
    n = len(groups)
    columns = {
        "group_id": pa.array(groups, pa.int32()),
        "gene_id": pa.DictionaryArray.from_arrays(pa.array([0] * n, pa.int32()), ["ENSG1"]),
        "n_detected": [1] * n,
        "thinned_detected": [1.0] * n,
        "sum_counts": [1] * n,
        "sum_log1p_cp10k": [1.0] * n,
        "sumsq_log1p_cp10k": [1.0] * n,
    }
    arrays = [change.get(f.name, columns[f.name]) for f in EXPRESSION.schema()]
    typed = [
        pa.array(a, f.type) if isinstance(a, list) else a
        for a, f in zip(arrays, EXPRESSION.schema(), strict=True)
    ]
    return pa.Table.from_arrays(typed, schema=EXPRESSION.schema())


def test_damaged_files_are_named(tmp_path):
    (tmp_path / "r.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ContractError, match="cannot be read"):
        read_table(tmp_path / "r.parquet", REJECTED)
    (tmp_path / "r.json").write_text("{")
    with pytest.raises(ContractError, match="not a JSON file"):
        read_json(tmp_path / "r.json")


def test_json_and_tsv(tmp_path):
    write_json({"b": 1, "a": "é"}, tmp_path / "x.json")
    assert read_json(tmp_path / "x.json") == {"a": "é", "b": 1}
    write_tsv(pd.DataFrame({"a": [0.1, None]}), tmp_path / "x.tsv")
    assert (tmp_path / "x.tsv").read_text() == "a\n0.1\nNA\n"


@pytest.mark.parametrize("contract", STAGE_FILES, ids=lambda c: c.name)
def test_contracts_are_sound(contract):
    assert len(set(contract.names)) == len(contract.names)
    assert set(contract.key) <= set(contract.names)
    assert all(c.meaning for c in contract.columns)
    assert not contract.problems(contract.empty(), "empty")


@settings(max_examples=30, deadline=None)
@given(
    groups=st.lists(st.integers(0, 40), min_size=1, max_size=30, unique=True).map(sorted),
    wanted=st.sets(st.integers(0, 45), max_size=6),
    cut=st.integers(1, 7),
)
def test_matching_rows_are_those_of_a_filter(groups, wanted, cut, tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "e.parquet"
    pieces = [piece(groups[a : a + cut]) for a in range(0, len(groups), cut)]
    write_tables(pieces, path, EXPRESSION, {})
    whole = read_table(path, EXPRESSION)
    found = read_matching(path, EXPRESSION, "group_id", wanted, ["gene_id", "sum_counts"])
    assert found.columns.tolist() == ["gene_id", "sum_counts"]
    assert len(found) == whole["group_id"].isin(wanted).sum()
    genes = read_matching(path, EXPRESSION, "gene_id", {"ENSG1", "other"})
    pd.testing.assert_frame_equal(genes, whole, check_categorical=False)
    assert read_matching(path, EXPRESSION, "gene_id", {"other"}).empty
