"""Pinning: what was fetched is written into the registry, and nothing else is touched."""

from __future__ import annotations

import difflib
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targetscore.cli import main
from targetscore.config import load_registry, set_fields
from targetscore.errors import RegistryError
from targetscore.fetch import Progress, fetch_atlas, pin_registries, to_manifest
from targetscore.io import write_json

DATASET = "983d5ec9-40e8-4512-9e65-a572a9c486cb"
NEW, LATER = "22222222-aaaa-4bbb-8ccc-000000000002", "44444444-aaaa-4bbb-8ccc-000000000004"
HEADER = "version\tatlas\tkind\tformat\turl\tlicence\tsha256\tnote"


@pytest.fixture
def project(tmp_path, monkeypatch, server):
    """A folder with a registry of every kind of row, and an API that knows one dataset."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TARGETSCORE_CELLXGENE_API", server.url("/v1"))
    (tmp_path / "config").mkdir()
    (tmp_path / "config/config.yaml").write_text(
        "indications: [any]\nregistries: [config/atlases.tsv]\n"
    )
    (tmp_path / "folder/deep").mkdir(parents=True)
    (tmp_path / "folder/b.txt").write_text("b")
    (tmp_path / "folder/deep/a.txt").write_text("a")
    lines = [
        "# kept by hand: do not sort",
        HEADER,
        f"not pinned\tdiscover\thealthy\th5ad\tcellxgene:{DATASET}\tCC BY 4.0\t\tsays: “naïve”",
        "",
        f'1\tplain\thealthy\th5ad\t{server.url("/p.h5ad")}\tCC0\t\t"with ""quotes"""',
        "# between rows",
        "1\there\ttumour\ttenx_mtx\tfolder\tCC0\t\t",
        "1\tinvented\tsimulated\th5ad\tsimulate:myeloma?seed=1\tBSD\t\t",
        "1\tlater\thealthy\th5ad\thttps://e.org/l.h5ad\tCC0\t\t",
    ]
    (tmp_path / "config/atlases.tsv").write_text("\n".join(lines) + "\n")
    return tmp_path


@pytest.fixture
def publish(server, tools, data):
    """Publish a version of the dataset: its file, and what the API says."""

    def run(version, size=None):
        body = data[: size or len(data)]
        url = server.script(f"/{version}.h5ad", tools.serve(body))
        assets = [{"filesize": len(body), "filetype": "H5AD", "url": url}]
        one = {"dataset_id": DATASET, "dataset_version_id": version, "assets": assets}
        text = json.dumps([{**one, "title": "Blood", "cell_count": 50115}]).encode()
        kind = {"Content-Type": "application/json"}
        server.script(f"/v1/datasets/{DATASET}/versions", tools.status(200, kind, text))
        return url

    return run


def bring(project, tools, *names):
    rows = load_registry(["config/atlases.tsv"])
    for name in names:
        folder = str(project / "resources" / name)
        fetched = fetch_atlas(
            rows[name], "config/atlases.tsv", folder, Progress(io.StringIO()), tools.patience
        )
        write_json(to_manifest(fetched), f"results/fetch/{name}/manifest.json")


def registry(project):
    return (project / "config/atlases.tsv").read_text()


def changed_lines(before, after):
    return [d for d in difflib.ndiff(before.splitlines(), after.splitlines()) if d[0] in "+-"]


def test_what_was_fetched_is_pinned(project, publish, server, tools, data, capsys):
    url = publish(NEW)
    server.script("/p.h5ad", tools.serve(data[:99]))
    bring(project, tools, "discover", "plain", "here", "invented")
    n_requests = len(server.requests)
    assert main(["pin"]) == 0
    assert len(server.requests) == n_requests
    said = capsys.readouterr().out
    rows = load_registry(["config/atlases.tsv"])
    pinned = rows["discover"]
    assert (pinned.url, pinned.version, pinned.dataset) == (url, NEW, DATASET)
    assert (pinned.sha256, pinned.n_bytes) == (tools.sha(data), str(len(data)))
    assert pinned.n_cells == "50115"
    assert pinned.note == "says: “naïve”"
    assert rows["plain"].sha256 == tools.sha(data[:99])
    assert rows["plain"].note == 'with "quotes"'
    assert rows["later"].sha256 == rows["invented"].sha256 == ""
    assert f"+ sha256   {tools.sha(data)}" in said
    assert f"- url      cellxgene:{DATASET}" in said
    assert "not fetched yet: later" in said
    assert "simulated, there is no file: invented" in said

    # What was pinned is what fetch holds files against, in every form.
    n_requests = len(server.requests)
    bring(project, tools, "discover", "plain", "here")
    assert len(server.requests) == n_requests
    manifest = json.loads((project / "results/fetch/discover/manifest.json").read_text())
    assert manifest["checksum"] == "pinned"
    assert manifest["resolved"][0]["title"] == "Blood"
    before = registry(project)
    assert main(["pin"]) == 0
    assert registry(project) == before
    assert "checksum pinned already: discover, here, plain" in capsys.readouterr().out


def test_everything_else_stays(project, publish, server, tools, data):
    before = registry(project)
    server.script("/p.h5ad", tools.serve(data[:99]))
    bring(project, tools, "plain")
    pin_registries(["config/atlases.tsv"], ["plain"], newest=False)
    after = registry(project)
    head = [line for line in after.splitlines() if line.startswith("version")]
    assert head == [f"{HEADER}\tn_bytes"]
    kept = [line.rstrip("\t") for line in after.splitlines()]
    for line in before.splitlines():
        if "\tplain\t" not in line and line != HEADER:
            assert line.rstrip("\t") in kept
    order = [line.split("\t")[0] for line in after.splitlines()]
    assert order == [line.split("\t")[0] for line in before.splitlines()]


def test_only_named_rows_change(project, publish, tools, server, data):
    publish(NEW)
    server.script("/p.h5ad", tools.serve(data[:99]))
    bring(project, tools, "discover", "plain")
    assert main(["pin", "--atlas", "discover"]) == 0
    rows = load_registry(["config/atlases.tsv"])
    assert rows["discover"].sha256
    assert not rows["plain"].sha256


def test_version_alone_is_resolved_without_a_download(project, publish, server, tools, capsys):
    url = publish(NEW)
    assert main(["pin", "--newest", "--atlas", "discover"]) == 0
    row = load_registry(["config/atlases.tsv"])["discover"]
    assert (row.url, row.version, row.dataset, row.sha256) == (url, NEW, DATASET, "")
    assert [r.path for r in server.requests] == [f"/v1/datasets/{DATASET}/versions"]
    assert main(["pin", "--newest", "--atlas", "discover"]) == 0
    assert "version pinned already, not fetched yet: discover" in capsys.readouterr().out
    bring(project, tools, "discover")
    assert main(["pin"]) == 0
    assert load_registry(["config/atlases.tsv"])["discover"].sha256


def test_newer_version_only_when_asked(project, publish, tools, server, data):
    publish(NEW)
    bring(project, tools, "discover")
    assert main(["pin"]) == 0
    later = publish(LATER, 4000)
    assert main(["pin"]) == 0
    assert load_registry(["config/atlases.tsv"])["discover"].version == NEW
    assert main(["pin", "--newest", "--atlas", "discover"]) == 0
    row = load_registry(["config/atlases.tsv"])["discover"]
    assert (row.url, row.version, row.sha256, row.n_bytes) == (later, LATER, "", "4000")
    bring(project, tools, "discover")
    assert main(["pin"]) == 0
    assert load_registry(["config/atlases.tsv"])["discover"].sha256 == tools.sha(data[:4000])


def test_row_that_was_changed_since(project, server, tools, data, capsys):
    server.script("/p.h5ad", tools.serve(data[:99]))
    bring(project, tools, "plain")
    text = registry(project).replace("/p.h5ad", "/q.h5ad")
    (project / "config/atlases.tsv").write_text(text)
    assert main(["pin", "--atlas", "plain"]) == 0
    assert "fetched from another url than the row names now" in capsys.readouterr().out
    assert registry(project) == text


def test_one_that_fails_does_not_stop_the_others(project, server, tools, data, capsys):
    server.script("/p.h5ad", tools.serve(data[:99]))
    bring(project, tools, "plain")
    assert main(["pin", "--newest"]) == 1
    said = capsys.readouterr()
    assert "knows no published dataset" in said.err
    assert "FetchError" in said.err
    assert f"+ sha256   {tools.sha(data[:99])}" in said.out
    assert load_registry(["config/atlases.tsv"])["plain"].sha256 == tools.sha(data[:99])


def test_damaged_manifest_is_a_named_problem(project, capsys):
    write_json({"atlas": 7}, "results/fetch/plain/manifest.json")
    before = registry(project)
    assert main(["pin"]) == 1
    assert "delete the manifest and run again" in capsys.readouterr().err
    assert registry(project) == before


def test_registry_that_cannot_be_written(project, server, tools, data, capsys):
    server.script("/p.h5ad", tools.serve(data[:99]))
    bring(project, tools, "plain")
    before = registry(project)
    (project / "config/.atlases.tsv.tmp").mkdir()  # where the registry is written first
    assert main(["pin"]) == 1
    assert "config/atlases.tsv: cannot be written" in capsys.readouterr().err
    assert registry(project) == before


def test_unknown_atlas_changes_nothing(project, capsys):
    before = registry(project)
    assert main(["pin", "--atlas", "plane", "discover"]) == 1
    assert "there is no atlas of this name" in capsys.readouterr().err
    assert "did you mean plain" in pin_error("plane")
    assert registry(project) == before


def pin_error(name):
    with pytest.raises(RegistryError) as caught:
        pin_registries(["config/atlases.tsv"], [name], newest=False)
    return str(caught.value)


def test_the_registry_that_counts_is_changed(project, server, tools, data):
    mine = project / "config/mine.tsv"
    mine.write_text(f"{HEADER}\n2\tplain\thealthy\th5ad\t{server.url('/p.h5ad')}\tCC0\t\t\n")
    server.script("/p.h5ad", tools.serve(data[:99]))
    bring(project, tools, "plain")
    before = registry(project)
    pin_registries(["config/atlases.tsv", "config/mine.tsv"], [], newest=False)
    assert registry(project) == before
    assert tools.sha(data[:99]) in mine.read_text()


def test_line_ends_and_byte_order_mark_stay(project):
    text = "\ufeffatlas\turl\r\n# note\r\na\tx\r\nb\ty"
    assert set_fields(text, "b", {"url": "z", "sha256": "1"}, "f") == (
        "\ufeffatlas\turl\tsha256\r\n# note\r\na\tx\t\r\nb\tz\t1"
    )
    with pytest.raises(RegistryError, match="no row of this name"):
        set_fields(text, "c", {"url": "z"}, "f")
    with pytest.raises(RegistryError, match="no row of this name"):
        set_fields("# empty\n", "c", {"url": "z"}, "f")


FIELD = st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=8)


@given(st.lists(st.tuples(FIELD, FIELD), min_size=1, max_size=5), st.integers(0, 4), FIELD)
def test_only_one_field_changes(rows, at, new):
    """Whatever stands in a row, quotes and spaces too, only the field asked for is another."""
    import csv

    at %= len(rows)
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n", quoting=csv.QUOTE_MINIMAL)
    writer.writerow(["x", "atlas", "y"])
    writer.writerows([x, f"a{n}", y] for n, (x, y) in enumerate(rows))
    if any(line.startswith("#") for line in out.getvalue().splitlines()):
        return
    changed = set_fields(out.getvalue(), f"a{at}", {"y": new}, "f")
    read = list(csv.reader(changed.splitlines(), delimiter="\t"))
    expected = [[x, f"a{n}", new if n == at else y] for n, (x, y) in enumerate(rows)]
    assert read == [["x", "atlas", "y"], *expected]
