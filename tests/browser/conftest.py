"""An invented report, and a Chromium to look at it."""

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import sync_playwright

from targetscore import contracts
from targetscore.config.models import Indication, Scoring
from targetscore.contracts import COMPONENTS, COVERAGE, EVIDENCE
from targetscore.report import ReportData, render_report

sys.path.insert(0, str(Path(__file__).parent))
import invented_tables as tables
from invented_tables import CLOSING, LONG, SCRIPT, TABLES, TURNED

QUIET = ("gpu", "quic", "background-networking", "component-update", "sync")
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", e => violations.push(e.violatedDirective));
"""


def build_report(
    n_groups: int = 40, n_patients: int = 12, simulated: bool = True, n_antigens: int = 6
) -> ReportData:
    """Invent a report that keeps every contract; equal arguments give equal data."""
    rng = np.random.default_rng(7)
    panel = tables.panel(n_antigens)
    antigens = [(f"ENSG{k:011d}", a[0]) for k, a in enumerate(panel)]
    evidence = tables.evidence(rng, antigens, n_groups).reindex(columns=EVIDENCE.names)
    components = tables.components(evidence, panel).reindex(columns=COMPONENTS.names)
    for column in ("n_patients_escaping", "n_patients_escape_untold"):
        components[column] = components[column].astype("Int64")
    ranking = tables.ranking(components, simulated)
    data = ReportData(
        name="demo_disease",
        indication=Indication.model_validate(
            {
                "title": "Multiple myeloma",
                "question": "Which surface antigen would make a CAR? " + SCRIPT,
                "disease": {"id": "MONDO:0009693", "label": "plasma cell myeloma"},
                "diseased": {
                    "atlases": ["demo_tumour"],
                    "selection": [{"antigen": "SDC1", "reason": "CD138-sorted " + SCRIPT}],
                },
                "healthy": {"atlases": ["demo_healthy"]},
                "tolerated": {"cell_types": ["B cell"], "reason": "replaceable by antibodies"},
                "candidates": {"panel": [a[0] for a in panel]},
                "notes": ["Most patients were treated before. " + SCRIPT],
            }
        ),
        evidence=evidence,
        toxicity=tables.toxicity(evidence),
        coverage=tables.coverage(rng, antigens, n_patients).reindex(columns=COVERAGE.names),
        shedding=tables.shedding(antigens),
        components=components,
        ranking=ranking,
        robustness=tables.robustness(components),
        outranks=tables.outranks(ranking),
        knowledge=SimpleNamespace(
            tiers=pd.DataFrame(
                [
                    (1, "vital", 0.02, 0.1, 20.0, 0.9, "specification", "design"),
                    (2, "severe", 0.05, 0.25, 50.0, 0.7, "specification", "design"),
                    (3, "quality of life", 0.1, 0.5, 100.0, 0.35, "specification", "design"),
                    (4, "replaceable", 0.2, 1.0, 500.0, 0.1, "specification", "design"),
                ],
                columns=[
                    *("tier", "meaning", "alert_fraction", "saturation_fraction"),
                    *("saturation_cpm", "weight", "source", "status"),
                ],
            ),
            antigens=pd.DataFrame(
                [("CD38", "toxic_control"), ("TNFRSF17", "primary")], columns=["symbol", "role"]
            ),
            tissue_tiers=tables.tissue_tiers(evidence),
            healthy_literature=tables.healthy_literature(evidence),
            soluble_levels=pd.DataFrame(
                [("TNFRSF17", "smouldering", "128", "ng/mL", "ELISA", "Visram 2021", "verified")],
                columns=["symbol", "setting", "level", "unit", "assay", "source", "status"],
            ),
            clinical=pd.DataFrame(
                [("TNFRSF17", "outcome", "response 73 % " + SCRIPT, "KarMMa", "verified")],
                columns=["symbol", "kind", "finding", "source", "status"],
            ),
        ),
        scoring=Scoring(),
        atlases=[tables.atlas("demo_tumour", simulated), tables.atlas("demo_healthy", simulated)],
        provenance={
            "package_versions": {"numpy": "2.0", "pandas": "2.2"},
            "code_fingerprint": "0123456789abcdef",
            "config_digest": "fedcba9876543210",
        },
    )
    for name in TABLES:
        getattr(contracts, name.upper()).check(getattr(data, name), f"invented {name}")
    return data


@pytest.fixture(scope="session")
def invented():
    """Give the maker of invented reports."""
    return build_report


@pytest.fixture(scope="session")
def data():
    """Give one invented report; tests make their own copies of what they change."""
    return build_report()


@pytest.fixture(scope="session")
def html(data):
    """Give its page."""
    return render_report(data)


@pytest.fixture(scope="session")
def address(html, tmp_path_factory):
    """Give the address of its page."""
    path = tmp_path_factory.mktemp("report") / "demo_disease.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="session")
def stage_tables():
    """Give the contract of each table a report is made of, by its name."""
    return {name: getattr(contracts, name.upper()) for name in TABLES}


@pytest.fixture(scope="session")
def hostile_texts():
    """Give texts that would do harm if they were not escaped."""
    return {"script": SCRIPT, "closing": CLOSING, "turned": TURNED, "long": LONG}


@pytest.fixture(scope="session")
def chromium():
    """Start the system's Chromium once."""
    path = (
        os.environ.get("TARGETSCORE_CHROMIUM")
        or shutil.which("chromium")
        or shutil.which("chromium-browser")
    )
    if not path:
        pytest.skip("no Chromium: install it or set TARGETSCORE_CHROMIUM")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=path,
            args=[f"--disable-{what}" for what in QUIET] + ["--no-sandbox", "--no-first-run"],
        )
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium):
    """Open a page; it remembers what it requested, complained about and ran."""
    contexts = []

    def open_page(url, **options):
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.requests, page.complaints = [], []
        page.on("request", lambda r: page.requests.append(r.url))
        page.on("console", lambda m: page.complaints.append(m.text))
        page.on("pageerror", lambda e: page.complaints.append(str(e)))
        page.on("dialog", lambda d: (page.complaints.append(f"dialog {d.message}"), d.dismiss()))
        page.add_init_script(WATCH)
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
