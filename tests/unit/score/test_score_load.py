"""Reading and summing profiles: assay classes, sums and levels against plain loops."""

import numpy as np
import pytest

from targetscore.libraries import assay_class, bin_centres
from targetscore.score.cohorts import GROUP, PATIENT, library_histograms, patient_groups
from targetscore.score.load import mean_levels, read_profiles, read_symbols, sum_cells


@pytest.mark.parametrize(
    ("assay", "expected"),
    [
        ("10x 3' v3", "droplet"),
        ("10X 5' v1", "droplet"),
        ("Drop-seq", "droplet"),
        ("Seq-Well S3", "droplet"),
        ("inDrop", "droplet"),
        ("CITE-seq", "droplet"),
        ("BD Rhapsody Whole Transcriptome Analysis", "droplet"),
        ("microwell-seq", "droplet"),
        ("sci-RNA-seq3", "droplet"),
        ("ScaleBio / Parse Evercode", "droplet"),
        ("MARS-seq", "droplet"),
        ("CEL-seq2", "droplet"),
        ("simulated droplet", "droplet"),
        ("Smart-seq2", "full_length"),
        ("SMARTer", "full_length"),
        ("Fluidigm C1 microfluidics platform", "full_length"),
        ("full-length plate", "full_length"),
        ("unknown", "unknown"),
        ("", "unknown"),
    ],
)
def test_assay_class(assay, expected):
    assert assay_class(assay) == expected


@pytest.fixture
def read(kit, tmp_path):
    cells = kit.Cells()
    rng = np.random.default_rng(3)
    for donor in ("P0", "P1"):
        for sample in ("a", "b"):
            counts = {g: rng.poisson(1.0, 30) for g in ("AAA1", "BBB2")}
            sizes = rng.integers(0, 9000, 30)
            cells.add("tumour", donor, counts, sample=sample, sizes=np.maximum(sizes, 1))
    cells.add("tumour", "P1", {"AAA1": [1, 1]}, cell_type=kit.T_CELL)
    cells.add("second", "P0", {"AAA1": [1] * 7}).measure("second", ["AAA1", "FILL"])
    profiles = list(cells.write(tmp_path).values())
    _, measured = read_symbols(profiles)
    genes = [kit.ENSEMBL[s] for s in ("BBB2", "AAA1", "CCC3")]
    return cells, profiles, read_profiles(profiles, measured, genes), genes


def test_sums_match_a_loop_over_cells(kit, read):
    cells, _, profiles, genes = read
    symbol = {v: k for k, v in kit.ENSEMBL.items()}
    for keys in (PATIENT, (*GROUP, *PATIENT)):
        sums = sum_cells(profiles, profiles.groups, keys, genes)
        for u, unit in enumerate(sums.units.to_dict("records")):
            own = [
                b for b in cells.batches if all(b[k] == unit[k] for k in keys if k != "assay_class")
            ]
            assert unit["n_cells"] == sum(len(b["sizes"]) for b in own)
            library = sum(int(b["sizes"].sum()) for b in own)
            for g, gene in enumerate(genes):
                has = symbol[gene] in cells.genes.get(unit["atlas"], cells.default_genes)
                x = [v for b in own for v in b["counts"].get(symbol[gene], [0])]
                assert sums.measured[u, g] == has
                assert sums.cells[u, g] == unit["n_cells"] * has
                if has:
                    assert sums.counts[u, g] == sum(x)
                    assert sums.detected[u, g] == sum(v > 0 for v in x)
                    assert sums.cpm[u, g] == pytest.approx(1e6 * sum(x) / library)
                else:
                    assert np.isnan(sums.cpm[u, g])


def test_donors_of_two_atlases_are_two_people(kit, read):
    _, _, profiles, genes = read
    units = sum_cells(profiles, profiles.groups, PATIENT, genes).units
    assert list(zip(units["atlas"], units["donor"], strict=True)) == [
        ("second", "P0"),
        ("tumour", "P0"),
        ("tumour", "P1"),
    ]


def test_library_histogram_holds_every_cell_at_its_size(kit, read):
    _, _, profiles, genes = read
    patients = patient_groups(
        profiles.groups, kit.indication(diseased={"atlases": ["tumour"]}), frozenset({kit.PLASMA})
    )
    units = sum_cells(profiles, patients, PATIENT, genes).units
    for unit, (sizes, weights) in zip(
        units.to_dict("records"), library_histograms(patients, units), strict=True
    ):
        assert weights.sum() == unit["n_cells"] == 60
        assert sizes @ weights == pytest.approx(unit["library_counts"], rel=0.02)
        assert np.all(np.diff(sizes) > 0)
    assert bin_centres([160])[0] == pytest.approx(2 ** (160.5 / 16))


def test_mean_levels_match_a_loop(kit, read):
    cells, profiles, read_, _ = read
    levels = mean_levels(profiles, read_.groups)
    for symbol in ("AAA1", "BBB2", "FILL"):
        per_patient = []
        for atlas, donor in (("tumour", "P0"), ("tumour", "P1"), ("second", "P0")):
            if symbol in cells.genes.get(atlas, cells.default_genes):
                own = [b for b in cells.batches if (b["atlas"], b["donor"]) == (atlas, donor)]
                counts = sum(int(np.sum(b["counts"].get(symbol, 0))) for b in own)
                per_patient.append(1e6 * counts / sum(int(b["sizes"].sum()) for b in own))
        assert levels[kit.ENSEMBL[symbol]] == pytest.approx(np.mean(per_patient))
    assert kit.ENSEMBL["CCC3"] not in levels.index


def test_mean_levels_without_patients_are_empty(read):
    _, profiles, read_, _ = read
    assert mean_levels(profiles, read_.groups.iloc[:0]).empty
