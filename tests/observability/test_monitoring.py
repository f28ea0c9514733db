"""What is written for those who watch a server - docs/monitoring.md, deploy/ - is true of a real scrape."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from nora.formats import discover
from nora.observability.metrics import FAMILIES
from tests.support.answers import document
from tests.support.in_process import application
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "nora.json"
UNSEEN = {"nora_rate_limited_total", "nora_auth_namespace_scope_total"} | {
    f"nora_{name}_last_success_timestamp" for name in ("backup", "verify")
}
"""Nobody is refused or out of his scope on the tour, or makes a backup."""
_METRIC = re.compile(r"\bnora_\w+")
_SELECTOR = re.compile(r"\b(nora_\w+)\{([^}]*)\}")
_BY = re.compile(r"\bby \(([^)]*)\)")
OF_PROMETHEUS = {"instance", "job", "le"}

Scrape = dict[str, set[str]]
"""Names of samples, with the labels that they have."""


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def scrape(
    tmp_path: Path, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> tuple[Scrape, set[str]]:
    """After a tour: every format publishes and fetches, something comes from an upstream, a bit of time goes
    by. The samples, and the families that are told of at all."""
    monkeypatch.setattr("nora.http.telemetry.LOOK_SECONDS", 0.01)
    quota = {"ratelimit-limit": "100;w=21600", "ratelimit-remaining": "76;w=21600"}
    jar = document(b"jar" * 99)
    upstream.serve("/m2/org/acme/a/1/a-1.jar", replace(jar, headers={**jar.headers, **quota}))
    async with application(
        tmp_path,
        NORA_MAVEN_PROXY=f"{upstream.url}/m2",
        NORA_AUDIT_LOG="file",
        NORA_TRACES_ENDPOINT=upstream.url,
        NORA_EVENTS_WEBHOOKS=json.dumps([{"name": "a", "url": upstream.url, "secret": "0" * 16}]),
    ) as http:
        for name in (one.name for one in discover()):
            sample = import_module(f"nora.formats.{name}.samples").SAMPLE
            for step in (*sample.publish, sample.fetch):
                await http.request(step.method, step.path, headers=dict(step.headers), content=step.body)
        assert (await http.get("/maven2/org/acme/a/1/a-1.jar")).status_code == 200
        page = ""
        while "nora_disk_free_bytes " not in page or "nora_catalog_queue " not in page:
            page = (await http.get("/metrics")).text
    families = list(text_string_to_metric_families(page))
    samples: Scrape = {}
    for family in families:
        for one in family.samples:
            samples.setdefault(one.name, set()).update(one.labels)
    return samples, {name_of(one.name, one.type) for one in families}


def name_of(family: str, kind: str) -> str:
    return f"{family}_total" if kind == "counter" else family


def documented() -> dict[str, set[str]]:
    """The metrics of the page, with their labels."""
    text = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8").partition("## Names of")[0]
    found = {}
    for names, labels in re.findall(r"^\| (`nora_.*?) \| [a-z, ]+ \| (.*?) \|", text, re.M):
        for name in re.findall(r"`(\w+)`", names):
            found[name] = {*re.findall(r"`(\w+)`", labels)}
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """All that the rules and the dashboard ask, and where."""
    rules = (PROMETHEUS / "nora.rules.yml").read_text(encoding="utf-8")
    for block in re.split(r"- alert: ", rules)[1:]:
        name, _, rest = block.partition("\n")
        yield name, rest[rest.index("expr:") : rest.index("labels:")]
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_every_metric_is_documented() -> None:
    named = {name_of(family, kind) for family, (kind, _) in FAMILIES.items()}
    assert documented().keys() == named


async def test_every_documented_metric_is_there_after_a_tour(scrape: tuple[Scrape, set[str]]) -> None:
    samples, families = scrape
    for name, labels in documented().items():
        assert name in families, name
        found = samples.get(name, samples.get(f"{name}_count"))
        if name not in UNSEEN:
            assert found == labels, name


async def test_rules_and_the_dashboard_ask_for_what_is_there(scrape: tuple[Scrape, set[str]]) -> None:
    samples, _ = scrape
    known = {**samples, **{name: documented()[name] for name in UNSEEN}}
    asked = dict(expressions())
    assert len(asked) > 25
    for where, expression in expressions():
        names = _METRIC.findall(expression)
        assert names or "up{" in expression, where
        for name in names:
            assert name in known, (where, name)
        for name, selector in _SELECTOR.findall(expression):
            wanted = {*re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector)} - OF_PROMETHEUS
            assert wanted <= known[name], (where, name, wanted)
        for group in _BY.findall(expression):
            labels = {one.strip() for one in group.split(",")} - OF_PROMETHEUS
            assert labels <= set().union(*(known[name] for name in names)), (where, labels)


def test_names_of_before_lead_to_metrics_that_there_are() -> None:
    text = (ROOT / "docs" / "monitoring.md").read_text(encoding="utf-8").partition("## Names of")[2]
    rows = re.findall(r"^\| (`nora_.*?) \| (.*?) \|$", text, re.M)
    assert len(rows) > 20
    known = documented()
    for before, here in rows:
        names = _METRIC.findall(before if here.startswith("the same") else here)
        assert {*names} <= known.keys(), before
        for name, selector in _SELECTOR.findall(here):
            assert {*re.findall(r"(\w+)=|^(\w+)$", selector)[0]} - {""} <= known[name], here


@pytest.mark.client("promtool")
@pytest.mark.parametrize(
    "words", ["check rules nora.rules.yml", "test rules nora.rules.test.yml", "check config prometheus.yml"]
)
def test_promtool_finds_nothing(words: str) -> None:
    done = subprocess.run(
        ["promtool", *words.split()], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.client("promtool")
async def test_promtool_finds_nothing_in_a_scrape(tmp_path: Path) -> None:
    async with application(tmp_path) as http:
        page: httpx.Response = await http.get("/metrics")
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=page.text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
