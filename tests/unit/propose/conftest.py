"""A user's folder with a configuration, and a way to bring files to it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from targetscore.config import load_config, read_yaml
from targetscore.errors import TargetscoreError
from targetscore.propose.ask import Person
from targetscore.propose.atlas import AtlasRequest, add_atlas

GIVEN = ("licence=CC0", "version=1")


class Typist:
    """Someone whose answers are known in advance; remembers what was shown."""

    def __init__(self, *answers: str) -> None:
        self.answers, self.shown = list(answers), []

    def read(self, prompt: str) -> str:
        self.shown.append(prompt)
        if not self.answers:
            raise EOFError
        return self.answers.pop(0)

    @property
    def text(self) -> str:
        return "\n".join(self.shown)


@pytest.fixture
def typist() -> type[Typist]:
    return Typist


@pytest.fixture
def tables(project: Path) -> Callable[[], dict[str, bytes]]:
    """Every file of the configuration, to see that nothing was written."""

    def read() -> dict[str, bytes]:
        return {str(p): p.read_bytes() for p in (project / "config").rglob("*") if p.is_file()}

    return read


@pytest.fixture
def bring(project: Path, tables) -> Callable[..., Typist]:
    """Add an atlas in a project; a refusal must leave every table as it was."""

    def add(
        path: object,
        *given: str,
        answers=None,
        labels=(),
        name="mine",
        agreed=True,
        basis=GIVEN,
    ) -> Typist:
        config = load_config(read_yaml("config/config.yaml"))
        someone = Typist(*(answers or ()))
        person = Person(someone.read, someone.shown.append)
        registry = "config/atlases.tsv"
        request = AtlasRequest(str(path), registry, name, [*basis, *given], labels, agreed)
        before = tables()
        try:
            someone.shown.append(add_atlas(request, config, person, answers is not None))
        except TargetscoreError:
            assert tables() == before
            raise
        return someone

    return add
