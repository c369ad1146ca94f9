"""Columns are proposed by names and by contents; barcodes, numbers and calls are not donors."""

import numpy as np
import pandas as pd
import pytest

from targetscore.propose.columns import choose

N = 240


def cells(**columns) -> pd.DataFrame:
    """Cells of four donors with two samples each; columns replace or add."""
    donor = np.repeat(["P1", "P2", "H1", "H2"], N // 4)
    basis = {
        "cell": [f"cell{i}" for i in range(N)],
        "patient": donor,
        "library": [f"{d}_{i % 2}" for i, d in enumerate(donor)],
        "annotation": np.resize(["plasma cell", "T cell", "monocyte"], N),
        "diagnosis": np.where(np.char.startswith(donor, "P"), "plasma cell myeloma", "normal"),
        "organ": "bone marrow",
    }
    return pd.DataFrame(basis | columns)


def chosen(table: pd.DataFrame, **told: str) -> dict[str, str]:
    return {name: choice.column for name, choice in choose(table, told).items()}


def test_names_of_other_conventions_are_known():
    assert chosen(cells()) == {
        "cell_type": "annotation",
        "malignancy": "",
        "disease": "diagnosis",
        "tissue": "organ",
        "donor": "patient",
        "sample": "library",
        "assay": "",
        "suspension": "",
    }


def test_contents_speak_where_names_do_not():
    table = cells(tech=np.resize(["10x 3' v3", "Smart-seq2"], N), prep="nucleus").rename(
        columns={"annotation": "V1", "diagnosis": "V2", "organ": "V3"}
    )
    table["call"] = np.resize(["malignant", "normal", None], N)
    found = chosen(table)
    assert found["cell_type"] == "V1"
    assert found["disease"] == "V2"
    assert found["tissue"] == "V3"
    assert found["assay"] == "tech"
    assert found["suspension"] == "prep"
    assert found["malignancy"] == "call"


def test_spelt_otherwise_counts_as_a_cell_type_but_other_words_do_not():
    table = cells(annotation=np.resize(["Plasma_cells", "T cells", "Monocytes"], N))
    table = table.rename(columns={"annotation": "leiden_names"})
    assert chosen(table)["cell_type"] == "leiden_names"
    table["leiden_names"] = np.resize(["c_a", "c_b"], N)
    choice = choose(table, {})["cell_type"]
    assert choice.column == ""
    assert any(other.startswith("leiden_names (2 values") for other in choice.others)


@pytest.mark.parametrize(
    "values",
    [
        [f"cell{i}" for i in range(N)],
        [
            f"P{i % 2}_{''.join(np.random.default_rng(i).choice(list('ACGT'), 16))}"
            for i in range(N)
        ],
        ["ACGTACGTACGTACGT-1"] * (N // 2) + ["TTGTACGTACGTACGT-1"] * (N // 2),
        np.linspace(0, 1, N),
        [""] * N,
    ],
    ids=["own names", "prefixed barcodes", "few barcodes", "measurements", "empty"],
)
def test_a_column_named_donor_that_holds_something_else_is_not_taken(values):
    choice = choose(cells(patient=values), {})["donor"]
    assert choice.column == ""
    assert choice.refused
    assert choice.refused[0].startswith("patient: ")


def test_a_fitting_name_gives_way_only_if_its_contents_say_nothing():
    own = np.resize(["HSC-like", "Prog-like", "GMP-like", "monocyte", "x1", "x2"], N)
    assert chosen(cells(annotation=own, prep="cell"))["cell_type"] == "annotation"
    table = cells(annotation=np.resize(["c_1", "c_2"], N), V9=np.resize(["T cell", "B cell"], N))
    assert chosen(table)["cell_type"] == "V9"


def test_calls_are_malignancy_whatever_their_name():
    found = chosen(cells(patient=np.resize(["malignant", "normal"], N)))
    assert (found["malignancy"], found["donor"]) == ("patient", "")
    assert chosen(cells(treated=np.resize(["yes", "no"], N)))["malignancy"] == ""


def test_a_sample_lies_within_one_donor():
    table = cells(library=np.resize(["a", "b"], N))
    choice = choose(table, {})["sample"]
    assert choice.column == ""
    assert choice.refused == ["library: 2 of its 2 values hold several donors"]


def test_donors_with_several_diseases_are_counted():
    assert choose(cells(), {})["donor"].why.endswith("; one disease each")
    table = cells(diagnosis=np.resize(["normal", "plasma cell myeloma"], N))
    assert choose(table, {})["donor"].why.endswith("; 4 of them with several diseases")


def test_several_diseases_of_one_cell_are_still_diseases():
    table = cells(diagnosis="MONDO:0009693 || MONDO:0005015").rename(columns={"diagnosis": "V2"})
    assert chosen(table)["disease"] == "V2"


def test_what_the_user_says_is_neither_questioned_nor_used_again():
    choice = choose(cells(), {"donor": "library"})
    assert choice["donor"].column == "library"
    assert choice["sample"].column != "library"


@pytest.mark.parametrize("name", ["=patient", " patient", "patient\n", "pa\u202etient", ""])
def test_a_column_no_row_can_name_is_not_proposed(name):
    table = cells().rename(columns={"patient": name})
    choices = choose(table, {})
    assert name not in {c.column for c in choices.values()} - {""}
    assert choices["donor"].column == ""
