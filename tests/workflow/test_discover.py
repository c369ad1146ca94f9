"""A dataset of CELLxGENE Discover through the workflow: resolved, brought, pinned, offline."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import yaml

from hostile.good import labels
from targetscore.cli import main
from targetscore.config import load_registry, read_yaml

pytestmark = pytest.mark.workflow

DATASET = "983d5ec9-40e8-4512-9e65-a572a9c486cb"
VERSION = "22222222-aaaa-4bbb-8ccc-000000000002"
GENES = ["TNFRSF17", "SLAMF7", "GPRC5D", "CD19", "CD38", "SDC1", "FCRL5", "CD46"]


@pytest.fixture
def discover() -> Iterator[Callable[[bytes], tuple[str, Callable[[], None]]]]:
    """Serve one dataset as the curation API and its file store do; can be switched off."""
    running: list[ThreadingHTTPServer] = []

    def start(data: bytes) -> tuple[str, Callable[[], None]]:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                host = f"http://127.0.0.1:{self.server.server_port}"  # type: ignore[attr-defined]
                url = f"{host}/{VERSION}.h5ad"
                assets = [{"filesize": len(data), "filetype": "H5AD", "url": url}]
                one = {"dataset_id": DATASET, "dataset_version_id": VERSION, "assets": assets}
                versions = json.dumps([{**one, "title": "Marrow", "cell_count": 120}]).encode()
                bodies = {
                    f"/v1/datasets/{DATASET}/versions": ("application/json", versions),
                    f"/{VERSION}.h5ad": ("application/octet-stream", data),
                }
                kind, body = bodies[self.path]
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        running.append(server)

        def stop() -> None:
            server.shutdown()
            server.server_close()
            running.remove(server)

        return f"http://127.0.0.1:{server.server_port}/v1", stop

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def marrow(path: Path) -> bytes:
    n = 120
    counts = np.random.default_rng(0).poisson(200, (n, len(GENES))).astype(np.float32)
    ad.AnnData(sp.csr_matrix(counts), obs=labels(n), var=pd.DataFrame(index=GENES)).write_h5ad(path)
    return path.read_bytes()


def test_dataset_from_id_to_pinned_and_offline(project, snakemake, discover, capsys):
    address, stop = discover(marrow(project / "source.h5ad"))
    row = {
        "atlas": "mine",
        "kind": "mixed",
        "format": "h5ad",
        "version": "not pinned",
        "url": f"cellxgene:{DATASET}",
        "licence": "mine",
        "malignancy": "malignancy",
        "lineage": "plasma cell",
        "tissues": "bone marrow",
    }
    lines = ["# kept by hand", "\t".join(row), "\t".join(row.values())]
    (project / "config/mine.tsv").write_text("\n".join(lines) + "\n")
    value = read_yaml("config/indications/multiple_myeloma_demo.yaml")
    value["diseased"] = value["healthy"] = {"atlases": ["mine"]}
    (project / "config/indications/mine.yaml").write_text(yaml.safe_dump(value))
    config = {"indications": ["mine"], "registries": ["config/mine.tsv"]}
    (project / "config/config.yaml").write_text(yaml.safe_dump(config))

    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert "mine: checksum unknown until first fetch; not here yet" in said
    assert "T_cell_fratricide_immunodeficiency  not by any atlas named" not in said

    until = ["--until", "ingest_atlas"]
    done = snakemake(project, *until, TARGETSCORE_CELLXGENE_API=address)
    assert done.returncode == 0, done.stdout
    manifest = json.loads((project / "results/fetch/mine/manifest.json").read_text())
    assert manifest["version"] == VERSION
    assert manifest["resolved"][0]["n_cells"] == 120
    stop()

    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert "fetched; targetscore pin writes down what was fetched" in said
    assert "1 seen of 11" in said.split("B_lineage_aplasia")[1].split("\n")[0]
    assert main(["pin"]) == 0
    pinned = load_registry(["config/mine.tsv"])["mine"]
    assert (pinned.version, pinned.dataset, pinned.n_cells) == (VERSION, DATASET, "120")
    assert pinned.sha256 == manifest["files"][0]["sha256"]
    assert (project / "config/mine.tsv").read_text().startswith("# kept by hand\n")

    done = snakemake(project, *until, TARGETSCORE_CELLXGENE_API=address)
    assert done.returncode == 0, done.stdout
    capsys.readouterr()
    assert main(["check"]) == 0
    said = capsys.readouterr().out
    assert "mine: checksum pinned; 120 cells; about" in said
    assert "1 seen of 11" in said.split("B_lineage_aplasia")[1].split("\n")[0]
