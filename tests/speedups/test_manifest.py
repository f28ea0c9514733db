"""Scanning of manifests, on both implementations."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import orjson
import pytest

from nora._speedups.descriptors import Descriptor, Manifest
from tests.support.tables import each

SHA256 = "sha256:" + "0123456789abcdef" * 4
SHA512 = "sha512:" + "0123456789abcdef" * 8
LAYER = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": SHA256, "size": 1234}
CONFIG = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": SHA512, "size": 0}
EMPTY = Manifest(None, None, None, (), (), None, None, None)


def plain(
    media_type: str = LAYER["mediaType"], digest: str = SHA256, size: int = 1234, **more: Any
) -> Descriptor:
    values: dict[str, Any] = {"urls": False, "artifact_type": None, "platform": None, **more}
    return Descriptor(media_type, digest, size, **values)


def dump(**fields: Any) -> bytes:
    return orjson.dumps(fields)


@each("value", [None, "{}", bytearray(b"{}"), memoryview(b"{}"), {}, 1])
def test_anything_but_bytes_is_type_error(manifest: ModuleType, value: object) -> None:
    with pytest.raises(TypeError, match="manifest must be bytes"):
        manifest.scan_manifest(value)


@each("indent", [None, 1, 3])
def test_image(manifest: ModuleType, indent: int | None) -> None:
    foreign = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"
    body = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/example",
            "config": CONFIG,
            "layers": [
                LAYER,
                {**LAYER, "urls": ["https://example.com/layer"]},
                {**LAYER, "mediaType": foreign},
            ],
            "subject": {**LAYER, "annotations": {"a": 1}, "data": "e30="},
            "annotations": {"org.example.a": "1", "org.example.b": "zwei drei"},
            "unknown": [{"deep": [1.5, True, None, "x"]}],
        },
        indent=indent,
    ).encode()
    scanned = manifest.scan_manifest(body)
    assert scanned == Manifest(
        media_type="application/vnd.oci.image.manifest.v1+json",
        artifact_type="application/example",
        config=plain(CONFIG["mediaType"], SHA512, 0),
        layers=(plain(), plain(urls=True), plain(foreign)),
        manifests=(),
        subject=plain(),
        annotations_json=b'{"org.example.a":"1","org.example.b":"zwei drei"}',
        schema_version=2,
    )
    assert scanned.annotations == {"org.example.a": "1", "org.example.b": "zwei drei"}
    assert [layer.foreign for layer in scanned.layers] == [False, True, True]
    assert type(scanned) is Manifest
    assert all(type(value) is Descriptor for value in (scanned.config, scanned.subject, *scanned.layers))


def test_index(manifest: ModuleType) -> None:
    platforms = [
        {"os": "linux", "architecture": "amd64"},
        {"architecture": "arm64", "os": "linux", "variant": "v8", "os.version": "1"},
        {"os": "linux", "architecture": "arm", "variant": ""},
        {"os": "linux"},
        {"os": "", "architecture": "amd64"},
        {"os": None, "architecture": None, "variant": None},
        {},
        None,
    ]
    scanned = manifest.scan_manifest(
        dump(manifests=[{**LAYER, "platform": platform} for platform in platforms])
    )
    assert [child.platform for child in scanned.manifests] == [
        *("linux/amd64", "linux/arm64/v8", "linux/arm"),
        *(None, None, None, None, None),
    ]
    assert scanned.layers == ()


def test_artifact_type_of_a_descriptor(manifest: ModuleType) -> None:
    scanned = manifest.scan_manifest(dump(manifests=[{**LAYER, "artifactType": "application/x"}]))
    assert scanned.manifests == (plain(artifact_type="application/x"),)


@pytest.mark.parametrize(
    "media_type",
    [
        "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
    ],
)
def test_foreign_by_media_type(media_type: str) -> None:
    assert plain(media_type).foreign
    assert not plain().foreign


@each("body", [b'{"layers":[]}', b'{"manifests":[]}', b'{"layers":null}', b'{"manifests":null}'])
def test_empty(manifest: ModuleType, body: bytes) -> None:
    assert manifest.scan_manifest(body) == EMPTY
    assert manifest.scan_manifest(b" \n" + body.replace(b":", b"\t:\r\n") + b"\n ") == EMPTY


def test_null_is_absent(manifest: ModuleType) -> None:
    fields = ["schemaVersion", "mediaType", "artifactType", "config", "subject", "annotations"]
    assert manifest.scan_manifest(dump(layers=None, **dict.fromkeys(fields))) == EMPTY
    body = dump(layers=[{**LAYER, "urls": None, "artifactType": None, "platform": None}])
    assert manifest.scan_manifest(body).layers == (plain(),)


LONG_S, KELVIN = "\u017f", "\u212a"
"""Which the parser of Go takes for an s and a k."""


def refused(manifest: ModuleType, body: bytes | str) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        manifest.scan_manifest(body if isinstance(body, bytes) else body.encode())
    return str(caught.value)


@each(
    ("body", "name"),
    [
        ('{"layers":1,"layers":[]}', "layers"),
        ('{"layers":[],"layers":[]}', "layers"),
        ('{"layers":[],"config":null,"config":null}', "config"),
        ('{"layers":[],"mediaType":"a/b","x":1,"mediaType":"c/d"}', "mediaType"),
        ('{"layers":[],"annotations":{"a":"b"},"annotations":null}', "annotations"),
        ('{"layers":[],"schemaVersion":2,"schemaVersion":2}', "schemaVersion"),
        ('{"layers":[],"subject":null,"su\\u0062ject":null}', "subject"),
    ],
)
def test_a_field_that_is_given_twice_is_refused(manifest: ModuleType, body: str, name: str) -> None:
    """Another parser takes the other one (CVE-2021-41190)."""
    assert refused(manifest, body) == f"manifest has {name} twice"


@each(
    ("other", "name"),
    [
        ("Layers", "layers"),
        ("MANIFESTS", "manifests"),
        ("mediatype", "mediaType"),
        ("Config", "config"),
        ("SchemaVersion", "schemaVersion"),
        (f"layer{LONG_S}", "layers"),
        (f"{LONG_S}ub\\u006aect", "subject"),
    ],
)
@each("also", ["", '"manifests":[],', '"layers":[],'])
def test_a_field_in_another_case_is_refused(manifest: ModuleType, other: str, name: str, also: str) -> None:
    assert refused(manifest, f'{{{also}"{other}":null}}') == f"manifest has {name} in another case"


@each("field", ["config", "subject", "layers", "manifests"])
@each(
    ("more", "problem"),
    [
        ('"digest":"a:b"', "descriptor has digest twice"),
        ('"data":"","data":""', "descriptor has data twice"),
        ('"annotations":null,"annotations":null', "descriptor has annotations twice"),
        ('"urls":[],"urls":[]', "descriptor has urls twice"),
        ('"artifactType":"a","artifactType":"a"', "descriptor has artifactType twice"),
        ('"platform":{},"platform":{}', "descriptor has platform twice"),
        ('"Size":1', "has size in another case"),
        (f'"{LONG_S}ize":1', "has size in another case"),
        ('"URLs":[]', "has urls in another case"),
        ('"platform":{"os":"a","os":"b"}', "platform has os twice"),
        ('"platform":{"os.version":"a","os.version":"b"}', "platform has os.version twice"),
        ('"platform":{"OS":"a"}', "has a platform with os in another case"),
        ('"platform":{"Variant":"a","variant":"a"}', "has a platform with variant in another case"),
    ],
)
def test_a_member_of_a_descriptor_twice_or_in_another_case_is_refused(
    manifest: ModuleType, field: str, more: str, problem: str
) -> None:
    descriptor = orjson.dumps(LAYER).decode()[:-1] + f",{more}}}"
    if field in ("config", "subject"):
        body, where = f'{{"layers":[],"{field}":{descriptor}}}', field
    else:
        body, where = f'{{"{field}":[{orjson.dumps(LAYER).decode()},{descriptor}]}}', f"{field}[1]"
    assert refused(manifest, body) == (f"{where} {problem}" if problem.startswith("has") else problem)


@each(
    ("body", "problem"),
    [
        ('{"layers":[],"config":[{"DIGEST":null}]}', "config is not an object"),
        ('{"layers":[],"subject":[{"digest":1,"digest":2}]}', "subject is not an object"),
        ('{"layers":{"DIGEST":null}}', "layers is not an array"),
        ('{"manifests":[[{"DIGEST":null}]]}', "manifests[0] is not an object"),
    ],
)
def test_names_within_a_value_of_a_wrong_type_are_not_looked_at(
    manifest: ModuleType, body: str, problem: str
) -> None:
    assert refused(manifest, body) == problem


@each(
    "more",
    [
        '"x":1,"x":2',
        '"x":{"layers":1,"layers":2,"Digest":3}',
        '"annotations":{"Size":"1","size":"2","size":"3"}',
        f'"{KELVIN}":1,"k":2',
        '"os":1,"Os":2,"DIGEST":3,"digest":4',
        '"layers ":1,"layerss":2,"":3',
        '"x":"\\"layers\\":[]"',
    ],
)
def test_other_names_may_be_there_as_they_like(manifest: ModuleType, more: str) -> None:
    found = manifest.scan_manifest(f'{{"layers":[],{more}}}'.encode())
    assert found._replace(annotations_json=None) == EMPTY


@each("body", ['{"layers":[],"manifests":[]}', '{"manifests":[],"config":null,"layers":[]}'])
def test_both_layers_and_manifests_are_refused(manifest: ModuleType, body: str) -> None:
    assert refused(manifest, body) == "manifest has both layers and manifests"
    assert manifest.scan_manifest(b'{"layers":[],"manifests":null}') == EMPTY
    assert manifest.scan_manifest(b'{"layers":null,"manifests":[]}') == EMPTY


def test_escapes_in_names_and_values(manifest: ModuleType) -> None:
    body = orjson.dumps({"layers": [LAYER], "mediaType": "a/b"})
    written = body.replace(b"layers", b"l\\u0061yers").replace(b"mediaType", b"media\\u0054ype")
    written = written.replace(b"/", b"\\/").replace(b"sha256:", b"sha256\\u003a")
    scanned = manifest.scan_manifest(written)
    assert scanned.layers == (plain(),)
    assert scanned.media_type == "a/b"


# ---- annotations ----


@each(
    ("written", "expected"),
    [
        ("{}", "{}"),
        ("{ }", "{}"),
        ('{"a":"b"}', '{"a":"b"}'),
        ('{ "a" :\t"b c" ,\r\n "d":"" }', '{"a":"b c","d":""}'),
        ('{"a":"é😀\x7f"}', '{"a":"é😀\x7f"}'),
        ('{"a":"\\u00e9\\ud83d\\ude00\\/\\n\\u003c\\\\\\""}', '{"a":"é😀/\\n<\\\\\\""}'),
        ('{"\\u0061":"b"}', '{"a":"b"}'),
        ('{"a":"1","b":"2","a":"3"}', '{"a":"3","b":"2"}'),
        ('{"a":1,"a":"3"}', '{"a":"3"}'),
        ('{"a":"1","\\u0061":"3"}', '{"a":"3"}'),
    ],
)
def test_annotations(manifest: ModuleType, written: str, expected: str) -> None:
    scanned = manifest.scan_manifest(f'{{"layers":[],"annotations":{written}}}'.encode())
    assert scanned.annotations_json == expected.encode()
    assert scanned.annotations == orjson.loads(written)


@each("count", [8, 9, 390, 512, 513, 1000])
@each("separators", [(",", ":"), (" , ", " : ")])
def test_many_annotations(manifest: ModuleType, count: int, separators: tuple[str, str]) -> None:
    annotations = {f"org.example.key{number}": "v" * number for number in range(count)}
    written = json.dumps(annotations, separators=separators)
    body = f'{{"layers":[],"annotations":{written}}}'.encode()
    assert manifest.scan_manifest(body).annotations_json == orjson.dumps(annotations)
    twice = body.replace(b"}}", b',"org.example.key1":"last"}}')
    assert manifest.scan_manifest(twice).annotations == {**annotations, "org.example.key1": "last"}


def test_no_annotations(manifest: ModuleType) -> None:
    assert manifest.scan_manifest(b'{"layers":[]}').annotations_json is None
    assert manifest.scan_manifest(b'{"layers":[]}').annotations == {}


# ---- what is refused ----


@each(
    ("fields", "message"),
    [
        ({}, "manifest has neither layers nor manifests"),
        ({"config": CONFIG}, "manifest has neither layers nor manifests"),
        ({"layers": {}}, "layers is not an array"),
        ({"layers": ""}, "layers is not an array"),
        ({"layers": False}, "layers is not an array"),
        ({"manifests": "x"}, "manifests is not an array"),
        ({"manifests": [], "layers": 0}, "layers is not an array"),
        ({"layers": [None]}, "layers[0] is not an object"),
        ({"layers": [LAYER, []]}, "layers[1] is not an object"),
        ({"layers": [LAYER, LAYER, "x", 5]}, "layers[2] is not an object"),
        ({"layers": [], "config": []}, "config is not an object"),
        ({"layers": [], "config": ""}, "config is not an object"),
        ({"layers": [], "config": {}}, "config has no mediaType that is a non-empty string"),
        ({"layers": [], "subject": 0}, "subject is not an object"),
        ({"layers": [], "subject": {**LAYER, "size": -1}}, "subject has no size that is an integer between"),
        ({"layers": [], "annotations": []}, "annotations is not an object"),
        ({"layers": [], "annotations": "x"}, "annotations is not an object"),
        ({"layers": [], "annotations": {"a": 1}}, "annotations has a value that is not a string"),
        ({"layers": [], "annotations": {"a": None}}, "annotations has a value that is not a string"),
        ({"layers": [], "annotations": {"a": "\n", "b": {}}}, "annotations has a value that is not a string"),
        ({"layers": [], "mediaType": 1}, "mediaType is not a string"),
        ({"layers": [], "artifactType": {}}, "artifactType is not a string"),
        ({"layers": [], "schemaVersion": "2"}, "schemaVersion is not an integer"),
        ({"layers": [], "schemaVersion": 2.0}, "schemaVersion is not an integer"),
        ({"layers": [], "schemaVersion": True}, "schemaVersion is not an integer"),
        ({"layers": [], "schemaVersion": -1}, "schemaVersion is not an integer"),
        # the first of a fixed order, wherever it stands
        ({"annotations": 1, "layers": [5], "config": 1, "mediaType": 5}, "mediaType is not a string"),
        ({"annotations": 1, "layers": [5], "config": 1}, "config is not an object"),
        ({"annotations": 1, "manifests": 5, "layers": [5]}, "layers[0] is not an object"),
    ],
)
def test_no_manifest(manifest: ModuleType, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
        manifest.scan_manifest(orjson.dumps(fields))
    assert type(caught.value) is ValueError
    assert str(caught.value).startswith(message)


@each(
    ("change", "message"),
    [
        ({"mediaType": ""}, "has no mediaType"),
        ({"mediaType": None}, "has no mediaType"),
        ({"mediaType": 5}, "has no mediaType"),
        ({"digest": None}, "has no digest"),
        ({"digest": 5}, "has no digest"),
        ({"digest": ""}, "has no digest"),
        ({"size": None}, "has no size"),
        ({"size": "5"}, "has no size"),
        ({"size": 5.0}, "has no size"),
        ({"size": True}, "has no size"),
        ({"size": -1}, "has no size"),
        ({"size": 2**63}, "has no size"),
        ({"size": 2**64 - 1}, "has no size"),
        ({"urls": "x"}, "has urls that are not an array"),
        ({"urls": {}}, "has urls that are not an array"),
        ({"artifactType": 5}, "has an artifactType"),
        ({"platform": []}, "has a platform that is not an object"),
        ({"platform": "linux"}, "has a platform that is not an object"),
        ({"platform": {"os": 5}}, "has a platform whose os"),
        ({"platform": {"os": "a", "architecture": []}}, "has a platform whose os"),
        ({"platform": {"os": "a", "architecture": "b", "variant": 8}}, "has a platform whose os"),
        ({"size": -1, "digest": "", "platform": 5}, "has no digest"),
        ({"platform": {"os": 5}, "urls": 5}, "has urls"),
    ],
)
def test_malformed_descriptor(manifest: ModuleType, change: dict[str, Any], message: str) -> None:
    bad = {**LAYER, **change}
    for fields, where in (
        ({"layers": [LAYER, bad]}, "layers[1]"),
        ({"manifests": [bad]}, "manifests[0]"),
        ({"layers": [], "config": bad}, "config"),
        ({"layers": [], "subject": bad}, "subject"),
    ):
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the whole message is compared
            manifest.scan_manifest(orjson.dumps(fields))
        assert str(caught.value).startswith(f"{where} {message}")


@each("missing", ["mediaType", "digest", "size"])
def test_descriptor_without(manifest: ModuleType, missing: str) -> None:
    bad = {name: value for name, value in LAYER.items() if name != missing}
    with pytest.raises(ValueError, match=rf"layers\[0\] has no {missing}"):
        manifest.scan_manifest(dump(layers=[bad]))


@each("size", ["0", "-0", "9223372036854775807"])
def test_sizes(manifest: ModuleType, size: str) -> None:
    body = dump(layers=[LAYER]).replace(b'"size":1234', b'"size":' + size.encode())
    assert manifest.scan_manifest(body).layers[0].size == int(size)


@each(
    "text",
    [
        SHA256,
        SHA512,
        "a:b",
        "sha384:" + "f" * 96,
        "sha256+b64:Ab=_-",
        "blake3:XYZ",
        "a.b_c-d+e:0",
        "multihash+base58:Q",
    ],
)
def test_digests_of_the_grammar(manifest: ModuleType, text: str) -> None:
    assert manifest.scan_manifest(dump(layers=[{**LAYER, "digest": text}])).layers[0].digest == text


@each(
    "text",
    [
        "",
        ":",
        "a",
        "a:",
        ":a",
        "A:b",
        "a::b",
        "a++b:c",
        "+a:b",
        "a+:b",
        "a:b c",
        "a:b/c",
        "a:é",
        "é:a",
        "a:b\n",
        "a:b:c",
        "sha256:abc",
        SHA256.upper(),
        SHA256 + "a",
        SHA256[:-1] + "G",
        SHA512[:-1],
        "sha512:" + "a" * 64,
        "a :b",
        "sha256:",
        "sha512:",
        "a:b\x00",
    ],
)
def test_digests_outside_of_the_grammar(manifest: ModuleType, text: str) -> None:
    with pytest.raises(ValueError, match=r"layers\[0\] has no digest"):
        manifest.scan_manifest(dump(layers=[{**LAYER, "digest": text}]))


def test_messages_do_not_echo_the_input(manifest: ModuleType) -> None:
    bad = {**LAYER, "digest": "x" * 100_000}
    with pytest.raises(ValueError, match="has no digest") as caught:
        manifest.scan_manifest(dump(layers=[bad]))
    assert len(str(caught.value)) < 200
