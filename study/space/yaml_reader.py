"""YAML text read into plain values that remember where they stand."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 20
MAX_DIGITS = 30
MAX_MESSAGE = 1_500


class SpaceError(ValueError):
    """What is wrong with a search space, in one printable line: value, rule, remedy and place."""

    def __init__(self, message: str, place: str = ""):
        super().__init__(one_line(message) + (f" ({one_line(place)})" if place else ""))


@dataclass(frozen=True, slots=True)
class Node:
    """A word, number, true, false or None, a list of nodes, or a mapping of nodes; and where it stands.

    `place` reads "search_spaces/x.yaml, line 12"; for the value of a mapping it is the line of its key.
    """

    value: Any
    place: str

    @property
    def plain(self) -> Any:
        """The same without places: plain lists, dicts and scalars."""
        if isinstance(self.value, list):
            return [item.plain for item in self.value]
        if isinstance(self.value, dict):
            return {key: item.plain for key, item in self.value.items()}
        return self.value


def parse(text: bytes, source: str) -> Node:
    """The document in `text`, which `source` names in messages; an empty one is a node of None.

    Numbers are read as researchers write them, 1e-3 and 60_000 included, and nothing else is guessed: `no`,
    `12:30` and `2024-11-05` stay words. Aliases, tags, repeated keys and second documents are refused.

    Raises `SpaceError` for any bytes that make no such document, within seconds.
    """
    if len(text) > MAX_BYTES:
        raise SpaceError(f"the file has more than {MAX_BYTES:,} bytes, too many for a search space", source)
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise SpaceError("this is not UTF-8 text; save it as UTF-8", f"{source}, line {line}") from None
    try:
        # Events come one by one, so that each limit is checked before it can be passed by far.
        return _Reader(yaml.parse(decoded, Loader=yaml.SafeLoader), source).document()
    except yaml.reader.ReaderError as error:
        line = decoded.count("\n", 0, error.position) + 1
        message = f"the character {error.character:#04x} is not allowed in YAML; remove it"
        raise SpaceError(message, f"{source}, line {line}") from None
    except yaml.MarkedYAMLError as error:
        raise _malformed(error, source) from None
    except SpaceError:
        raise
    except (ValueError, OverflowError):
        # PyYAML lets these through for escapes such as "\\UFFFFFFFF" and for endless version numbers.
        message = "malformed YAML: a \\U escape or a %YAML version is out of range; remove it"
        raise SpaceError(message, source) from None


def place_all(value: Any, place: str) -> Node:
    """Plain values as a node, every part of it standing at `place`."""
    if isinstance(value, Mapping):
        return Node({str(key): place_all(item, place) for key, item in value.items()}, place)
    if isinstance(value, list | tuple):
        return Node([place_all(item, place) for item in value], place)
    return Node(value, place)


def one_line(text: str) -> str:
    """`text` with line breaks, control characters and half surrogates blanked, its middle cut if long."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    half = MAX_MESSAGE // 2
    return line if len(line) <= MAX_MESSAGE else f"{line[:half]} [...] {line[-half:]}"


class _Reader:
    """Builds nodes from the parser's events."""

    def __init__(self, events: Iterator[yaml.Event], source: str):
        self._events = events
        self._source = source
        self._values = 0

    def document(self) -> Node:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return Node(None, self._source)
        root = self._node(next(self._events), depth=0)
        next(self._events)  # the document's end
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            message = "a second document begins here; put each search space into a file of its own"
            raise SpaceError(message, self._place(following))
        return root

    def _node(self, event: yaml.Event, depth: int, place: str = "") -> Node:
        place = place or self._place(event)
        self._check(event, depth, place)
        if isinstance(event, yaml.ScalarEvent):
            return Node(_scalar(event, place), place)
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
                items.append(self._node(event, depth + 1))
            return Node(items, place)
        return Node(self._mapping(depth), place)

    def _mapping(self, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            place = self._place(event)
            self._check(event, depth, place)
            if not isinstance(event, yaml.ScalarEvent):
                raise SpaceError("a key is a list or a mapping; it must be a word", place)
            if event.value in entries:
                first = entries[event.value].place.rpartition(", ")[2]
                raise SpaceError(f"`{event.value}` is given twice, first on {first}; keep one of them", place)
            entries[event.value] = self._node(next(self._events), depth + 1, place)
        return entries

    def _check(self, event: yaml.Event, depth: int, place: str) -> None:
        self._values += 1
        if self._values > MAX_VALUES:
            raise SpaceError(f"the file holds more than {MAX_VALUES:,} values; give ranges instead", place)
        if depth > MAX_DEPTH:
            raise SpaceError(f"lists and mappings are nested more than {MAX_DEPTH} deep; unfold them", place)
        if isinstance(event, yaml.AliasEvent):
            raise SpaceError(f"the alias `*{event.anchor}` is not read here; write its value out", place)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise SpaceError(f"the tag `{tag}` is not read here; write a plain value", place)

    def _place(self, event: yaml.Event) -> str:
        return _line(event.start_mark, self._source)


_INTEGER = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def _scalar(event: yaml.ScalarEvent, place: str) -> str | int | float | bool | None:
    text: str = event.value
    plain = event.implicit[0]
    if plain and text in _WORDS:
        return _WORDS[text]
    if plain and (_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)):
        if len(text) > MAX_DIGITS:
            raise SpaceError(f"the number {text} is too long; use at most {MAX_DIGITS} characters", place)
        return int(text) if _INTEGER.fullmatch(text) else float(text)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise SpaceError(f"`{text}` holds half a surrogate pair, which is no character; remove it", place)
    return text


def _malformed(error: yaml.MarkedYAMLError, source: str) -> SpaceError:
    problem = error.problem or "it cannot be read"
    begun, at = error.context_mark, error.problem_mark or error.context_mark
    if begun is not None and "stream" in problem:
        at = begun  # what is never closed is to be mended where it begins, not at the end of the file
    if error.context:
        problem += f" {error.context}"
        if begun is not None and at is not None and begun.line != at.line:
            problem += f" begun on line {begun.line + 1}"
    remedy = "check indentation, colons, quotes and brackets"
    if "\\t" in problem:
        remedy = "indent with spaces, not tabs"
    return SpaceError(f"malformed YAML: {problem}; {remedy}", _line(at, source))


def _line(mark: Any, source: str) -> str:
    return source if mark is None else f"{source}, line {mark.line + 1}"
