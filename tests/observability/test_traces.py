"""Spans, as a collector of the test's own gets them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import orjson
import pytest

from nora.observability.metrics import Metrics
from nora.observability.shared import SharedMemory
from nora.observability.traces import BATCH_SPANS, QUEUE_LENGTH, Tracer, upstream_span
from tests.observability.test_metrics import parse, value
from tests.support.answers import Answer, Asked, document
from tests.support.in_process import application
from tests.support.tables import each
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
JAR = "/m2/org/acme/a/1/a-1.jar"


def collected(asked: list[Asked]) -> list[dict[str, Any]]:
    """The spans of documents that came, with their attributes as a mapping."""
    found = []
    for one in asked:
        assert one.headers["content-type"] == "application/json"
        for resource in orjson.loads(one.body)["resourceSpans"]:
            assert {"key": "service.name", "value": {"stringValue": "nora"}} in resource["resource"][
                "attributes"
            ]
            for scope in resource["scopeSpans"]:
                found += scope["spans"]
    for span in found:
        pairs = {pair["key"]: next(iter(pair["value"].values())) for pair in span["attributes"]}
        span["attributes"] = pairs
        assert int(span["startTimeUnixNano"]) <= int(span["endTimeUnixNano"])
    return found


async def test_a_request_and_what_is_asked_for_it_are_spans_of_one_trace(
    tmp_path: Path, upstream: Upstream
) -> None:
    upstream.serve(JAR, document(b"jar" * 99))
    upstream.serve("/v1/traces", Answer())
    settings = {"NORA_MAVEN_PROXY": f"{upstream.url}/m2", "NORA_TRACES_ENDPOINT": f"{upstream.url}/v1/traces"}
    async with application(tmp_path, **settings) as http:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01", "x-request-id": "mine"}
        assert (await http.get("/maven2/org/acme/a/1/a-1.jar", headers=headers)).status_code == 200
        await http.get("/health")
        await http.get("/ready", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})  # not sampled
    spans = collected(upstream.log.of("POST", "/v1/traces"))
    (request,) = [one for one in spans if one["kind"] == 2 and one["traceId"] == TRACE]
    assert request["parentSpanId"] == PARENT
    assert re.fullmatch(r"GET /maven2/.*", request["name"])
    assert (
        request["attributes"].items()
        >= {
            "http.request.method": "GET",
            "http.response.status_code": "200",
            "http.response.body.size": "297",
            "nora.registry": "maven",
            "nora.request_id": "mine",
            "url.path": "/maven2/org/acme/a/1/a-1.jar",
        }.items()
    )
    children = [one for one in spans if one["kind"] == 3]
    assert children
    asked = upstream.log.of("GET", JAR)
    ids = {f"00-{TRACE}-{one['spanId']}-01" for one in children}
    assert {one.headers["traceparent"] for one in asked} <= ids
    assert {(one["traceId"], one["parentSpanId"]) for one in children} == {(TRACE, request["spanId"])}
    others = [one for one in spans if one["traceId"] != TRACE]
    assert [one["name"] for one in others] == ["GET /health"]


async def test_nothing_is_told_to_anybody_by_default(tmp_path: Path, upstream: Upstream) -> None:
    upstream.serve(JAR, document(b"jar"))
    async with application(tmp_path, NORA_MAVEN_PROXY=f"{upstream.url}/m2") as http:
        headers = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
        assert (await http.get("/maven2/org/acme/a/1/a-1.jar", headers=headers)).status_code == 200
    assert upstream.log.count("POST") == 0
    assert not any("traceparent" in one.headers for one in upstream.log.of("GET"))


def make(percent: int) -> tuple[Tracer, Metrics]:
    metrics = Metrics(SharedMemory(1), 0, version="1", compiled=True)
    return Tracer(percent, "1", metrics), metrics


@each(
    "header, trace, parent",
    [
        (f"00-{TRACE}-{PARENT}-01", TRACE, PARENT),
        (f"00-{TRACE}-{PARENT}-03", TRACE, PARENT),
        (f"cc-{TRACE}-{PARENT}-01-more", TRACE, PARENT),
        (f"ff-{TRACE}-{PARENT}-01", None, ""),
        (f"00-{'0' * 32}-{PARENT}-01", None, ""),
        (f"00-{TRACE}-{'0' * 16}-01", None, ""),
        (f"00-{TRACE.upper()}-{PARENT}-01", None, ""),
        ("nonsense", None, ""),
        ("", None, ""),
    ],
)
def test_a_parent_is_taken_when_it_is_one(header: str, trace: str | None, parent: str) -> None:
    tracer, _ = make(100)
    with tracer.request({"method": "GET", "headers": [(b"traceparent", header.encode())]}) as span:
        assert span is not None
        assert (trace or span.trace, parent) == (span.trace, span.parent)
        assert re.fullmatch("[0-9a-f]{32}", span.trace)
        assert len({span.trace, TRACE}) == (1 if trace else 2)


def test_of_the_others_a_share_is_traced() -> None:
    tracer, _ = make(0)
    with tracer.request({"method": "GET", "headers": []}) as span:
        assert span is None
        with upstream_span("GET", "x") as child:
            assert child is None
    with tracer.request(
        {"method": "GET", "headers": [(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())]}
    ) as span:
        assert span is not None


async def test_what_no_collector_takes_is_dropped_and_counted() -> None:
    tracer, metrics = make(100)
    for _ in range(QUEUE_LENGTH + 3):
        with tracer.request({"method": "GET", "headers": []}):
            pass
    sent = []

    async def refuse(body: bytes) -> int:
        sent.append(len(orjson.loads(body)["resourceSpans"][0]["scopeSpans"][0]["spans"]))
        return 503

    await tracer.flush(refuse)
    assert sent == [BATCH_SPANS] * (QUEUE_LENGTH // BATCH_SPANS)
    samples = parse(metrics.render(0).decode())
    assert value(samples, "nora_traces_dropped_total", reason="queue") == 3
    assert value(samples, "nora_traces_dropped_total", reason="send") == QUEUE_LENGTH
