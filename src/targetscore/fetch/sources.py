"""What a registry row asks for: its URLs read, expanded, named, and checked before any job."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from targetscore.config import AtlasRow, Store, expand, is_store, parse_store
from targetscore.errors import FetchError, Problem, RegistryError, plain, raise_all

ARCHIVES = (".tar", ".tar.gz", ".tgz")
SIDECARS = (".part", ".part.json", ".sha256", ".wrong-checksum", ".unpacked", ".cellxgene.json")
LONGEST_NAME = 120

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://|(file|simulate|cellxgene):", re.IGNORECASE)
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_DATASET = re.compile(rf"cellxgene:(?://)?({_UUID})(?:@({_UUID}))?", re.IGNORECASE)
_FILE_URL = re.compile(r"file:(?://([^/]*)|(?!//))(/.*)", re.IGNORECASE | re.DOTALL)


def scheme_of(url: str) -> str:
    """Return the scheme of a URL in lower case; a plain path has the empty one."""
    match = _SCHEME.match(url)
    return (match[1] or match[2]).lower() if match else ""


def dataset_ids(url: str) -> tuple[str, str] | None:
    """Return dataset and version id of ``cellxgene:<dataset>[@<version>]``; None if it is none.

    The version is empty where the newest one is meant.
    """
    match = _DATASET.fullmatch(url)
    return (match[1].lower(), (match[2] or "").lower()) if match else None


def local_path(url: str) -> Path | None:
    """Return the path a URL stands for, None if it is not on this machine.

    Parameters
    ----------
    url
        One URL with its variables expanded: ``file://…`` (percent-encoded) or a plain path.

    Raises
    ------
    RegistryError
        If a ``file:`` URL names another host or no absolute path.
    """
    scheme = scheme_of(url)
    if scheme == "":
        return Path(url)
    if scheme != "file":
        return None
    match = _FILE_URL.fullmatch(url)
    if match is None or match[1] not in (None, "", "localhost"):
        wrong = "a file URL needs an absolute path and no host"
        raise RegistryError.one("url", plain(url), wrong, "write file:///folder/file, or a path")
    return Path(unquote(match[2]))


def file_name(url: str) -> str:
    """Return the name under which a download is kept; empty if the URL gives none.

    The last part of the URL's path, percent-decoded, with every character replaced that is
    not a letter, digit or one of ``._+-``: no separator, no leading dot, bounded length.
    """
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    last = unquote(path.rstrip("/").rpartition("/")[2])
    name = re.sub(r"[^A-Za-z0-9._+-]", "_", last).lstrip(".")
    if len(name) <= LONGEST_NAME:
        return name
    ending = "".join(Path(name).suffixes[-2:])[-20:]
    mark = hashlib.sha256(url.encode()).hexdigest()[:12]
    return f"{name[: LONGEST_NAME - len(ending) - 13]}-{mark}{ending}"


def is_archive(name: str) -> bool:
    """Tell by the name of a file whether it is unpacked."""
    return name.lower().endswith(ARCHIVES)


def archive_stem(name: str) -> str:
    """Return the name of a file without the ending of an archive."""
    return re.sub(r"\.(tar|tar\.gz|tgz)$", "", name, flags=re.IGNORECASE)


@dataclass(frozen=True)
class Source:
    """One URL of a registry row.

    Attributes
    ----------
    registry, atlas
        Where it is written.
    written
        The URL as the registry writes it; the only form that is ever shown or stored.
    url
        The same with its variables expanded.
    sha256
        The checksum it must have, empty if unknown.
    local
        Its path if it is on this machine.
    name
        Its file name.
    """

    registry: str
    atlas: str
    written: str
    url: str
    sha256: str
    local: Path | None
    name: str

    @property
    def archive(self) -> bool:
        """Whether it is unpacked after it was brought."""
        return is_archive(self.name) and not (self.local and self.local.is_dir())

    @property
    def stem(self) -> str:
        """The name without the ending of an archive."""
        return archive_stem(self.name)

    def path(self, folder: Path) -> Path:
        """Return where it is, or will be once it was downloaded."""
        return self.local or folder / self.name

    def location(self, folder: Path) -> Path:
        """Return what there is to read: the file, the folder or the unpacked archive."""
        return folder / self.stem if self.archive else self.path(folder)

    def problem(self, wrong: str, remedy: str) -> Problem:
        """Describe what is wrong with it."""
        place = f"atlas {self.atlas}, {plain(re.sub(r'//[^/@]*@', '//', self.written))}"
        if self.local is not None and self.written != str(self.local):
            place += f" ({plain(self.local)})"
        return Problem(self.registry, place, wrong, remedy)

    def error(self, wrong: str, remedy: str) -> FetchError:
        """Build the error that it could not be brought."""
        return FetchError([self.problem(wrong, remedy)])


def simulated(row: AtlasRow) -> bool:
    """Whether there is nothing to bring because the atlas is simulated."""
    return len(row.url.split()) == 1 and scheme_of(row.url.strip()) == "simulate"


def store_of(row: AtlasRow, registry_file: str) -> Store | None:
    """Return the TileDB-SOMA store a row is about, None if it is about files.

    Raises
    ------
    RegistryError
        If a variable in the URL is not set, or what it holds makes no URL of a store.
    """
    if not is_store(row.url):
        return None
    place = f"atlas {row.atlas}, url"
    try:
        return parse_store(expand(row.url, registry_file, place))
    except ValueError as error:  # the row itself was checked, before its variables were known
        wrong = f"'{plain(row.url)}' with its variables is no store ({plain(error)})"
        raise RegistryError.one(registry_file, place, wrong, "set other variables") from error


def elsewhere(row: AtlasRow, registry_file: str) -> bool:
    """Whether a row is about a store that is read over the network, where it is."""
    store = store_of(row, registry_file)
    return store is not None and store.remote


def sources(row: AtlasRow, registry_file: str) -> list[Source]:
    """Read the URLs of a row.

    Parameters
    ----------
    row
        Row of the registry, neither simulated nor read where it is.
    registry_file
        Name of the registry for messages.

    Returns
    -------
    list of Source
        In the order of the row.

    Raises
    ------
    RegistryError
        With every URL that cannot be used: variable not set, unknown scheme, no file name,
        a name that another file of the atlas has, local files in different folders.
    """
    store = store_of(row, registry_file)
    if store is not None:
        place = Path(store.uri)
        url = row.url.strip()
        return [Source(registry_file, row.atlas, url, url, row.sha256, place, place.name)]
    written = row.url.split()
    checksums = row.sha256.split() or ["-"] * len(written)
    found: list[Source] = []
    problems: list[Problem] = []
    for text, checksum in zip(written, checksums, strict=True):
        try:
            url = expand(text, registry_file, f"atlas {row.atlas}, url")
            local = local_path(url)
        except RegistryError as error:
            problems += [Problem(registry_file, *_rest(p)) for p in error.problems]
            continue
        # Of a dataset the name is known when it was resolved; its id is as unique.
        ids = dataset_ids(url)
        name = f"{ids[0]}.h5ad" if ids else file_name(url) if local is None else local.name
        sha256 = "" if checksum == "-" else checksum
        source = Source(registry_file, row.atlas, text, url, sha256, local, name)
        if local is None:
            problems += remote_problems(source)
        found.append(source)
    problems += _together_problems(found)
    raise_all(RegistryError, problems)
    return found


def _rest(problem: Problem) -> tuple[str, str, str]:
    return problem.place, problem.wrong, problem.remedy


def remote_problems(source: Source) -> list[Problem]:
    """Return why something cannot be brought from a server; nothing if it can be tried."""
    scheme = scheme_of(source.url)
    if scheme == "cellxgene":
        if dataset_ids(source.url):
            return []
        remedy = "write cellxgene:<dataset id>, or cellxgene:<dataset id>@<version id>"
        return [source.problem("holds no id of a dataset of CELLxGENE Discover", remedy)]
    if scheme not in ("http", "https"):
        remedy = (
            "use http(s)://, file:// or a path; public ftp servers often answer to https:// too"
        )
        return [source.problem(f"'{plain(scheme)}:' is not supported here", remedy)]
    try:
        parts = urlsplit(source.url)
        usable = bool(parts.hostname) and parts.port != 0 and source.url.isprintable()
    except ValueError:
        usable = False
    if not usable:
        return [source.problem("is not a URL", "correct it: https://host/path/file")]
    if "@" in parts.netloc:
        remedy = "remove them; download the file by hand and give its path"
        return [source.problem("holds a user name or password", remedy)]
    if not source.stem:
        remedy = "give the URL of the file itself, ending in its name"
        return [source.problem("does not end in a file name", remedy)]
    if source.name.lower().endswith(SIDECARS):
        wrong = f"the name '{source.name}' ends like a file that fetch writes itself"
        return [source.problem(wrong, "download it by hand and give its path")]
    return []


def _together_problems(found: list[Source]) -> list[Problem]:
    """Check what only several sources can get wrong: equal names, no common folder."""
    taken: Counter[str] = Counter()
    for source in found:
        written = {source.name} if source.local is None else set()
        taken.update(n.casefold() for n in written | ({source.stem} if source.archive else set()))
    problems = [
        source.problem(
            f"another URL of this atlas is also kept as '{plain(source.name)}'",
            "give URLs that end in different file names, or a folder that holds the files",
        )
        for source in found
        if (source.local is None and taken[source.name.casefold()] > 1)
        or (source.archive and taken[source.stem.casefold()] > 1)
    ]
    own = Path("<the folder of the atlas>")
    parents = {
        Path(os.path.abspath(s.path(own).parent)) if s.local and not s.archive else own
        for s in found
    }
    if len(parents) > 1:
        wrong = "the files of this atlas are not in one folder"
        problems.append(found[0].problem(wrong, "put them in one folder and give that folder"))
    return problems
