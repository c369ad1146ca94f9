"""AnnData files whose cells are labelled badly."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from hostile.good import Case, N, h5ad, kept_all, labels


def one(column: str, value: object, row: int = 3) -> pd.DataFrame:
    table = labels()
    table[column] = table[column].astype(object)
    table.loc[table.index[row], column] = value
    return table


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


def six_donors(made, found) -> None:
    kept_all(made, found)
    assert set(made.cells["donor"].astype(str)) == set("012345")


CASES = [
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
