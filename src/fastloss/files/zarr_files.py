"""Reads Zarr arrays of versions 2 and 3, in folders and in zip archives, and the images of OME-Zarr.

The `zarr` library writes these files, but does not read them here: its codecs unpack a chunk to whatever size the chunk
claims, its registry calls any codec that is installed, and a link in a folder leads it anywhere.

Missing chunks hold the fill value, and zarr does not write chunks of zeros unless asked. In a mask they are normal.
In an array of floats they are refused: a prediction rarely has chunks of zeros, and a half-written one lacks chunks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .stored import Reader, Source, Stored
from .zarr_chunks import Chunks, chunks_of
from .zarr_store import Folder, Store, Zip, check_key

METADATA_BYTES = 2**22
MOST_CHUNKS = 2**20
MOST_NODES, MOST_DEPTH = 1000, 10
NAMES = {
    **{name: name for name in ("x", "y", "z", "c", "t")},
    **dict.fromkeys(("channel", "channels", "class", "classes"), "c"),
    "time": "t",
}
"""The names of axes that have a meaning here, in lower case."""


@dataclass(frozen=True, kw_only=True)
class _Node:
    """An array or a group."""

    name: str
    meta: dict[str, Any] | None  # of an array
    attributes: dict[str, Any] = field(default_factory=dict)

    @property
    def images(self) -> list[dict[str, Any]]:
        """The images of OME-Zarr in this group, each in several resolutions."""
        inner = self.attributes.get("ome")
        holder = inner if isinstance(inner, dict) else self.attributes
        found = holder.get("multiscales")
        return found if isinstance(found, list) and self.meta is None else []


def _open(source: Source) -> Stored:
    if source.handle is None:
        return _stored(source, Folder(source.path))
    if source.path.name.lower().endswith(".zip"):
        return _stored(source, Zip(source.handle))
    raise ValueError("expected a folder, got a file; save it as a folder, or as .zarr.zip")


def _stored(source: Source, store: Store) -> Stored:
    node = _node(store, check_key(source.key) if source.key else "")
    if node is None or (node.meta is None and not node.images):
        node = _only_array(store, node, source.key)
    image, scales = None, []
    if node.images:
        if len(node.images) != 1:
            raise ValueError(f"expected one image, got {len(node.images)}; name an array with `key=`")
        image = node.images[0]
        scales = [image["datasets"][0]]
        name = check_key("/".join(filter(None, (node.name, scales[0]["path"]))))
        found = _node(store, name)
        if found is None or found.meta is None:
            raise ValueError(f"expected an array {name}, which the metadata name, got none")
        node = found
    else:
        image, scales = _image_of(store, node.name)
    assert node.meta is not None
    chunks = chunks_of(store, node.name, node.meta)
    axes, spacing = (
        _ome_axes(image, scales, len(chunks.shape)) if image else (_plain_axes(node, len(chunks.shape)), None)
    )
    unit = chunks.chunk.parts or chunks.chunk  # a part of a shard can be read without the rest of it
    return Stored(
        path=source.path,
        shape=chunks.shape,
        dtype=chunks.chunk.dtype,
        packed=_packed(chunks) if source.handle is None else min(_packed(chunks), source.size),
        read=chunks.read,
        axes=axes,
        spacing=spacing,
        chunks=tuple(max(1, min(n, of)) for n, of in zip(chunks.shape, unit.shape, strict=True)),
    )


def _json(store: Store, key: str) -> dict[str, Any] | None:
    if store.size(key) is None:
        return None
    value = json.loads(store.read(key, METADATA_BYTES))
    if not isinstance(value, dict):
        raise ValueError(f"{key}: expected a JSON object, got {type(value).__name__}")
    return value


def _node(store: Store, name: str) -> _Node | None:
    before = f"{name}/" if name else ""
    meta = _json(store, f"{before}zarr.json")
    if meta is not None:
        if meta.get("zarr_format") != 3:
            raise ValueError(f"expected Zarr version 2 or 3, got {meta.get('zarr_format')!r:.20}")
        array = meta if meta.get("node_type") == "array" else None
        return _Node(name=name, meta=array, attributes=meta.get("attributes") or {})
    array = _json(store, f"{before}.zarray")
    if array is None and store.size(f"{before}.zgroup") is None:
        return None
    if array is not None and array.get("zarr_format") != 2:
        raise ValueError(f"expected Zarr version 2 or 3, got {array.get('zarr_format')!r:.20}")
    return _Node(name=name, meta=array, attributes=_json(store, f"{before}.zattrs") or {})


def _only_array(store: Store, node: _Node | None, key: str | None) -> _Node:
    """Return the only array or image in a group, or refuse with the names of all."""
    found = list(_arrays(store, node.name if node else "", [0], 0))
    if node is not None and len(found) == 1:
        return found[0]
    names = ", ".join(each.name for each in found) or "no array"
    if node is None and key:
        raise ValueError(f"`key=`: expected the name of an array ({names}), got {key}")
    raise ValueError(f"expected one array, got {names}; name one with `key=`")


def _arrays(store: Store, name: str, seen: list[int], depth: int) -> Iterator[_Node]:
    seen[0] += 1
    if seen[0] > MOST_NODES or depth > MOST_DEPTH:
        raise ValueError(
            f"expected at most {MOST_NODES} groups and arrays, and {MOST_DEPTH} levels; name one with `key=`"
        )
    node = _node(store, name)
    if node is not None and (node.meta is not None or node.images):
        yield node
        return
    for folder in store.folders(name):
        yield from _arrays(store, f"{name}/{folder}" if name else folder, seen, depth + 1)


def _image_of(store: Store, name: str) -> tuple[dict[str, Any] | None, list[dict[str, Any]]]:
    """Return the OME-Zarr image to which an array belongs, and what the metadata tell about the array."""
    parts = name.split("/")
    for k in reversed(range(len(parts))):
        group = _node(store, "/".join(parts[:k])) if name else None
        for image in group.images if group else []:
            own = [each for each in image["datasets"] if each["path"].strip("/") == "/".join(parts[k:])]
            if own:
                return image, own
    return None, []


def _plain_axes(node: _Node, ndim: int) -> tuple[str | None, ...] | None:
    """Return the names of the axes in metadata of Zarr 3, or of xarray in Zarr 2."""
    assert node.meta is not None
    names = node.meta.get("dimension_names") or node.attributes.get("_ARRAY_DIMENSIONS")
    if not isinstance(names, list) or len(names) != ndim:
        return None
    axes = tuple(NAMES.get(str(name).lower()) for name in names)
    return axes if len({name for name in axes if name}) == len([name for name in axes if name]) else None


def _ome_axes(
    image: dict[str, Any], scales: list[dict[str, Any]], ndim: int
) -> tuple[tuple[str | None, ...], tuple[float, ...] | None]:
    """Return the names of the axes, and the spacing if all spatial axes have one unit."""
    given = [axis if isinstance(axis, dict) else {"name": axis} for axis in image.get("axes") or "tczyx"]
    if len(given) != ndim:
        raise ValueError(f"expected {ndim} axes in the OME metadata, got {len(given)}")
    axes = tuple(NAMES.get(str(axis.get("name")).lower()) for axis in given)
    scale = np.ones(ndim)
    found = False
    for holder in (*scales, image):
        for transform in holder.get("coordinateTransformations") or []:
            if transform.get("type") == "scale":
                scale = scale * np.array(transform["scale"], np.float64)
                found = True
    spatial = [k for k, name in enumerate(axes) if name in ("x", "y", "z")]
    units = {str(given[k].get("unit")) for k in spatial}
    values = tuple(float(scale[k]) for k in spatial)
    usable = found and scale.shape == (ndim,) and len(units) == 1 and all(0 < value < np.inf for value in values)
    return axes, values if usable and values else None


def _packed(chunks: Chunks) -> int:
    """Return the size of all chunks, and refuse an array of floats that lacks some."""
    number = 1
    for n in chunks.grid:
        number *= n
    if number > MOST_CHUNKS:
        raise ValueError(f"expected at most {MOST_CHUNKS} chunks, got {number}; save it with larger chunks")
    sizes = [chunks.store.size(chunks.key(index)) for index in np.ndindex(*chunks.grid)]
    missing = sizes.count(None)
    if missing and chunks.fill is None:
        raise ValueError(
            f"expected every chunk, got {missing} of {number} missing, as in a file that was not written to its end; "
            'if they hold zeros, save the array with config={"write_empty_chunks": True}'
        )
    return sum(size or 0 for size in sizes)


READERS = (
    Reader(
        suffixes=(".zarr", ".ome.zarr"), open=_open, extra="zarr", modules=("numcodecs", "google_crc32c"), folders=True
    ),
    Reader(suffixes=(".zarr.zip",), open=_open, extra="zarr", modules=("numcodecs", "google_crc32c")),
)
"""Both modules come with the package `zarr`."""
