"""What counts as JSON in a manifest is what orjson takes, on both implementations."""

from __future__ import annotations

from types import ModuleType

import orjson
import pytest

from nora._speedups.descriptors import Manifest
from tests.support.tables import each

EMPTY = Manifest(None, None, None, (), (), None, None, None)


def field(text: str) -> bytes:
    """A manifest with one unknown field, whose value is written as `text`."""
    return b'{"layers":[],"x":' + text.encode(errors="surrogateescape") + b"}"


@each("body", [b"[]", b"1", b"null", b'"x"', b" true ", b"[{}]", b"-0.5e+3"])
def test_json_that_is_no_object(manifest: ModuleType, body: bytes) -> None:
    with pytest.raises(ValueError, match="manifest is not an object"):
        manifest.scan_manifest(body)


@each(
    "body",
    [
        *(
            b"",
            b" ",
            b"{",
            b"}",
            b"{}}",
            b"{} x",
            b"{},",
            b'{"layers":[]',
            b'{"layers":[]}\x00',
            b'{"layers":[]}\x0b',
        ),
        *(
            b'\xef\xbb\xbf{"layers":[]}',
            b"{'layers':[]}",
            b"{layers:[]}",
            b'{"layers":[],}',
            b'{,"layers":[]}',
        ),
        *(b'{"layers" []}', b'{"layers":}', b'{"layers"}', b'{"layers":[] "x":1}', b'// a\n{"layers":[]}'),
        *(b'{"layers":[]}/* */', b"{1:2}", b"\xa0{}", b'{"layers":[}', b'{"layers":[,]}', b'{"layers":[1,]}'),
        *(
            b'{"layers":[1 2]}',
            b'{"layers":]}',
            b'{"a":{"b":[{]}}',
            b'{"layers":[[],[]}',
            b'{"config":{"a":1,}}',
        ),
    ],
)
def test_no_json(manifest: ModuleType, body: bytes) -> None:
    with pytest.raises(ValueError, match="manifest is not valid JSON") as caught:
        manifest.scan_manifest(body)
    assert type(caught.value) is ValueError


VALUES = [
    *("0", "-0", "1", "-1", "0.0", "-0.0", "1.5", "1e5", "1E+5", "1e-5", "123456789012345678901234567890"),
    *("1e308", "1e309", "-1e309", "1e999999999999", "1e-999999999999", "0e99999999999", "1" * 200, "1" * 201),
    *(
        "1" * 309,
        "1" * 310,
        "1" * 5000,
        "0." + "1" * 5000,
        "1." + "0" * 500 + "e-5",
        "1.7976931348623157e308",
    ),
    *("1.7976931348623159e308", "0." + "0" * 400 + "1e401", "0.1e309", "0.1e310", "10e307", "10e308"),
    *("00", "01", "-01", "-", "--1", "+1", ".5", "-.5", "1.", "1.e5", "1e", "1e+", "1e-", "0x1", "1_0", "1a"),
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "nan",
        "inf",
        "nul",
        "nulll",
        "null",
        "true",
        "True",
        "tru",
        "false",
        "falsey",
    ),
    *(
        '""',
        '"a"',
        '"',
        '"a',
        "'a'",
        '"\\"',
        '"\\""',
        '"\\\\"',
        '"\\/\\b\\f\\n\\r\\t"',
        '"\\a"',
        '"\\x41"',
        '"\\U0041"',
    ),
    *(
        '"\\u0000"',
        '"\\u00e9"',
        '"\\u00E9"',
        '"\\u00g0"',
        '"\\u00e"',
        '"\\u"',
        '"\\ud83d\\ude00"',
        '"\\ud83d"',
    ),
    *(
        '"\\ude00"',
        '"\\ud83d\\u0041"',
        '"\\ud83d\\ud83d"',
        '"\\ud83dx"',
        '"\\ud83d\\n"',
        '"\\ud83d\\ude0"',
        '"\\udfff"',
    ),
    *(
        '"\t"',
        '"\n"',
        '"\x00"',
        '"\x1f"',
        '"\x7f"',
        '"\x80"',
        '"é"',
        '"€"',
        '"😀"',
        '"\U0010ffff"',
        '"\ufffe"',
    ),
    *(
        "[]",
        "[ ]",
        "[1]",
        "[1,]",
        "[,1]",
        "[1,,2]",
        "[1 2]",
        "[",
        "]",
        "{}",
        "{ }",
        '{"a"}',
        '{"a":}',
        '{"a":1,}',
    ),
    *(
        "{,}",
        '{"a":1 "b":2}',
        "{1:2}",
        "{a:1}",
        '{"a":1',
        '[{"a":[{}]}]',
        "[[[[[]]]]]",
        "[[[[[]]]]",
        "[}",
        "{]",
    ),
    *("[1]]", "/**/1", "1//", "[1]\x0b", "[\xa01]", "[\u20281]"),
    # not UTF-8: bytes that are written as surrogates here
    *(
        '"\udcff"',
        '"\udcc3"',
        '"\udcc3("',
        '"\udcc0\udc80"',
        '"\udce0\udc80\udc80"',
        '"\udced\udca0\udc80"',
    ),
    *(
        '"\udcf0\udc80\udc80\udc80"',
        '"\udcf4\udc90\udc80\udc80"',
        '"\udcf5\udc80\udc80\udc80"',
        '"\udc80"',
        '"\udce2\udc82"',
    ),
]


@each("value", VALUES)
@each("padding", ["", " " * 17])
def test_json_is_what_orjson_takes(manifest: ModuleType, value: str, padding: str) -> None:
    body = field(f"[{padding}{value}{padding},{value}{padding}]")
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError:
        with pytest.raises(ValueError, match="manifest is not valid JSON"):
            manifest.scan_manifest(body)
    else:
        assert manifest.scan_manifest(body) == EMPTY


@each("depth", [1, 100, 1021, 1022, 1023, 1024, 1025, 5000])
@each(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_bounded_as_in_orjson(manifest: ModuleType, depth: int, opening: str, closing: str) -> None:
    body = field(opening * depth + "1" + closing * depth)
    if depth <= 1023:
        assert manifest.scan_manifest(body) == EMPTY
    else:
        with pytest.raises(ValueError, match="manifest is not valid JSON"):
            manifest.scan_manifest(body)
