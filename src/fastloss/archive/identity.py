"""The identity of the files of an image: by it, a ledger knows whether they have changed."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

from .._records import text_record
from ..files.itk_headers import data_path, meta_header, nrrd_header
from ..files.opening import opened
from ..files.pairing import Pair
from ..files.registry import readers, suffix

HEADERS = {".nhdr": nrrd_header, ".mhd": meta_header}
"""Formats whose header names the file of the data. It may have any name."""

AT_ONCE = 1000


def identities(
    pairs: Sequence[Pair], roots: tuple[Path, Path], *, content: bool, threads: int
) -> Iterator[dict[str, Any]]:
    """Yield the identity of both files of each pair, as a record for JSON.

    A file is known by its path below the folder that was given, its size, and its time of modification. With `content`,
    the SHA-256 of the bytes takes the place of the time. A file that cannot be read has its error in their place.
    """
    if not content:
        yield from (_of_pair(pair, roots, content) for pair in pairs)
        return
    rest = iter(pairs)
    with ThreadPoolExecutor(threads, thread_name_prefix="fastloss-hash") as pool:
        while some := list(islice(rest, AT_ONCE)):
            yield from pool.map(lambda pair: _of_pair(pair, roots, content), some)


def key_text(identity: dict[str, Any]) -> str:
    """Return an identity as text. Equal identities have equal texts."""
    return json.dumps(identity, sort_keys=True, separators=(",", ":"))


def _of_pair(pair: Pair, roots: tuple[Path, Path], content: bool) -> dict[str, Any]:
    files = {"prediction": pair.prediction, "target": pair.target}
    return {what: _of_file(path, root, content) for (what, path), root in zip(files.items(), roots, strict=True)}


def _of_file(path: Path, root: Path, content: bool) -> dict[str, Any]:
    name = path.name if path == root else path.relative_to(root).as_posix()
    found: dict[str, Any] = {"path": text_record(name)}
    try:
        parts = list(_parts(path))
        if parts == [path]:
            return found | _facts(path, content)
        listing = hashlib.sha256()
        size = 0
        for part in parts:
            facts = _facts(part, content)
            size += facts["size"]
            listing.update(key_text({"path": text_record(os.path.relpath(part, path.parent)), **facts}).encode())
        return found | {"files": len(parts), "size": size, "listing": listing.hexdigest()}
    except OSError as error:
        return found | {"error": type(error).__name__}
    except ValueError:  # no regular file
        return found | {"error": "ValueError"}


def _facts(path: Path, content: bool) -> dict[str, Any]:
    if content:
        with opened(path) as handle:
            size = os.fstat(handle.fileno()).st_size
            return {"size": size, "sha256": hashlib.file_digest(handle, "sha256").hexdigest()}
    status = path.stat()
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns}


def _parts(path: Path) -> Iterator[Path]:
    """Yield all files that hold the image: one, those of a folder such as Zarr's, or a header and its data."""
    if stat.S_ISDIR(path.stat().st_mode):
        for folder, folders, files in os.walk(path):
            folders.sort()
            yield from (Path(folder) / name for name in sorted(files))
        return
    yield path
    end = suffix(path)
    reader = readers().get(end)
    if reader is None or not reader.companions:
        return
    stem = path.name[: len(path.name) - len(end)]
    names = {stem + form for one in (*reader.companions, *reader.suffixes) for form in (one, one.upper())}
    if end in HEADERS:
        with suppress(ValueError), opened(path) as handle:  # the reader will refuse what is no header
            named = HEADERS[end](handle).data
            if named is not None:
                names.add(data_path(path, named).name)
    yield from (path.with_name(name) for name in sorted(names - {path.name}) if path.with_name(name).is_file())
