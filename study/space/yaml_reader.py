"""A YAML reader whose values remember their lines."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

MAX_BYTES = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 20
MAX_DIGITS = 30
MAX_MESSAGE = 1_500


class SpaceError(ValueError):
    """An error in a search space, in one line: value, rule, remedy and place."""

    def __init__(self, message: str, place: str = ""):
        super().__init__(one_line(message) + (f" ({one_line(place)})" if place else ""))


@dataclass(frozen=True, slots=True)
class Node:
    """A word, number, true, false or None, a list of nodes, or a mapping of nodes; and where it stands.

    `place` reads "search_spaces/x.yaml, line 12"; for the value of a mapping it is the line of its key.
    """

    value: Any
    place: str = field(default="", compare=False)

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

    >>> parse(b"{epochs: 60_000, learning_rate: 1e-3, stn: none, fill: no}", "x.yaml").plain
    {'epochs': 60000, 'learning_rate': 0.001, 'stn': 'none', 'fill': 'no'}

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
        return _Loader(decoded, source).document()
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


class _Loader(yaml.SafeLoader):
    """PyYAML's composer, which checks each limit before it can be passed by far."""

    yaml_implicit_resolvers: dict[Any, Any] = {}  # noqa: RUF012 (named by PyYAML, whose own resolvers guess)

    def __init__(self, text: str, source: str):
        super().__init__(text)
        self._source, self._values, self._depth = source, 0, 0

    def document(self) -> Node:
        root = self.get_single_node()
        return Node(None, self._source) if root is None else self._node(root)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        place = _line(event.start_mark, self._source)
        self._values += 1
        if self._values > MAX_VALUES:
            raise SpaceError(f"the file holds more than {MAX_VALUES:,} values; give ranges instead", place)
        if self._depth > MAX_DEPTH:
            raise SpaceError(f"lists and mappings are nested more than {MAX_DEPTH} deep; unfold them", place)
        if isinstance(event, yaml.AliasEvent):
            raise SpaceError(f"the alias `*{event.anchor}` is not read here; write its value out", place)
        if (tag := getattr(event, "tag", None)) is not None:
            raise SpaceError(f"the tag `{tag}` is not read here; write a plain value", place)
        self._depth += 1
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def _node(self, node: yaml.Node, place: str = "") -> Node:
        place = place or _line(node.start_mark, self._source)
        if isinstance(node, yaml.ScalarNode):
            return Node(_scalar(node, place), place)
        if isinstance(node, yaml.SequenceNode):
            return Node([self._node(item) for item in node.value], place)
        entries: dict[str, Node] = {}
        for key, value in node.value:
            here = _line(key.start_mark, self._source)
            if not isinstance(key, yaml.ScalarNode):
                raise SpaceError("a key is a list or a mapping; it must be a word", here)
            if key.value in entries:
                first = entries[key.value].place.rpartition(", ")[2]
                raise SpaceError(f"`{key.value}` is given twice, first on {first}; keep one of them", here)
            entries[key.value] = self._node(value, here)
        return Node(entries, place)


_INTEGER = re.compile(r"[-+]?[0-9]+(_[0-9]+)*")
# The rest of 0,001 in a list; and 8 to some readers where it is 010.
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, bool | None] = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
_WORDS |= {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


def _scalar(node: yaml.ScalarNode, place: str) -> str | int | float | bool | None:
    text: str = node.value
    if node.style is None and text in _WORDS:
        return _WORDS[text]
    if node.style is None and (_INTEGER.fullmatch(text) or _FLOAT.fullmatch(text)):
        if len(text) > MAX_DIGITS:
            raise SpaceError(f"the number {text} is too long; use at most {MAX_DIGITS} characters", place)
        if _LEADING_ZERO.fullmatch(text):
            raise SpaceError(
                f"the number {text} begins with 0; write it without, and fractions with a point: 0.001", place
            )
        return int(text) if _INTEGER.fullmatch(text) else float(text)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise SpaceError(f"`{text}` holds half a surrogate pair, which is no character; remove it", place)
    return text


def _malformed(error: yaml.MarkedYAMLError, source: str) -> SpaceError:
    problem = error.problem or "it cannot be read"
    begun, at = error.context_mark, error.problem_mark or error.context_mark
    if problem == "but found another document":
        message = "a second document begins here; put each search space into a file of its own"
        return SpaceError(message, _line(at, source))
    if begun is not None and "stream" in problem:
        at = begun  # what is never closed is to be mended where it begins, not at the end of the file
    if error.context:
        problem += f" {error.context}"
        if begun is not None and at is not None and begun.line != at.line:
            problem += f" begun on line {begun.line + 1}"
    remedy = "indent with spaces, not tabs" if "\\t" in problem else "check indentation, colons, quotes and brackets"
    return SpaceError(f"malformed YAML: {problem}; {remedy}", _line(at, source))


def _line(mark: Any, source: str) -> str:
    return source if mark is None else f"{source}, line {mark.line + 1}"
