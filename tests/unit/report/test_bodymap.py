"""Which organ a tissue belongs to, and what an organ says of an antigen."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from targetscore.contracts import VERDICTS
from targetscore.report.bodymap import ORGANS, organ_of, seen
from targetscore.report.text import GAPS

EXPECTED = {
    "UBERON:0002371": "marrow",
    "UBERON:0000178": "blood",
    "UBERON:0002106": "spleen",
    "UBERON:0000029": "lymph",
    "UBERON:0000955": "brain",
    "UBERON:0001873": "brain",
    "UBERON:0002127": "brain",
    "UBERON:0002037": "brain",
    "UBERON:0001886": "brain",
    "UBERON:0002049": "vessels",
    "UBERON:0000948": "heart",
    "UBERON:0002048": "lung",
    "UBERON:0002185": "lung",
    "UBERON:0000977": "lung",
    "UBERON:0002107": "liver",
    "UBERON:0002394": "liver",
    "UBERON:0002113": "kidney",
    "UBERON:0002108": "intestine",
    "UBERON:0001155": "intestine",
    "UBERON:0000160": "intestine",
    "UBERON:0001043": "oesophagus",
    "UBERON:0000945": "stomach",
    "UBERON:0001264": "pancreas",
    "UBERON:0002369": "adrenal",
    "UBERON:0002046": "thyroid",
    "UBERON:0000966": "eye",
    "UBERON:0000964": "eye",
    "UBERON:0001134": "muscle",
    "UBERON:0001021": "nerve",
    "UBERON:0002097": "skin",
    "UBERON:0002073": "skin",
    "UBERON:0002283": "skin",
    "UBERON:0001723": "mouth",
    "UBERON:0001044": "mouth",
    "UBERON:0001013": "fat",
    "UBERON:0001474": "bone",
    "UBERON:0001255": "bladder",
    "UBERON:0002367": "prostate",
    "UBERON:0000310": "breast",
    "UBERON:0000473": "testis",
    "UBERON:0000992": "womb",
    "UBERON:0001987": "womb",
}


@pytest.mark.parametrize(("tissue_id", "organ"), sorted(EXPECTED.items()))
def test_a_tissue_stands_in_its_organ(tissue_id, organ):
    assert organ_of(tissue_id).key == organ


def test_every_tissue_of_the_toxicity_list_has_an_organ(repository):
    tiers = pd.read_csv(
        repository / "config/knowledge/tissue_tiers.tsv", sep="\t", comment="#", dtype=str
    )
    named = tiers.dropna(subset="tissue_id")
    assert len(named) > 100
    assert [t for t in named["tissue_id"] if organ_of(t).key == "other"] == []


@pytest.mark.parametrize("tissue_id", ["label:somewhere", "", "any tissue", "UBERON:0000468"])
def test_what_is_of_no_organ_stands_under_other_tissues(tissue_id):
    assert organ_of(tissue_id) is ORGANS[-1]


def row(verdict, literature=None, tolerated=False):
    return {
        "verdict": verdict,
        "literature": literature,
        "tolerated": tolerated,
        "harm": None,
        "cell_type": "T cell",
        "tier_label": None,
    }


ROWS = st.lists(
    st.builds(row, st.sampled_from(VERDICTS), st.sampled_from([None, "strong"]), st.booleans()),
    min_size=1,
    max_size=8,
)


@given(ROWS)
def test_what_was_not_assessed_never_makes_an_organ_look_better(rows):
    """Another gap keeps the code of an organ that was seen, and is always told."""
    before, after = seen(rows), seen([*rows, row("not_assessed")])
    if any(r["verdict"] not in GAPS and not r["tolerated"] for r in rows):
        assert after.code == before.code
        assert after.letters[1:] in ("?", "L")
    else:
        assert after.code in GAPS


@given(ROWS)
def test_the_worst_verdict_counts_and_tolerated_lineages_do_not(rows):
    own = [r for r in rows if not r["tolerated"]]
    codes = [r["verdict"] for r in own if r["verdict"] not in GAPS]
    if not own:
        assert (seen(rows).code, seen(rows).letters) == ("tolerated", "T")
    elif codes:
        order = ["clear", "no_signal_insufficient", "possible", "concern"]
        assert seen(rows).code == order[max(map(order.index, codes))]
    else:
        assert seen(rows).code in GAPS
        assert seen(rows).letters == ("L" if any(r["literature"] for r in own) else "?")
