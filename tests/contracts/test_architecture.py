"""The arrows of the design: stages import the ground floor only, scripts hold no logic."""

import ast
import re
from pathlib import Path

import pytest

STAGES = {"fetch", "ingest", "profile", "score", "pairs", "report", "backtest", "simulate"}
ABOVE = {"assessable", "checks", "cli", "explain", "propose"}


def imported(path: Path) -> set[str]:
    """Names of the parts of targetscore that a module imports, also inside functions."""
    tree = ast.parse(path.read_text())
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return {n.split(".")[1] for n in names if n.startswith("targetscore.")}


def modules(repository: Path) -> list[Path]:
    return sorted((repository / "src" / "targetscore").rglob("*.py"))


def test_no_arrow_between_stages(repository):
    root = repository / "src" / "targetscore"
    wrong = []
    for path in modules(repository):
        part = path.relative_to(root).parts[0].removesuffix(".py")
        if part in ABOVE:
            continue
        allowed = {part} if part in STAGES else set()
        others = imported(path) & (STAGES | ABOVE) - allowed
        wrong += [f"{path.relative_to(root)} imports {other}" for other in sorted(others)]
    assert not wrong


def test_modules_fit_on_a_few_screens(repository):
    long = {str(p): n for p in modules(repository) if (n := len(p.read_text().splitlines())) > 500}
    assert not long


def test_scripts_are_thin_adapters_named_like_their_rule(repository):
    scripts = {p.stem: p for p in (repository / "workflow" / "scripts").glob("*.py")}
    rules = "".join(p.read_text() for p in (repository / "workflow" / "rules").glob("*.smk"))
    assert set(re.findall(r"^rule (\w+):", rules, re.MULTILINE)) == set(scripts)
    for name, path in scripts.items():
        tree = ast.parse(path.read_text())
        assert not [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.Lambda)]
        assert len(path.read_text().splitlines()) <= 45, name
        assert f"Rule {name}:" in ast.get_docstring(tree)


def test_rules_keep_the_house_rules(repository):
    for path in (repository / "workflow" / "rules").glob("*.smk"):
        text = path.read_text()
        assert not re.search(r"^\s+(run|message):", text, re.MULTILINE), path
        if path.name != "common.smk":
            assert not re.search(r"^def ", text, re.MULTILINE), path
            rules = len(re.findall(r"^rule ", text, re.MULTILINE))
            assert len(re.findall(r"^    log:", text, re.MULTILINE)) == rules, path
    assert len((repository / "workflow/rules/common.smk").read_text().splitlines()) < 200


@pytest.mark.parametrize("heavy", ["scanpy", "anndata", "matplotlib", "numba", "pyarrow.dataset"])
def test_starting_the_workflow_imports_nothing_heavy(heavy):
    import subprocess
    import sys

    code = (
        "import sys, targetscore.checks, targetscore.fetch, targetscore.knowledge;"
        f"sys.exit({heavy!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
