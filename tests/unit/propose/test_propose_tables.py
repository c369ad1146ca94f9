"""What is written into tables is read back as it was, whatever it holds."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from targetscore.config import load_registry
from targetscore.config.edit import field_text, set_fields
from targetscore.config.read import tsv_lines
from targetscore.errors import ConfigError, RegistryError
from targetscore.fetch import local_location
from targetscore.propose.ask import settings
from targetscore.propose.labels import label_map_text, map_labels, near_terms, read_map
from targetscore.propose.look import url_of
from targetscore.propose.tables import add_row

ROW = {"atlas": "mine", "kind": "tumour", "format": "h5ad", "version": "1"}
ROW |= {"url": "mine.h5ad", "licence": "CC0"}
visible = st.text(
    st.characters(exclude_categories=("C", "Z"), include_characters=' "#='), max_size=20
)


@given(st.lists(visible.map(str.strip), min_size=2, max_size=5).filter(lambda v: v[0] != ""))
def test_fields_are_read_back_as_they_were(tmp_path_factory, fields):
    path = tmp_path_factory.mktemp("t") / "t.tsv"
    header = "\t".join(f"c{n}" for n in range(len(fields)))
    path.write_text(header + "\n" + "\t".join(map(field_text, fields)) + "\n", encoding="utf-8")
    assert tsv_lines(path, RegistryError)[1] == [(2, fields)]


def test_a_registry_that_is_a_link_stays_one(tmp_path):
    shared = tmp_path / "shared.tsv"
    shared.write_text("atlas\tkind\tformat\tversion\turl\tlicence\n")
    (tmp_path / "atlases.tsv").symlink_to(shared)
    add_row(str(tmp_path / "atlases.tsv"), ROW)
    assert (tmp_path / "atlases.tsv").is_symlink()
    assert list(load_registry([str(shared)])) == ["mine"]


def test_a_row_leaves_every_byte_above_it(tmp_path):
    path = tmp_path / "atlases.tsv"
    text = "# mine\r\natlas\tkind\tformat\tversion\turl\tlicence\r\nold\tmixed\th5ad\t1\ta\tCC0"
    path.write_bytes(text.encode())
    row = add_row(str(path), ROW)
    assert path.read_bytes().decode() == text + "\r\nmine\ttumour\th5ad\t1\tmine.h5ad\tCC0\r\n"
    assert load_registry([str(path)])["mine"] == row


def test_columns_the_table_lacks_are_added(tmp_path):
    path = tmp_path / "atlases.tsv"
    path.write_text("atlas\tkind\tformat\tversion\turl\tlicence\nold\tmixed\th5ad\t1\ta\tCC0\n")
    add_row(str(path), ROW | {"donor": '"=P" 1', "gene_id": "ids", "note": "<b>x</b>"})
    rows = load_registry([str(path)])
    assert rows["old"].donor == rows["old"].gene_id == ""
    assert (rows["mine"].donor, rows["mine"].gene_id) == ('"=P" 1', "ids")
    assert rows["mine"].note == "<b>x</b>"


def test_a_registry_is_begun_where_there_is_none(tmp_path):
    path = tmp_path / "new" / "atlases.tsv"
    add_row(str(path), ROW)
    assert list(load_registry([str(path)])) == ["mine"]


@pytest.mark.parametrize("odd", ["\u2028", "\x0b", "\x0c", "\x1c", "\x85"])
def test_only_line_feeds_end_a_line(tmp_path, odd):
    """As reading has it; another break inside a field, a byte order mark above a comment."""
    path = tmp_path / "atlases.tsv"
    head = "\ufeff# mine\natlas\tkind\tformat\tversion\turl\tlicence\n"
    path.write_text(f"{head}old\tmixed\th5ad\t1{odd}2\ta\tCC0\n", encoding="utf-8")
    add_row(str(path), ROW)
    before = path.read_text(encoding="utf-8")
    old = f"old\tmixed\th5ad\t1{odd}2\ta\tCC0\n"
    assert before == f"{head}{old}mine\ttumour\th5ad\t1\tmine.h5ad\tCC0\n"
    changed = set_fields(before, "old", {"url": "b"}, "f")
    assert changed == before.replace("\ta\tCC0", "\tb\tCC0")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, "is registered"),
        ({"atlas": "other"}, "is the same data"),
        ({"atlas": "other", "url": "b", "note": "a\tb"}, "nobody can see"),
        ({"atlas": "other", "url": "b", "licence": "a\nb"}, "nobody can see"),
        ({"atlas": "other", "url": "b", "donor": "a\u202eb"}, "nobody can see"),
        ({"atlas": "Other", "url": "b"}, "pattern"),
        ({"atlas": "other", "url": "b", "malignancy": "=magic"}, "no such method"),
    ],
)
def test_a_row_that_cannot_stand_there_changes_nothing(tmp_path, change, says):
    path = tmp_path / "atlases.tsv"
    add_row(str(path), ROW)
    before = path.read_bytes()
    with pytest.raises(RegistryError, match=says):
        add_row(str(path), ROW | change)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "name", ["a.h5ad", "a b.h5ad", "a%20b.h5ad", "${HOME}.h5ad", "é#?.h5ad", "simulate:x", "a;b&c"]
)
def test_a_path_is_found_again_through_its_row(tmp_path, monkeypatch, name, atlas_row):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text("x")
    for path in (name, f"./{name}", str(tmp_path / name)):
        found = local_location(atlas_row(url=url_of(path)), "registry")
        assert (tmp_path / str(found)).read_text() == "x"


def test_labels_are_mapped_or_listed_and_never_guessed(tmp_path):
    hostile = ["#plasma cell", '"B" cell', "=HYPERLINK(1)", "a\tb", "x\ny", "T\u202ecell", "<b>"]
    words = ["plasma cell", "CL:0000236", "PLASMABLAST", "plasmaCell", "Tcells", "qqq", *hostile]
    labels = map_labels(pd.Series(words), {"qqq": "monocyte", "#plasma cell": "plasma cell"})
    terms = {label.text: label.term for label in labels}
    assert terms["plasma cell"] == terms["#plasma cell"] == "CL:0000786"
    assert terms["CL:0000236"] == "CL:0000236"
    assert terms["PLASMABLAST"] == "CL:0000980"
    assert terms["qqq"] == "CL:0000576"
    assert terms["plasmaCell"] == terms["Tcells"] == ""
    path = tmp_path / "map.tsv"
    path.write_text(label_map_text("mine", labels), encoding="utf-8")
    written = read_map(str(path))
    assert written == {k: v for k, v in terms.items() if v}
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) == len(written) + 4 + len(terms) - len(written)
    assert "\n# Tcells\t\t\t1\tlooks like T cell CL:0000084" in text
    assert "\u202e" not in text
    assert "\n=" not in text


@pytest.mark.parametrize(
    ("label", "term"),
    [
        ("monocytes", "CL:0000576"),
        ("Plasma_cells", "CL:0000786"),
        ("NK cells", "CL:0000623"),
        ("bcells", "CL:0000236"),
        ("plasmaCell", "CL:0000786"),
        ("plasma cel", "CL:0000786"),
        ("HSC-like", "CL:0000037"),
    ],
)
def test_near_terms_come_first(label, term):
    assert near_terms(label)[0] == term


def test_given_terms_must_fit_both_sides():
    with pytest.raises(ConfigError) as caught:
        map_labels(pd.Series(["nk"]), {"mk": "natural killer cell", "nk": "natural kiler cell"})
    assert len(caught.value.problems) == 2
    assert "natural killer cell" in caught.value.problems[1].remedy


def test_arguments_are_read_at_the_first_equals_sign():
    assert settings("--set", ["donor==P=1", "note=a = b"]) == {"donor": "=P=1", "note": "a = b"}
    with pytest.raises(ConfigError) as caught:
        settings("--set", ["donr=x", "note", "=x", "doi=1", "doi=2"], ["donor", "note", "doi"])
    assert len(caught.value.problems) == 4
    assert "did you mean 'donor'?" in str(caught.value)
