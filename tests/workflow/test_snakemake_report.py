"""``snakemake --report``: one file with the pages of the run, made without any network."""

import base64
import re

import pytest

pytestmark = pytest.mark.workflow
NOWHERE = "http://127.0.0.1:9"


def test_the_report_of_the_workflow_holds_the_pages(demo_run, snakemake):
    folder, _ = demo_run
    proxies = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), NOWHERE)
    done = snakemake(folder, "--report", "report.html", **proxies)
    assert done.returncode == 0, done.stdout[-4000:]
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert not re.search(r'<(script|link|img)[^>]+(src|href)="https?:', text)
    pages = [base64.b64decode(p) for p in re.findall(r"data:text/html[^,]*base64,([\w+/=]+)", text)]
    for name in ("multiple_myeloma_demo.html", "index.html"):
        assert (folder / "results/report" / name).read_bytes() in pages
    assert "Ranked target antigens of" in text
    assert "multiple_myeloma_demo" in text
    assert "What was not measured is unknown" in text
