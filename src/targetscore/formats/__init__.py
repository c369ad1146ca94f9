"""Formats of atlases: one adapter each; a new format is one module and one line here."""

from __future__ import annotations

from targetscore.config.models import AtlasRow
from targetscore.formats.base import BLOCK_VALUES, OpenAtlas
from targetscore.formats.geo_text import open_geo_text
from targetscore.formats.h5ad import open_h5ad
from targetscore.formats.tenx_mtx import open_tenx_mtx

__all__ = ["BLOCK_VALUES", "FORMATS", "OpenAtlas", "open_atlas"]

FORMATS = {"h5ad": open_h5ad, "tenx_mtx": open_tenx_mtx, "geo_text": open_geo_text}


def open_atlas(row: AtlasRow, location: str) -> OpenAtlas:
    """Open an atlas with the adapter of its format."""
    return FORMATS[row.format](row, location)
