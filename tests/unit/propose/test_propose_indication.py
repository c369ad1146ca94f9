"""``add-indication``: what is written is a valid indication, and every comment stays one."""

from pathlib import Path

import numpy as np
import pytest

from targetscore.config import load_config, load_indication, load_registry, read_yaml
from targetscore.errors import ConfigError, GeneError, TargetscoreError
from targetscore.io import write_json
from targetscore.propose.indication import IndicationRequest, add_indication

MYELOMA = "MONDO:0009693"


@pytest.fixture
def config(project: Path):
    return load_config(read_yaml("config/config.yaml"))


def request(**changes) -> IndicationRequest:
    basis = {"name": "my_myeloma", "title": "Mine", "disease": MYELOMA}
    basis |= {"diseased": ["mine"], "healthy": ["mine"], "panel": ["BCMA", "CD19"]}
    return IndicationRequest(**(basis | changes))


def test_it_is_read_as_the_indication_that_was_asked_for(bring, write_h5ad, config):
    bring(write_h5ad())
    said = add_indication(request(title="A: <b>b</b> # 'c' \"d\""), config, "config/config.yaml")
    assert said.splitlines()[1:] == [
        "next: name my_myeloma under indications in config/config.yaml",
        "next: targetscore check",
        "next: snakemake --cores 4",
    ]
    found = load_indication("my_myeloma", config)
    assert found.title == "A: <b>b</b> # 'c' \"d\""
    assert (found.disease.id, found.disease.label) == (MYELOMA, "plasma cell myeloma")
    assert found.normal_counterpart is not None
    assert found.normal_counterpart.cell_types == ["plasma cell"]
    assert found.tolerated.cell_types == []
    assert found.diseased.disease == []
    text = Path("config/indications/my_myeloma.yaml").read_text()
    assert "plasma cell myeloma MONDO:0009693 1\n" in text
    assert "#   plasma cell: 3 healthy cells\n" in text
    assert text.count("REVIEW") == 3


def test_one_of_several_diseases_is_chosen_with_its_kinds(bring, write_h5ad, obs, config):
    obs["disease"] = ["plasma cell myeloma", "influenza"] * 3 + ["normal"] * 6
    obs["malignancy"] = "malignant"
    bring(write_h5ad(obs=obs))
    add_indication(request(disease="plasma cell neoplasm"), config, "c")
    assert load_indication("my_myeloma", config).diseased.disease == [MYELOMA]


def test_hostile_labels_stay_in_their_comments(bring, write_h5ad, obs, config):
    hostile = ["x\ntolerated: {cell_types: [cell]}", "a\u202eb", "c\x85d: [", "=1", "<b>", "\ufeff"]
    obs["cell_type"] = [*hostile, *hostile]
    obs["disease"] = np.resize(["odd\nhsct_rescue: true", "normal"], 12)
    obs["malignancy"] = "malignant"
    bring(write_h5ad(obs=obs), "lineage=plasma cell")
    add_indication(request(), config, "c")
    found = load_indication("my_myeloma", config)
    assert found.tolerated.cell_types == []
    assert not found.hsct_rescue
    assert found.normal_counterpart is not None
    assert found.normal_counterpart.cell_types == ["plasma cell"]
    text = Path("config/indications/my_myeloma.yaml").read_text(encoding="utf-8")
    assert all(line.isprintable() for line in text.split("\n"))


def test_atlases_that_are_not_here_are_named_and_the_registry_asked(config):
    names = ["simulated_myeloma"]
    said = add_indication(request(diseased=names, healthy=names), config, "c")
    assert said.startswith("note: simulated_myeloma is not here yet")
    found = load_indication("my_myeloma", config)
    assert found.normal_counterpart is not None
    assert found.normal_counterpart.cell_types == ["plasma cell"]


def test_what_was_ingested_counts_only_for_the_row_as_it_is(config):
    """An atlas that a run has fetched and read, before and after its row became another."""
    row = load_registry(config.registries)["simulated_myeloma"]
    group = {"population": "diseased", "cell_type_id": "CL:0000980", "disease": MYELOMA}
    told = {"url": row.url, "version": row.version, "cell_types": [{**group, "n_cells": 7}]}
    place = "results/ingest/simulated_myeloma/summary.json"
    names = ["simulated_myeloma"]
    for n, (summary, said) in enumerate(
        [(told, False), ({**told, "version": "old"}, True), ([told], True)]
    ):
        write_json(summary, place)
        name = f"mine_{n}"
        shown = add_indication(request(name=name, diseased=names, healthy=names), config, "c")
        assert ("not here yet" in shown) == said
        text = Path(f"config/indications/{name}.yaml").read_text()
        assert ("plasmablast CL:0000980 7" in text) != said


def test_a_folder_that_cannot_be_written_is_named(config):
    Path("config/indications/.my_myeloma.yaml.tmp").mkdir()  # where it is written first
    names = ["simulated_myeloma"]
    with pytest.raises(ConfigError, match=r"my_myeloma.yaml: cannot be written"):
        add_indication(request(diseased=names, healthy=names), config, "c")


def test_without_a_panel_every_candidate_is_scored(config):
    names = ["simulated_myeloma"]
    add_indication(request(diseased=names, healthy=names, panel=[]), config, "c")
    panel = load_indication("my_myeloma", config).candidates.panel
    assert {"TNFRSF17", "GPRC5D", "CD19", "CD70", "GPC3"} <= set(panel)
    assert not {"XBP1", "JCHAIN", "CT83"} & set(panel)


def test_all_that_is_wrong_is_said_at_once_and_nothing_written(config, tables):
    before = tables()
    with pytest.raises(ConfigError) as caught:
        add_indication(
            request(
                name="../x",
                title="a\nb",
                disease="plasma cell myelom",
                diseased=["simulated_myelom"],
                healthy=["none"],
            ),
            config,
            "c",
        )
    assert len(caught.value.problems) == 5
    assert "MONDO:0009693" in str(caught.value)
    assert "did you mean 'simulated_myeloma'" in str(caught.value)
    with pytest.raises(GeneError, match="CD191"):
        add_indication(
            request(diseased=["simulated_myeloma"], healthy=["simulated_myeloma"], panel=["CD191"]),
            config,
            "c",
        )
    assert tables() == before


def test_an_indication_is_never_overwritten(config, tables):
    before = tables()
    with pytest.raises(TargetscoreError, match="not overwritten"):
        add_indication(request(name="multiple_myeloma"), config, "c")
    assert tables() == before
