"""The parameters of a simulated world and the URL they are written in."""

from __future__ import annotations

from typing import Literal
from urllib.parse import parse_qsl

from pydantic import Field, field_validator

from targetscore.config.load import parse
from targetscore.config.models import Section, Share
from targetscore.errors import ConfigError, Problem, listed, near_matches, plain, raise_all

SCHEME = "simulate:"
WORLDS = ("myeloma",)


class World(Section):
    """A simulated world; equal worlds give equal files.

    Raises
    ------
    pydantic.ValidationError
        If a parameter is out of range; :func:`parse_url` turns it into a ``ConfigError``.
    """

    seed: int = Field(default=1, ge=0, description="seed of everything random")
    patients: int = Field(default=8, ge=1, le=1000, description="donors with the disease")
    healthy_donors: int = Field(default=5, ge=1, le=1000, description="donors without a disease")
    cells: int | None = Field(
        default=None,
        ge=500,
        le=20_000_000,
        description="about how many cells; None: natural size, about 25,000",
    )
    genes: int = Field(
        default=2000, ge=500, le=60_000, description="genes, named ones and fillers together"
    )
    compartments: tuple[Literal["marrow", "solid", "skin"], ...] = Field(
        default=("marrow", "solid", "skin"), description="which healthy tissue there is"
    )
    dispersion: float = Field(
        default=2.0, gt=0, le=1000, description="gamma shape of the level of a gene in a cell"
    )
    ambient: float = Field(
        default=0.03, ge=0, le=0.5, description="ambient UMIs, as a share of a cell's own UMIs"
    )
    doublets: Share = Field(default=0.04, description="share of droplets that hold two cells")
    donor_effect: float = Field(
        default=0.25, ge=0, le=2, description="standard deviation of log levels between donors"
    )

    @field_validator("compartments", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @field_validator("compartments")
    @classmethod
    def _with_marrow(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if "marrow" not in value:
            raise ValueError("'marrow' must be among the compartments, it holds the tumour")
        return tuple(c for c in ("marrow", "solid", "skin") if c in value)


def parse_url(url: str, file: str, place: str) -> World:
    """Read a world from a URL such as ``simulate:myeloma?seed=3&compartments=marrow,solid``.

    Parameters
    ----------
    url
        The URL; keys are the fields of :class:`World`.
    file, place
        Where the URL stands, for messages.

    Raises
    ------
    ConfigError
        With every problem of the URL; misspelt worlds and keys come with near matches.
    """
    name, _, query = url.removeprefix(SCHEME).partition("?")
    if not url.startswith(SCHEME) or name not in WORLDS:
        near = near_matches(name, WORLDS)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise ConfigError.one(
            file,
            place,
            f"there is no simulated world '{plain(url)}'",
            f"{hint}write simulate:<world>?key=value; worlds: {listed(WORLDS)}",
        )
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query))
    except ValueError:
        wrong = f"'{plain(query)}' is not a list of key=value"
        raise ConfigError.one(file, place, wrong, "write key=value, '&' between them") from None
    keys = [key for key, _ in pairs]
    raise_all(
        ConfigError,
        [
            Problem(file, f"{place}, {plain(key)}", "the key repeats", "give it once")
            for key in sorted({k for k in keys if keys.count(k) > 1})
        ],
    )
    try:
        return parse(World, dict(pairs), file)
    except ConfigError as error:
        raise ConfigError(
            [
                Problem(p.file, f"{place}, {plain(p.place)}", p.wrong, p.remedy)
                for p in error.problems
            ]
        ) from None
