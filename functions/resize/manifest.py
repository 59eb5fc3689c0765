"""The manifest: the state of one key, for the pipeline and for pages (schemas/manifest.json). Pure functions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from functions.resize.keys import thumbnail_url
from functions.resize.recipe import Box, Fit, OutputFormat, Placeholder, Rendition


class AskedBy(StrEnum):
    """Who asked for a thumbnail: the key's recipe, until it changes; or a request, as long as the original exists."""

    RECIPE = "recipe"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Source:
    """The original that a manifest describes.

    Attributes
    ----------
    key : str
    etag : str or None
        ``None`` if S3 did not return it.
    version_id : str or None
    bytes : int or None
        The size of the file; ``None`` if it was not read.
    format : str or None
        Pillow's name, such as ``JPEG``; ``None`` if the file is not a picture.
    width, height : int or None
        Pixels of the upright picture; ``None`` if the file is not a picture.
    """

    key: str
    etag: str | None
    version_id: str | None = None
    bytes: int | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A thumbnail that exists: its key, what was asked for and by whom, its size in pixels, and its file.

    ``version``: part of its URL; it changes whenever other bytes are written under the key.
    ``also``: other requested formats for which this is the file, such as ``jpeg`` in addition to ``source`` of a JPEG.
    """

    key: str
    rendition: Rendition
    width: int
    height: int
    bytes: int
    content_type: str
    etag: str
    version: str
    asked_by: frozenset[AskedBy]
    also: tuple[OutputFormat, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """The state of one key.

    Attributes
    ----------
    revision : str
        Random, so that two manifests never have the same ETag, even if everything else in them is equal.
    source : Source
    placeholder : Placeholder or None
        ``None`` if the original is not a picture.
    thumbnails : tuple of Entry
    missing : dict of Rendition to who asked for it
        Thumbnails that do not exist, but are made from the next original that can be read.
    error : (str, str) or None
        Name and message of the error if the thumbnails of the original could not be made.
    """

    revision: str
    source: Source
    placeholder: Placeholder | None
    thumbnails: tuple[Entry, ...]
    missing: Mapping[Rendition, frozenset[AskedBy]] = field(default_factory=dict)
    error: tuple[str, str] | None = None

    def renditions(self) -> dict[Rendition, frozenset[AskedBy]]:
        """Return all renditions that a recipe or a request asked for."""
        return {entry.rendition: entry.asked_by for entry in self.thumbnails} | dict(self.missing)

    def by_recipe(self) -> set[Rendition]:
        """Return all renditions that exist and that the recipe asked for."""
        return {
            replace(entry.rendition, format=each)
            for entry in self.thumbnails
            if AskedBy.RECIPE in entry.asked_by
            for each in (entry.rendition.format, *entry.also)
        }

    def to_json(self) -> bytes:
        """Return the content of the manifest's object."""
        document: dict[str, Any] = {
            "revision": self.revision,
            "original": describe_source(self.source),
            "placeholder": describe_placeholder(self.placeholder),
            "thumbnails": [
                {**describe_entry(entry), **({"also": list(entry.also)} if entry.also else {})}
                for entry in self.thumbnails
            ],
        }
        if self.missing:
            document["missing"] = [
                {**_describe_rendition(rendition), "asked_by": sorted(by)} for rendition, by in self.missing.items()
            ]
        if self.error:
            name, message = self.error
            document["error"] = {"name": name, "message": message}
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes, version: str = "") -> "Manifest":
        """Read the content of a manifest's object.

        Parameters
        ----------
        data : bytes
        version : str
            Version of thumbnails that have no URL, as in manifests that an earlier version of this product wrote.

        Raises
        ------
        ValueError
            The content is not a manifest.
        """
        try:
            document = json.loads(data)
            source, placeholder, error = document["original"], document["placeholder"], document.get("error")
            return cls(
                document["revision"],
                Source(
                    source["key"],
                    source.get("etag"),
                    source.get("version_id"),
                    source.get("bytes"),
                    source.get("format"),
                    source.get("width"),
                    source.get("height"),
                ),
                Placeholder(placeholder["thumbhash"], placeholder["colour"]) if placeholder else None,
                tuple(_read_entry(entry, version) for entry in document["thumbnails"]),
                {_read_rendition(each): _read_asked_by(each) for each in document.get("missing", ())},
                (error["name"], error["message"]) if error else None,
            )
        except (KeyError, TypeError, AttributeError) as cause:
            raise ValueError(f"The manifest is damaged: {cause!r}. It will be replaced.") from cause


def describe_source(source: Source) -> dict[str, Any]:
    """Return the known fields of an original, for a manifest or a result."""
    fields = ("key", "etag", "version_id", "format", "width", "height", "bytes")
    return {name: value for name in fields if (value := getattr(source, name)) is not None}


def describe_placeholder(placeholder: Placeholder | None) -> dict[str, str] | None:
    """Return the fields of a placeholder, for a manifest or a result."""
    return None if placeholder is None else {"thumbhash": placeholder.thumbhash, "colour": placeholder.colour}


def describe_entry(entry: Entry) -> dict[str, Any]:
    """Return the fields of a thumbnail, for a manifest or a result."""
    return {
        "key": entry.key,
        "url": thumbnail_url(entry.key, entry.version),
        **_describe_rendition(entry.rendition),
        "width": entry.width,
        "height": entry.height,
        "bytes": entry.bytes,
        "content_type": entry.content_type,
        "etag": entry.etag,
        "asked_by": sorted(entry.asked_by),
    }


def _describe_rendition(rendition: Rendition) -> dict[str, Any]:
    return {
        "box": {"width": rendition.box.width, "height": rendition.box.height},
        "fit": rendition.fit.value,
        "format": rendition.format.value,
        "quality": rendition.quality,
    }


def _read_rendition(entry: dict[str, Any]) -> Rendition:
    box = Box(entry["box"]["width"], entry["box"]["height"])
    return Rendition(box, Fit(entry["fit"]), OutputFormat(entry["format"]), entry["quality"])


def _read_asked_by(entry: dict[str, Any]) -> frozenset[AskedBy]:
    return frozenset(map(AskedBy, entry["asked_by"]))


def _read_entry(entry: dict[str, Any], version: str) -> Entry:
    return Entry(
        entry["key"],
        _read_rendition(entry),
        entry["width"],
        entry["height"],
        entry["bytes"],
        entry["content_type"],
        entry["etag"],
        entry.get("url", "").partition("?v=")[2] or version,
        _read_asked_by(entry),
        tuple(map(OutputFormat, entry.get("also", ()))),
    )
