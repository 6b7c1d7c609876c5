import random
import time

import pytest

from study.space.yaml_reader import MAX_BYTES, MAX_MESSAGE, MAX_VALUES, SpaceError, one_line, parse


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1", 1),
        ("-3", -3),
        ("60_000", 60_000),
        ("1e-3", 0.001),
        ("1.0e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("true", True),
        ("false", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("none", "none"),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2024-11-05", "2024-11-05"),
        ("1.2.3", "1.2.3"),
        ("1_", "1_"),
        (".inf", ".inf"),
        ("'1e-3'", "1e-3"),
        ('"true"', "true"),
        ("[1, [a]]", [1, ["a"]]),
        ("{a: {}}", {"a": {}}),
    ],
)
def test_values_are_read_as_researchers_mean_them(written: str, value: object) -> None:
    read = parse(f"key: {written}\n".encode(), "x").plain["key"]
    assert read == value
    assert type(read) is type(value)


def test_every_value_knows_its_line() -> None:
    document = parse(b"\na: 1\nb:\n  - 2\n  - c: 3\n", "x.yaml")
    assert document.value["a"].place == "x.yaml, line 2"
    assert document.value["b"].place == "x.yaml, line 3"
    first, second = document.value["b"].value
    assert first.place == "x.yaml, line 4"
    assert second.value["c"].place == "x.yaml, line 5"


@pytest.mark.parametrize("text", [b"", b"\n\n", b"# only a comment\n", b"---\n", b"\xef\xbb\xbf"])
def test_an_empty_document_is_none(text: bytes) -> None:
    assert parse(text, "x").plain is None


def test_byte_order_mark_and_windows_line_ends_change_nothing() -> None:
    document = parse(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n", "x")
    assert document.plain == {"a": 1, "b": 2}
    assert document.value["b"].place == "x, line 2"


REFUSED = {
    "invalid UTF-8": (b"a: 1\nb: \xff\n", "not UTF-8", 2),
    "NUL": (b"a: 1\nb: \0\n", "character 0x00 is not allowed", 2),
    "escape character": (b"a: \x1b[31m\n", "character 0x1b is not allowed", 1),
    "tab": (b"a:\n\tb: 1\n", "spaces, not tabs", 2),
    "unclosed list": (b"a: [1,\nb: 2\n", "malformed YAML: expected ',' or '\\]'", 1),
    "unclosed list before a key": (b"a: [1,\n 2\nb: 2\n", "got ':' .* begun on line 1; check", 3),
    "unclosed quote": (b'a: "b\n\n', "malformed YAML: .*quoted scalar", 1),
    "two colons": (b"a: b: c\n", "malformed YAML: mapping values are not allowed here", 1),
    "indentation": (b"a:\n    b: 1\n  c: 2\n", "malformed YAML", 3),
    "repeated key": (b"a: 1\nb: 2\na: 3\n", "`a` is given twice, first on line 1; keep one", 3),
    "octal": (b"a: 010\n", "the number 010 begins with 0; write it without", 1),
    "decimal comma": (b"a: 1\nb: [0,001, 0,01]\n", "the number 001 begins with 0; .* with a point: 0.001", 2),
    "repeated key within": (b"a:\n  b: 2\n  b: 2\n", "`b` is given twice, first on line 2", 3),
    "alias": (b"a: &x [1]\nb: *x\n", r"alias `\*x` is not read here; write its value out", 2),
    "merge key": (b"a: &x {c: 1}\nb:\n  <<: *x\n", r"alias `\*x` is not read here", 3),
    "object tag": (b"a: !!python/object/apply:os.getcwd []\n", "tag `.*python/object.*` is not read here", 1),
    "binary tag": (b"a: !!binary aGk=\n", "tag `.*binary` is not read here; write a plain value", 1),
    "tag of its own": (b"a: 1\nb: !mine 3\n", "tag `!mine` is not read here", 2),
    "tag on a key": (b"!!str a: 1\n", "tag `.*str` is not read here", 1),
    "key that is a list": (b"a: 1\n? [b, c]\n: 2\n", "key is a list or a mapping; it must be a word", 2),
    "second document": (b"a: 1\n---\na: 2\n", "second document begins here", 2),
    "long number": (b"a: " + b"9" * 5000, "number 9+.*9 is too long; use at most 30", 1),
    "deep lists": (b"a: " + b"[" * 100_000, "nested more than 20 deep", 1),
    "deep mappings": (b"".join(b" " * i + b"a:\n" for i in range(500)), "nested more than 20 deep", 21),
    "too many values": (b"a: [" + b"1," * MAX_VALUES + b"1]", "more than 50,000 values", 1),
    "half surrogate": (b'a: "\\ud800"\n', "half a surrogate pair", 1),
}


@pytest.mark.parametrize(("text", "message", "line"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_text_is_reported_with_its_line(text: bytes, message: str, line: int) -> None:
    with pytest.raises(SpaceError, match=rf"{message}.* \(x\.yaml, line {line}\)$"):
        parse(text, "x.yaml")


@pytest.mark.parametrize("text", [b'a: "\\UFFFFFFFF"\n', b"%YAML 1." + b"1" * 5000 + b"\n---\na: 1\n"])
def test_refused_where_the_yaml_library_itself_fails(text: bytes) -> None:
    with pytest.raises(SpaceError, match=r"malformed YAML: a \\U escape or a %YAML version"):
        parse(text, "x.yaml")


def test_a_file_beyond_the_limit_is_refused() -> None:
    parse(b"#" * MAX_BYTES, "x")
    with pytest.raises(SpaceError, match=r"more than 1,000,000 bytes.* \(x\)"):
        parse(b"#" * (MAX_BYTES + 1), "x")


def test_any_bytes_give_a_document_or_one_line() -> None:
    """Texts that are broken in a thousand ways, from fixed seeds."""
    generator = random.Random(0)
    whole = b"a: [1, {b: 'c'}]\nd: |\n  text\n? e\n: \"\\x41\\U00000041\"\nf: &g !!str h\n--- # i\n"
    pieces = [*b"!&*|>\"'%@`{}[]:?-,#\t\n\r\0\xff\x85\x1b", b"!!python/object:os.x ", b"\\UFFFFFFFF", b"- " * 30]
    for _ in range(3000):
        text = bytearray(whole)
        for _ in range(generator.randint(1, 6)):
            at = generator.randrange(len(text) + 1)
            piece = generator.choice(pieces)
            text[at : at + generator.randint(0, 3)] = bytes([piece]) if isinstance(piece, int) else piece
        assert (message_of(bytes(text)) or "none").isprintable()


@pytest.mark.parametrize("piece", [b"[", b"- ", b"? ", b"{a: ", b"- 1\n", b"\n", b'"\\x41', b"&a ", b"|\n", b"a: *a\n"])
def test_hostile_files_are_refused_within_seconds(piece: bytes) -> None:
    """At most 2.5 s on one core when measured, for 50,000 values of a list."""
    began = time.process_time()
    message_of(piece * (MAX_BYTES // len(piece)))
    assert time.process_time() - began < 20


def message_of(text: bytes) -> str | None:
    try:
        parse(text, "x")
    except SpaceError as error:
        return str(error)
    return None


def test_one_line_is_printable_and_short_and_keeps_both_ends() -> None:
    assert one_line("a\n b\x1b\tc\ud800") == "a b c"
    line = one_line("begin " + "x" * 10_000 + " end")
    assert len(line) < MAX_MESSAGE + 10
    assert line.startswith("begin")
    assert line.endswith("end")
