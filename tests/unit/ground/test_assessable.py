"""Which toxicity classes a set of atlases can assess: never more than what is known of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from targetscore.assessable import (
    ASSESSABLE,
    FEW,
    LATER,
    LEVELS,
    LITERATURE,
    NO_ATLAS,
    NOTHING,
    ONLY_LEVELS,
    ONLY_LITERATURE,
    OPEN,
    PARTLY,
    PROMISED,
    SEEN,
    SILENT,
    STATED,
    assess_classes,
    class_lines,
    shared_donors,
    statements,
    tissue_problems,
)
from targetscore.cli import main
from targetscore.config import AtlasRow, Indication, load_registry
from targetscore.knowledge import load_knowledge

ORDER = [SEEN, STATED, FEW, OPEN, SILENT, LEVELS, LITERATURE, NOTHING]
PANEL = ("CD19", "GPRC5D", "TNFRSF17")


@pytest.fixture(scope="module")
def knowledge(repository):
    return load_knowledge(str(repository / "config/knowledge"))


def atlas(name="one", tissues="", url="https://e.org/a.h5ad", **more):
    fields = {"kind": "healthy", "format": "h5ad", "version": "1", "licence": "CC0", **more}
    return AtlasRow(atlas=name, url=url, tissues=tissues, **fields)


def indication(*healthy, references=(), tolerated=(), counterpart=None):
    return Indication(
        title="t",
        disease={"id": "MONDO:0009693", "label": "plasma cell myeloma"},
        diseased={"atlases": ["patients"]},
        healthy={"atlases": list(healthy) or ["one"], "references": list(references)},
        normal_counterpart=counterpart and {"cell_types": counterpart},
        tolerated={"cell_types": list(tolerated), "reason": "bridged"},
        candidates={"panel": list(PANEL)},
    )


def assess(knowledge, *rows, summaries=None, panel=PANEL, **more):
    """Return class and row states by name; rows of kind reference are references."""
    healthy = [r.atlas for r in rows if r.kind != "reference"]
    references = [r.atlas for r in rows if r.kind == "reference"]
    classes = assess_classes(
        indication(*healthy, references=references, **more),
        panel,
        knowledge,
        {r.atlas: r for r in rows},
        summaries or {},
        20,
    )
    return classes, {s.row.label: s for c in classes for s in c.rows}


def verdict(classes, name):
    return next(c.verdict for c in classes if c.toxicity_class == name)


def here(*groups):
    """Make the summary of an atlas that is here, from tissue, cell type and number of cells."""
    keys = ("tissue_id", "cell_type_id", "suspension", "n_cells")
    cells = [(tissue, cell, "cell", n) for tissue, cell, n in groups]
    return {"one": {"healthy_groups": [dict(zip(keys, g, strict=True)) for g in cells]}}


def test_every_tier_row_has_one_state(knowledge):
    _, states = assess(knowledge, atlas(tissues="lung"))
    assert sorted(states) == sorted(knowledge.tissue_tiers["label"])


def test_stated_tissue_promises_its_common_cells_only(knowledge):
    classes, states = assess(knowledge, atlas(tissues="lung"))
    assert states["alveolar type 1"].state == STATED
    assert states["alveolar type 1"].atlases == ("one",)
    assert verdict(classes, "pulmonary") == PARTLY
    bronchial = states["bronchial epithelium"]
    assert (bronchial.state, bronchial.why) == (NOTHING, "")
    classes, _ = assess(knowledge, atlas(tissues="lung; bronchus"))
    assert verdict(classes, "pulmonary") == PROMISED


def test_skin_promises_no_hair_follicle(knowledge):
    classes, states = assess(knowledge, atlas(tissues="skin of body"))
    assert states["keratinocyte"].state == STATED
    follicle = states["hair follicle cell"]
    assert (follicle.state, follicle.reported) == (LITERATURE, ("GPRC5D",))
    assert "hair follicle cell (of skin of body only the whole is stated; GPRC5D)" in text(classes)
    _, states = assess(knowledge, atlas(tissues="hair follicle"))
    assert (states["hair follicle cell"].state, states["hair follicle cell"].why) == (OPEN, "rare")
    assert states["nail matrix"].state == LITERATURE


def test_hearts_need_nuclei(knowledge):
    classes, states = assess(knowledge, atlas(tissues="heart"))
    assert (states["cardiomyocyte"].state, verdict(classes, "cardiac")) == (OPEN, LATER)
    classes, _ = assess(knowledge, atlas(tissues="heart (nuclei)"))
    assert verdict(classes, "cardiac") == PROMISED


def text(classes, absent=("one",)):
    return " ".join(" ".join(class_lines("mine", classes, absent)).split())


TISSUES = st.lists(
    st.sampled_from(
        ["UBERON:0000178", "UBERON:0002371", "UBERON:0002048", "UBERON:0000948", "UBERON:0002097"]
        + ["UBERON:0000955", "UBERON:0002107", "UBERON:0001264", "UBERON:0002073", "UBERON:0000970"]
        + ["UBERON:0001723", "UBERON:0002113", "UBERON:0008998", "UBERON:0000473", "UBERON:0002283"]
    ),
    unique=True,
    min_size=1,
)


@settings(max_examples=25, deadline=None)
@given(TISSUES, TISSUES, st.booleans())
def test_no_tissue_ever_promises_rare_cells_and_more_atlases_never_tell_less(
    knowledge, one, other, nuclei
):
    mark = " (nuclei)" if nuclei else ""
    first = atlas("one", ";".join(t + mark for t in one))
    _, few = assess(knowledge, first)
    classes, many = assess(knowledge, first, atlas("two", ";".join(other)))
    kind = knowledge.tissue_tiers.set_index("label")["assessable"]
    for label, state in many.items():
        if state.state == STATED:
            assert kind[label] == "scRNA" or (kind[label] == "snRNA" and nuclei)
        assert ORDER.index(state.state) <= ORDER.index(few[label].state)
    for one_class in classes:
        if one_class.verdict == ASSESSABLE:
            pytest.fail("nothing was seen yet")


def test_cells_that_are_here_are_counted(knowledge):
    liver = ("UBERON:0002107", "CL:0000182")
    for n, state in ((20, SEEN), (19, FEW)):
        _, states = assess(knowledge, atlas(), summaries=here((*liver, n)))
        assert (states["hepatocyte"].state, states["hepatocyte"].n_cells) == (state, n)
    _, states = assess(
        knowledge, atlas(), summaries=here((*liver, 12), ("label:x", "CL:0000182", 12))
    )
    assert states["hepatocyte"].state == FEW


def test_what_is_here_is_not_read_off_its_tissues(knowledge):
    """The atlas states lung and is here without a single lung cell."""
    summaries = here(("UBERON:0000178", "CL:0000084", 500))
    classes, states = assess(knowledge, atlas(tissues="lung"), summaries=summaries)
    assert states["alveolar type 1"].state == NOTHING
    assert states["T cell"].state == SEEN
    assert verdict(classes, "pulmonary") == NO_ATLAS


def test_coarse_labels_credit_no_finer_row(knowledge):
    summaries = here(("UBERON:0002048", "CL:0000066", 900), ("UBERON:0000178", "CL:0001054", 900))
    _, states = assess(knowledge, atlas(), summaries=summaries)
    assert states["lung epithelium"].state == NOTHING
    assert states["monocyte"].state == SEEN
    assert states["monocyte"].n_cells == 900


def test_rare_cells_that_are_seen_are_seen(knowledge):
    summaries = here(("UBERON:0002073", "CL:0002559", 25))
    _, states = assess(knowledge, atlas(), summaries=summaries)
    assert states["hair follicle cell"].state == SEEN


def test_class_is_assessable_when_all_of_it_was_seen(knowledge):
    rows = [("UBERON:0000948", "CL:0000746", 50), ("UBERON:0000948", "CL:0002131", 50)]
    classes, _ = assess(knowledge, atlas(), summaries=here(*rows))
    assert verdict(classes, "cardiac") == ASSESSABLE
    assert "cardiac assessable 2 seen of 2 cell types" in text(classes)


def test_rna_can_never_show_erythrocytes(knowledge):
    summaries = here(("UBERON:0000178", "CL:0000232", 5000))
    _, states = assess(knowledge, atlas(), atlas("two", "blood"), summaries=summaries)
    red = states["erythrocyte"]
    assert (red.state, red.why) == (NOTHING, "RNA cannot show it")


def test_atlas_that_states_nothing_leaves_all_open(knowledge):
    classes, states = assess(knowledge, atlas(tissues="lung"), atlas("two"))
    assert states["hepatocyte"].state == SILENT
    assert states["hepatocyte"].atlases == ("two",)
    assert verdict(classes, "hepatic") == LATER
    assert states["nail matrix"].state == LITERATURE


def test_literature_counts_for_the_candidates_only(knowledge):
    classes, states = assess(knowledge, atlas(tissues="lung"))
    assert states["Schwann cell"].state == NOTHING
    assert verdict(classes, "neurotoxicity_peripheral") == NO_ATLAS
    classes, states = assess(knowledge, atlas(tissues="lung"), panel=["NCAM1"])
    assert states["Schwann cell"].reported == ("NCAM1",)
    assert verdict(classes, "neurotoxicity_peripheral") == ONLY_LITERATURE


LEVEL_MAP = """# reviewed
label\ttissue_id\tcell_type_id\ttier_label
thyroid gland 1\tUBERON:0002046\t\tthyroid follicular
Lung\tUBERON:0002048\t\talveolar type 1
cerebellum\tUBERON:0002037\t\t
Kupffer cells\t\tCL:0000091\t
liver / hepatocytes\tUBERON:0002107\tCL:0000182\t
none\t\t\t
"""


@pytest.fixture
def reference(tmp_path):
    """A reference of one label map; its columns say what it tells apart."""
    path = tmp_path / "labels.tsv"
    path.write_text(LEVEL_MAP)
    more = {"kind": "reference", "format": "level_table", "unit": "nTPM"}
    return lambda **columns: atlas("hpa", **{"label_map": str(path), **more, **columns})


def test_reference_gives_levels_only(knowledge, reference):
    levels = reference(tissue="Tissue")
    classes, states = assess(knowledge, atlas(tissues="lung"), levels)
    assert states["thyroid follicular"].state == LEVELS
    assert states["alveolar type 1"].state == STATED
    assert verdict(classes, "endocrine") == ONLY_LEVELS
    _, states = assess(knowledge, atlas(), levels)
    assert states["thyroid follicular"].state == SILENT  # an atlas of cells may tell more
    _, states = assess(knowledge, atlas(tissues="lung"), reference(tissue="*", label_map="no"))
    assert states["thyroid follicular"].state == NOTHING


def test_level_stands_for_no_other_cell_of_its_tissue(knowledge, reference):
    """As the score credits levels: a whole tissue only where its label map names a row."""
    _, by_tissue = assess(knowledge, atlas(tissues="spleen"), reference(tissue="Tissue"))
    _, by_cell = assess(knowledge, atlas(tissues="spleen"), reference(cell_type="Cell type"))
    both = reference(tissue="Tissue", cell_type="Cell type")
    _, by_both = assess(knowledge, atlas(tissues="spleen"), both)
    asked = ("thyroid follicular", "hepatocyte", "Kupffer cell")
    held = [[s[label].state == LEVELS for label in asked] for s in (by_tissue, by_cell, by_both)]
    assert held == [[True, True, False], [False, True, True], [True, True, True]]
    for states in (by_tissue, by_cell, by_both):
        for label in ("Purkinje cell", "alveolar type 2", "cholangiocyte"):
            assert states[label].state == NOTHING


def test_query_for_some_cell_types_promises_no_others(knowledge):
    url = "census:2025-11-08?tissue_general=brain&cell_type=pericyte&cell_type=mural+cell"
    census = atlas("census", "vasculature of brain (nuclei)", url, format="soma")
    classes, states = assess(knowledge, census)
    assert {s.cell_types for s in statements(census)} == {("CL:0000669", "CL:0008034")}
    assert states["mural cell"].state == OPEN
    assert states["neuron (cortex)"].state == NOTHING
    assert states["microglia"].state == NOTHING
    assert verdict(classes, "neurotoxicity_vascular_BBB") == LATER


def test_tolerated_lineage_is_marked(knowledge):
    classes, _ = assess(knowledge, atlas(tissues="blood"), tolerated=["lymphocyte of B lineage"])
    lines = class_lines("mine", classes, [])
    assert not any("tolerated" in line for line in lines if "cardiac" in line)
    lineage = ["lymphocyte of B lineage", "pro-B cell", "follicular dendritic cell"]
    classes, _ = assess(knowledge, atlas(tissues="blood"), tolerated=lineage)
    (line,) = [x for x in class_lines("mine", classes, []) if "B_lineage_aplasia" in x]
    assert line.endswith("; tolerated here")
    of_disease, _ = assess(knowledge, atlas(tissues="blood"), counterpart=lineage)
    assert class_lines("mine", of_disease, []) == class_lines("mine", classes, [])


def test_every_cell_type_that_is_missing_is_named(knowledge):
    classes, states = assess(knowledge, atlas(tissues="lung;skin of body"))
    shown = text(classes)
    for label, state in states.items():
        if state.state not in (SEEN, STATED):
            assert label in shown
    assert "whether the cell type is in it is known after the fetch: " in shown
    assert all(len(line) <= 100 for line in class_lines("mine", classes, ["one"]))


def test_hostile_names_stay_on_their_line(knowledge):
    classes, _ = assess(knowledge, atlas(tissues="lung"))
    lines = class_lines("a\nb\x1b[31m", classes, ["x\ny\u202e"])
    assert all(line.isprintable() for line in lines)


def test_tissues_that_are_no_terms():
    row = atlas(tissues="lung; skin of boddy ;UBERON:9999999; heart (nuclei);")
    assert [s.tissue_id for s in statements(row)] == ["UBERON:0002048", "UBERON:0000948"]
    wrong = tissue_problems(row, "config/atlases.tsv")
    assert [p.place for p in wrong] == ["one, column tissues"] * 2
    assert "'skin of boddy' is no UBERON term" in wrong[0].wrong
    assert "skin of body" in wrong[0].remedy


@pytest.mark.parametrize(
    ("change", "shared"),
    [
        ({}, ["lung"]),
        ({"doi": "10.1/b"}, []),
        ({"doi": ""}, []),
        ({"tissues": "heart"}, []),
        ({"tissues": "upper lobe of left lung"}, ["upper lobe of left lung"]),
    ],
)
def test_donors_that_may_count_twice(change, shared):
    one = atlas("one", "lung", doi="10.1/a")
    other = atlas("two", **{"tissues": "lung", "doi": "10.1/a"} | change)
    found = list(shared_donors(indication("one", "two"), {"one": one, "two": other}))
    assert found == ([("one", "two", shared)] if shared else [])


def test_census_may_hold_a_dataset_again():
    dataset = "cellxgene:53d208b0-2cfd-4366-9866-c3c6114081bc"
    rows = {
        "one": atlas("one", "skin of body;lung", dataset),
        "two": atlas("two", "skin of body", "census:2025-11-08?tissue=skin", format="soma"),
        "three": atlas("three", "skin of body", "mine.h5ad"),
    }
    found = list(shared_donors(indication("one", "two", "three"), rows))
    assert found == [("one", "two", ["skin of body"])]


NAMES = ["multiple_myeloma", "b_all", "b_cell_lymphoma", "aml", "sle", "multiple_myeloma_demo"]


@pytest.mark.parametrize("name", NAMES)
def test_check_shows_the_table_before_anything_is_fetched(name, project, knowledge, capsys):
    (project / "config/config.yaml").write_text(f"indications: [{name}]\n")
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert f"{name}: which toxicity classes its healthy atlases can assess" in said
    for one_class in sorted(set(knowledge.tissue_tiers["toxicity_class"])):
        assert f"  {one_class} " in said
    assert "no problem found" in said
    assert " may hold the same donors" not in said or name == "multiple_myeloma" or "census" in said


def test_check_shows_the_table_also_when_something_is_wrong(project, capsys):
    path = project / "config/indications/sle.yaml"
    path.write_text(path.read_text().replace("CD19", "NOGENE"))
    (project / "config/config.yaml").write_text("indications: [sle]\n")
    assert main(["check"]) == 1
    said = capsys.readouterr()
    assert "which toxicity classes" in said.out
    assert "NOGENE" in said.err


def test_check_says_what_is_pinned(project, capsys):
    path = project / "config/atlases.tsv"
    rows = load_registry([str(path)])
    url = rows["tabula_sapiens"].url
    text = path.read_text().replace(f"{url}\t\t", f"{url}\t{'0' * 64}\t")
    path.write_text(text)
    (project / "config/config.yaml").write_text("indications: [aml]\n")
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert "tabula_sapiens: checksum pinned; 483,152 cells; not here yet" in said
    assert "human_cell_landscape: checksum unknown until first fetch; 599,926 cells" in said
