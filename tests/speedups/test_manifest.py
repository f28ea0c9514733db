"""Scanning of manifests, on both implementations."""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

import orjson
import pytest

from nora._speedups.descriptors import Descriptor, Manifest

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


@pytest.mark.parametrize("value", [None, "{}", bytearray(b"{}"), memoryview(b"{}"), {}, 1])
def test_anything_but_bytes_is_type_error(manifest: ModuleType, value: object) -> None:
    with pytest.raises(TypeError, match="manifest must be bytes"):
        manifest.scan_manifest(value)


@pytest.mark.parametrize("indent", [None, 1, 3])
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


@pytest.mark.parametrize(
    "body", [b'{"layers":[]}', b'{"manifests":[]}', b'{"layers":null}', b'{"manifests":null}']
)
def test_empty(manifest: ModuleType, body: bytes) -> None:
    assert manifest.scan_manifest(body) == EMPTY
    assert manifest.scan_manifest(b" \n" + body.replace(b":", b"\t:\r\n") + b"\n ") == EMPTY


def test_null_is_absent(manifest: ModuleType) -> None:
    fields = ["schemaVersion", "mediaType", "artifactType", "config", "subject", "annotations"]
    assert manifest.scan_manifest(dump(layers=None, **dict.fromkeys(fields))) == EMPTY
    body = dump(layers=[{**LAYER, "urls": None, "artifactType": None, "platform": None}])
    assert manifest.scan_manifest(body).layers == (plain(),)


@pytest.mark.parametrize(
    "body",
    [
        b'{"layers":1,"layers":[]}',
        b'{"layers":[{}],"layers":[]}',
        b'{"config":5,"layers":[],"config":null}',
        b'{"layers":[],"mediaType":1,"mediaType":null}',
        b'{"layers":[],"annotations":{"a":1},"annotations":null}',
        b'{"layers":[],"schemaVersion":"2","schemaVersion":null}',
        b'{"layers":[],"subject":{},"subject":null}',
    ],
)
def test_the_last_of_two_fields_counts(manifest: ModuleType, body: bytes) -> None:
    assert manifest.scan_manifest(body) == EMPTY


def test_the_last_of_two_fields_of_a_descriptor_counts(manifest: ModuleType) -> None:
    text = orjson.dumps(LAYER).decode()
    early = '{"size":-1,"digest":"x","mediaType":"","urls":5,"platform":{"os":1},"artifactType":[],'
    late = text[1:-1] + ',"urls":[],"platform":null,"artifactType":null}'
    body = f'{{"layers":[{early}{late}]}}'.encode()
    assert manifest.scan_manifest(body).layers == (plain(),)
    body = f'{{"layers":[{text[:-1]},"platform":{{"os":1,"architecture":"b","os":"a"}}}}]}}'.encode()
    assert manifest.scan_manifest(body).layers == (plain(platform="a/b"),)


def test_escapes_in_names_and_values(manifest: ModuleType) -> None:
    body = orjson.dumps({"layers": [LAYER], "mediaType": "a/b"})
    written = body.replace(b"layers", b"l\\u0061yers").replace(b"mediaType", b"media\\u0054ype")
    written = written.replace(b"/", b"\\/").replace(b"sha256:", b"sha256\\u003a")
    scanned = manifest.scan_manifest(written)
    assert scanned.layers == (plain(),)
    assert scanned.media_type == "a/b"


# ---- annotations ----


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("count", [8, 9, 390, 512, 513, 1000])
@pytest.mark.parametrize("separators", [(",", ":"), (" , ", " : ")])
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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


@pytest.mark.parametrize("missing", ["mediaType", "digest", "size"])
def test_descriptor_without(manifest: ModuleType, missing: str) -> None:
    bad = {name: value for name, value in LAYER.items() if name != missing}
    with pytest.raises(ValueError, match=rf"layers\[0\] has no {missing}"):
        manifest.scan_manifest(dump(layers=[bad]))


@pytest.mark.parametrize("size", ["0", "-0", "9223372036854775807"])
def test_sizes(manifest: ModuleType, size: str) -> None:
    body = dump(layers=[LAYER]).replace(b'"size":1234', b'"size":' + size.encode())
    assert manifest.scan_manifest(body).layers[0].size == int(size)


@pytest.mark.parametrize(
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


@pytest.mark.parametrize(
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
