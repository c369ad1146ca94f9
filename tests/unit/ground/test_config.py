"""Configuration: a misspelt key is an error with a near match; all problems at once."""

import json

import pytest
import yaml

from targetscore import ontology
from targetscore.config import load_config, load_indication, load_registry, load_run, read_yaml
from targetscore.config.models import Indication, RunConfig
from targetscore.errors import ConfigError, RegistryError
from targetscore.genes import load_genes, resolve_panel

HEADER = "atlas\tkind\tformat\tversion\turl\tsha256\tlicence\n"


def registry(tmp_path, *rows):
    path = tmp_path / "atlases.tsv"
    path.write_text(HEADER + "".join("\t".join(r) + "\n" for r in rows))
    return str(path)


def test_committed_configuration_loads(in_repository):
    run = load_run(read_yaml("config/config.yaml"))
    assert list(run.indications) == ["multiple_myeloma_demo"]


@pytest.mark.parametrize(
    "name",
    ["multiple_myeloma", "multiple_myeloma_demo", "aml_van_galen", "b_all", "b_cell_lymphoma"]
    + ["aml", "sle"],
)
def test_committed_indications_load_with_their_atlases(in_repository, name):
    run = load_run({"indications": [name]})
    assert run.atlases
    genes = load_genes(run.config.knowledge)
    panel = resolve_panel(run.indications[name], genes, name)
    assert len(panel) == len(run.indications[name].candidates.panel)


def test_unknown_key_offers_a_near_match():
    with pytest.raises(ConfigError) as caught:
        load_config({"indicatoins": ["x"], "scoring": {"min_cells_cleer": 1}})
    message = str(caught.value)
    assert "did you mean 'indications'?" in message
    assert "did you mean 'min_cells_clear'?" in message
    assert "indications: the key is missing" in message


def test_unknown_key_deep_in_an_indication(project):
    path = project / "config/indications/multiple_myeloma_demo.yaml"
    value = yaml.safe_load(path.read_text())
    value["diseased"]["atlasses"] = value["diseased"].pop("atlases")
    path.write_text(yaml.safe_dump(value))
    with pytest.raises(ConfigError, match=r"diseased\.atlasses: unknown key\n.*'atlases'"):
        load_indication("multiple_myeloma_demo", load_config({"indications": ["x"]}))


def test_unknown_indication_and_atlas(project):
    with pytest.raises(ConfigError, match="did you mean 'multiple_myeloma'"):
        load_run({"indications": ["multiple_mieloma"]})
    path = project / "config/indications/sle.yaml"
    path.write_text(path.read_text().replace("tabula_sapiens", "tabula_sapienz"))
    with pytest.raises(ConfigError, match=r"unknown atlas 'tabula_sapienz'\n.*did you mean"):
        load_run({"indications": ["sle"]})


@pytest.mark.parametrize("given", [1, 19, True, 10**11, -1])
def test_too_few_or_too_many_replicates_are_refused(given):
    with pytest.raises(ConfigError, match=r"bootstrap"):
        load_config({"indications": ["x"], "scoring": {"bootstrap": given}})


def test_off_is_off_however_yaml_reads_it(tmp_path):
    (tmp_path / "c.yaml").write_text("indications: [x]\ningest: {contamination: off}\n")
    assert load_config(read_yaml(tmp_path / "c.yaml")).ingest.contamination == "off"


def test_a_disease_that_does_not_exist_is_no_term():
    assert not ontology.is_term("MONDO:9999999", "MONDO")
    assert ontology.is_term("MONDO:0009693", "MONDO")


def test_repeated_key_is_an_error(tmp_path):
    (tmp_path / "c.yaml").write_text("a: 1\na: 2\n")
    with pytest.raises(ConfigError, match=r"line 2: not valid YAML: the key 'a' repeats"):
        read_yaml(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("text", "wrong"),
    [("a: [1", "not valid YAML"), ("- a", "holds no 'key: value'"), ("", "holds no")],
)
def test_broken_yaml(tmp_path, text, wrong):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(ConfigError, match=wrong):
        read_yaml(tmp_path / "c.yaml")


def test_weights_must_add_up():
    with pytest.raises(ConfigError, match="add up to 1.1, not 1"):
        load_config({"indications": ["x"], "scoring": {"composite_weights": {"safety": 0.35}}})


def test_registry_names_every_bad_row(tmp_path):
    path = registry(
        tmp_path,
        ("good", "healthy", "h5ad", "1", "a.h5ad", "", "CC0"),
        ("Bad-Name", "healthy", "h5ad", "1", "a.h5ad", "", "CC0"),
        ("odd", "sick", "h5ad", "1", "a.h5ad", "abc", "CC0"),
        ("good", "healthy", "h5ad", "1", "b.h5ad", "", "CC0"),
    )
    with pytest.raises(RegistryError) as caught:
        load_registry([path])
    places = [p.place for p in caught.value.problems]
    assert places == ["line 3, atlas", "line 4, kind", "line 4, sha256", "line 5"]


def test_uneven_row(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(HEADER + "x\thealthy\n")
    with pytest.raises(RegistryError, match="line 2: 2 fields where the header has 7"):
        load_registry([str(path)])


def test_later_registry_replaces_rows(tmp_path):
    row = ("a", "healthy", "h5ad", "1", "one.h5ad", "", "CC0")
    first = registry(tmp_path, row)
    (tmp_path / "second").mkdir()
    second = registry(tmp_path / "second", (*row[:4], "two.h5ad", *row[5:]))
    assert load_registry([first, second])["a"].url == "two.h5ad"


@pytest.mark.parametrize(("model", "name"), [(RunConfig, "config"), (Indication, "indication")])
def test_schemas_are_those_of_the_models(repository, model, name):
    path = repository / "workflow" / "schemas" / f"{name}.schema.json"
    assert json.loads(path.read_text()) == model.model_json_schema(), (
        f"run: python -m targetscore.config.export, and commit {path.name}"
    )


@pytest.mark.parametrize("key", ["burden", "dropout_dispersion"])
def test_infinite_parameter_is_refused(key):
    with pytest.raises(ConfigError, match=f"scoring.{key}: .*finite"):
        load_config({"indications": ["x"], "scoring": {key: float("inf")}})


def test_deep_nesting_is_refused_not_a_crash(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: " + "[" * 5000)
    with pytest.raises(ConfigError, match="nested too deeply"):
        read_yaml(path)


@pytest.mark.parametrize("odd", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028"])
def test_odd_characters_in_a_field_end_no_line(tmp_path, odd):
    path = registry(
        tmp_path, ("a", "healthy", "h5ad", f"1{odd}2", "a.h5ad", "", "CC"), ("b", "nonsense")
    )
    with pytest.raises(RegistryError, match=r"line 3: 2 fields where the header has 7"):
        load_registry([path])


def test_tabs_at_the_end_of_every_line_are_named(tmp_path):
    path = tmp_path / "atlases.tsv"
    path.write_text(HEADER.replace("\n", "\t\t\n"))
    with pytest.raises(RegistryError, match="line 1: 2 of 9 columns have no name"):
        load_registry([str(path)])
