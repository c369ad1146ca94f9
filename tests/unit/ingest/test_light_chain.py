"""Light-chain calls against simulated clones whose truth is known, and sums done the long way."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, betabinom, dirichlet_multinomial

from targetscore.ingest import light_chain as lc
from targetscore.ingest.ambient import ambient_rate

GENES = list(lc.CHAIN_GENES.values())
# Not the shares the caller believes in; IGLC3 as two alleles, one of which splits its reads.
LAMBDA_GENES = np.array([0.12, 0.5, 0.15, 0.2, 0.03])


def patient(
    rng,
    n=400,
    clone="kappa",
    share=0.9,
    kappa=0.6,
    depth=800.0,
    soup=0.02,
    spread=0.8,
):
    """Draw one patient's plasma cells; returns counts, ambient bound and who is of the clone."""
    own = np.where(rng.random(n) < kappa, 0, 1 + rng.choice(5, n, p=LAMBDA_GENES))
    of_clone = rng.random(n) < share
    if clone:
        own[of_clone] = lc.CLASSES.index(clone)
    else:
        of_clone[:] = False
    library = np.exp(rng.normal(np.log(3000), 0.4, n))
    level = depth * np.exp(rng.normal(0, spread, n))
    mean = level[:, None] * lc.COMPOSITION[own]
    background = mean.sum(0) / library.sum()
    ambient = soup * library[:, None] * background
    counts = rng.poisson(mean + ambient)
    rate = ambient_rate(counts.sum(0), float(library.sum()))
    return counts, library[:, None] * rate, of_clone


def test_kappa_clone():
    counts, ambient, clone = patient(np.random.default_rng(1), clone="kappa", share=0.97)
    found = lc.call_patient(counts, ambient)
    assert (found.summary["chain"], found.summary["gene"]) == ("kappa", None)
    assert (found.call[clone] == "malignant").mean() > 0.97
    malignant = found.call == "malignant"
    assert (~clone[malignant]).mean() < 0.1
    assert not (clone & (found.call == "normal")).any()
    assert (found.call == "normal").sum() > 0


@pytest.mark.parametrize(("gene", "share"), [("IGLC2", 0.8), ("IGLC3", 0.6), ("IGLC2/3", 0.7)])
def test_lambda_clone_is_known_by_its_gene(gene, share):
    counts, ambient, clone = patient(np.random.default_rng(2), clone=gene, share=share)
    found = lc.call_patient(counts, ambient)
    assert (found.summary["chain"], found.summary["gene"]) == ("lambda", gene)
    malignant = found.call == "malignant"
    assert malignant[clone].mean() > 0.9
    assert (~clone[malignant]).mean() < 0.1
    assert not (clone & (found.call == "normal")).any()
    kappa = counts[:, 0] > counts[:, 1:].sum(1)
    assert set(found.call[kappa & ~clone]) <= {"normal", "unclear"}
    assert (found.call[kappa & ~clone] == "normal").mean() > 0.95


def test_polyclonal_patients_have_no_malignant_cell():
    rng = np.random.default_rng(3)
    clones = 0
    for kappa in np.linspace(0.45, 0.75, 60):
        n = int(rng.integers(20, 600))
        found = lc.call_patient(*patient(rng, n=n, clone="", kappa=kappa)[:2])
        clones += found.summary["chain"] is not None
        assert set(found.call) <= {"normal", "unclear"} or found.summary["chain"]
        if found.summary["chain"] is None:
            assert found.summary["calls"]["malignant"] == 0
            assert found.summary["expected_normal_among_malignant"] is None
    assert clones <= 3, f"{clones} of 60 polyclonal patients were given a clone"


def test_half_a_clone_cannot_be_told_from_its_normal_twins():
    counts, ambient, clone = patient(np.random.default_rng(4), clone="kappa", share=0.5)
    found = lc.call_patient(counts, ambient)
    assert (found.call != "malignant").all()
    assert not (clone & (found.call == "normal") & (found.posterior > 0.1)).any()
    kappa = counts[:, 0] > counts[:, 1:].sum(1)
    assert 0.2 < np.nanmedian(found.posterior[kappa]) < 0.9


def test_cells_that_hold_only_ambient_counts_are_unclear():
    rng = np.random.default_rng(5)
    counts, ambient, _ = patient(rng, clone="IGLC3", share=0.9, soup=0.04)
    soup = ambient[:100] * 0.8
    found = lc.call_patient(
        np.vstack([counts, rng.poisson(soup)]), np.vstack([ambient, ambient[:100]])
    )
    strangers = found.call[len(counts) :]
    assert (strangers == "unclear").mean() > 0.9
    reason = "no light chain above ambient"
    assert (found.reason[len(counts) :] == reason).mean() > 0.9
    assert np.isnan(found.posterior[found.reason == reason]).all()


def test_ambient_of_the_clone_does_not_make_normal_cells_malignant():
    rng = np.random.default_rng(6)
    counts, ambient, clone = patient(rng, clone="IGLC3", share=0.95, soup=0.05, spread=1.2)
    found = lc.call_patient(counts, ambient)
    assert ambient.sum(1).mean() > 30
    kappa = ~clone & (counts[:, 0] > counts[:, 1:].sum(1))
    assert kappa.sum() >= 5
    assert "malignant" not in set(found.call[kappa])


def test_shallow_cells_are_unclear_and_have_no_posterior():
    rng = np.random.default_rng(7)
    counts, ambient, _ = patient(rng, clone="kappa", share=0.98)
    counts[:50] = rng.binomial(counts[:50], 0.003)
    ambient[:50] *= 0.003
    shallow = counts.sum(1) < lc.MIN_UMI
    found = lc.call_patient(counts, ambient)
    assert shallow[:50].sum() > 20
    assert set(found.call[shallow]) == {"unclear"}
    assert np.isnan(found.posterior[shallow]).all()


def test_two_chains_are_unclear():
    rng = np.random.default_rng(8)
    counts, ambient, clone = patient(rng, clone="kappa", share=0.9)
    twins = np.flatnonzero(clone)[:30]
    lambdas = np.flatnonzero(~clone & (counts[:, 0] < counts[:, 1:].sum(1)))
    partner = rng.choice(lambdas, len(twins))
    counts[twins] += counts[partner]
    minor = np.minimum(counts[twins, 0], counts[twins, 1:].sum(1)) / counts[twins].sum(1)
    found = lc.call_patient(counts, ambient)
    mixed = twins[minor > 0.2]
    assert len(mixed) > 10
    assert set(found.reason[mixed]) == {"two light chains"}


def test_too_few_cells_say_nothing():
    counts, ambient, _ = patient(np.random.default_rng(9), n=15, clone="IGLC3", share=1.0)
    found = lc.call_patient(counts, ambient)
    assert set(found.call) == {"unclear"}
    assert found.summary["chain"] is None
    nothing = lc.call_patient(counts[:0], ambient[:0])
    assert nothing.summary["n_cells"] == 0
    assert nothing.summary["probability_clone"] == pytest.approx(0.5)


def _many(rng, n, no_clone, kappa, clones):
    """Posterior, truth and calls of readable cells of many patients."""
    found = []
    for _ in range(n):
        clone = "" if rng.random() < no_clone else rng.choice(lc.CLASSES, p=clones)
        counts, ambient, of_clone = patient(
            rng,
            n=int(rng.integers(25, 500)),
            clone=clone,
            share=rng.random(),
            kappa=rng.beta(*kappa),
            depth=np.exp(rng.uniform(np.log(20), np.log(2000))),
            soup=rng.uniform(0, 0.04),
        )
        calls = lc.call_patient(counts, ambient)
        read = ~np.isnan(calls.posterior)
        found.append((calls.posterior[read], of_clone[read], (calls.call == "malignant")[read]))
    return (np.concatenate(v) for v in zip(*found, strict=True))


def _model_patient(rng):
    """Draw classes of cells exactly as the model has them; returns cells and clone cells."""
    models = np.exp(lc._PRIOR)
    clone = lc._MODELS[rng.choice(len(models), p=models / models.sum())]
    kappa, share = rng.beta(12, 8), rng.random() if clone else 0.0
    genes = rng.dirichlet(lc.LAMBDA_STRENGTH * lc.LAMBDA_SHARES)
    usage = np.array([kappa, *((1 - kappa) * genes)])
    total = int(rng.integers(1, 150))
    of_clone = rng.binomial(total, share)
    cells = np.zeros((2, 6), dtype=int)
    cells[0] = rng.multinomial(total - of_clone, usage)
    of_class = np.zeros(6)
    if len(clone) > 1:
        of_class[1:] = genes
    elif clone:
        of_class[clone[0]] = 1
    if of_clone:
        cells[1] = rng.multinomial(of_clone, of_class)
    return cells.sum(0), cells[1]


def test_posterior_is_calibrated_where_patients_are_as_assumed():
    rng = np.random.default_rng(10)
    p, n, t = [], [], []
    for _ in range(3000):
        cells, of_clone = _model_patient(rng)
        p.append(lc.clone_posterior(cells).of_classes)
        n.append(cells)
        t.append(of_clone)
    p, n, t = (np.array(v) for v in (p, n, t))
    for low in np.arange(0, 1, 0.1):
        here = (p >= low) & (p < low + 0.1)
        # The cells of a patient stand or fall together: the patient is the unit of the error.
        excess, cells = np.where(here, t - n * p, 0).sum(1), np.where(here, n, 0).sum()
        error = np.sqrt((excess**2).sum()) / cells
        assert error < 0.05, low
        assert abs(excess.sum()) / cells < 3.5 * error, (low, excess.sum() / cells, error)
    sure = p >= 0.95
    assert n[sure].sum() > 10_000
    assert 1 - t[sure].sum() / n[sure].sum() <= 0.05


@pytest.mark.parametrize("no_clone", [0.1, 0.8])
@pytest.mark.parametrize("kappa", [(15, 10), (30, 16), (40, 40)])
def test_calls_hold_where_patients_differ_from_what_is_assumed(no_clone, kappa):
    """Of cells with a posterior from 0.95 on at most 5 % are normal; of those called, 10 %."""
    clones = [0.55, 0.05, 0.2, 0.05, 0.1, 0.05]
    p, t, called = _many(np.random.default_rng(11), 120, no_clone, kappa, clones)
    assert (p >= 0.95).sum() > 500
    assert (~t[p >= 0.95]).mean() <= 0.05
    assert called.sum() > 800
    assert (~t[called]).mean() <= 0.10


def _urn(cells, shares, strength):
    """Probability of an order of draws, one by one."""
    seen, chance = np.zeros(len(shares)), 1.0
    for i, cell in enumerate(cells):
        chance *= (strength * shares[cell] + seen[cell]) / (strength + i)
        seen[cell] += 1
    return chance


@pytest.mark.parametrize("n", [(4, 0, 1, 0, 2, 0), (1, 1, 0, 0, 3, 0), (3, 0, 2, 0, 0, 1)])
@pytest.mark.parametrize("clone", [(), (0,), (4,), (1, 2, 3, 4, 5)])
def test_evidence_is_the_sum_over_every_assignment_of_cells(n, clone):
    cells = [k for k, many in enumerate(n) for _ in range(many)]
    inside = [i for i, k in enumerate(cells) if k in clone]
    total, normal_cells = 0.0, 0.0
    nodes, weight = np.polynomial.legendre.leggauss(40)  # exact: both integrands are polynomials
    pi, weight = (nodes + 1) / 2, weight / 2
    for normal in product([False, True], repeat=len(inside)):
        is_normal = dict(zip(inside, normal, strict=True))
        background = [k for i, k in enumerate(cells) if is_normal.get(i, True)]
        kappas = sum(k == 0 for k in background)
        # A clone of "lambda, any gene" says nothing about genes: all lambda cells scatter alike.
        pool = cells if clone in ((0,), (1, 2, 3, 4, 5)) else background
        genes = _urn([k - 1 for k in pool if k], lc.LAMBDA_SHARES, lc.LAMBDA_STRENGTH)

        of_clone, n_normal = len(cells) - len(background), len(background)
        mixing = pi**of_clone * (1 - pi) ** (n_normal if clone else 0)
        usage = pi**kappas * (1 - pi) ** (n_normal - kappas) * beta.pdf(pi, 12, 8)
        chance = genes * (mixing @ weight) * (usage @ weight)
        total += chance
        normal_cells += chance * sum(normal)
    evidence, share = lc._evidence(np.array(n), clone)
    assert evidence == pytest.approx(np.log(total), rel=1e-4)
    expected = normal_cells / total / len(inside) if inside else 1.0
    assert share == pytest.approx(expected, rel=1e-3)


def test_likelihood_is_the_dirichlet_multinomial_of_scipy():
    rng = np.random.default_rng(0)
    x, alpha = rng.integers(0, 30, 7), rng.uniform(0.1, 20, 7)
    orders = lc.gammaln(x.sum() + 1) - lc.gammaln(x + 1).sum()
    ours = lc._dirichlet_multinomial(x.astype(float), alpha) + orders
    assert ours == pytest.approx(dirichlet_multinomial.logpmf(x, alpha, x.sum()))


def test_background_is_as_wide_as_clinical_practice_takes_it_to_be():
    a = lc.KAPPA_STRENGTH * lc.KAPPA_SHARE
    of_100 = betabinom(100, a, lc.KAPPA_STRENGTH - a)
    assert of_100.cdf(80) - of_100.cdf(33) == pytest.approx(0.95, abs=0.005)
    assert sum(lc.LAMBDA_SHARES) == pytest.approx(1)
    assert np.allclose(lc.COMPOSITION.sum(1), 1)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=6, max_size=6), st.randoms(use_true_random=False))
def test_clone_posterior_properties(n, random):
    found = lc.clone_posterior(np.array(n))
    assert found.probability.sum() == pytest.approx(1)
    assert ((found.normal_share >= 0) & (found.normal_share <= 1 + 1e-12)).all()
    assert found.normal_share[0] == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_order_of_cells_changes_nothing(seed):
    rng = np.random.default_rng(seed)
    clone = ("kappa", "IGLC2", "")[seed % 3]
    counts, ambient, _ = patient(rng, n=60, clone=clone, share=rng.random())
    order = rng.permutation(60)
    one, other = lc.call_patient(counts, ambient), lc.call_patient(counts[order], ambient[order])
    assert one.summary == other.summary
    assert one.call[order].tolist() == other.call.tolist()
    assert np.array_equal(one.posterior[order], other.posterior, equal_nan=True)


@pytest.mark.parametrize(("made", "share"), [("kappa", 0.89), ("IGLC2", 0.64), ("IGLC3", 0.44)])
def test_clone_must_dominate_as_much_as_is_documented(made, share):
    usage = np.array([0.6, *(0.4 * lc.LAMBDA_SHARES)])
    place = lc.CLASSES.index(made)
    for pi, called in ((share - 0.03, False), (share + 0.03, True)):
        n = np.round(2000 * (1 - pi) * usage).astype(int)
        n[place] += 2000 - n.sum()
        assert (lc.clone_posterior(n).of_classes[place] >= lc.CALLED_FROM) == called


def test_more_of_the_clones_chain_never_lowers_the_posterior():
    shares = [
        1 - lc.clone_posterior(np.array([k, 1, 4, 1, 3, 0])).normal_share[1]
        for k in (20, 40, 80, 160, 320)
    ]
    assert shares == sorted(shares)
