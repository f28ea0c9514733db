"""What NORA promises, as data: against its rivals, and by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from benches.registries.rivals import DISTRIBUTION, DOCKER_REGISTRY, NORA
from benches.registries.rounds import Metric, Results


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound on the ratio of NORA to the rival: a rate at least, CPU and memory at most."""

    line: str
    rival: str
    metric: Metric
    bound: float
    aim: float | None = None


def _gates(rival: str, metric: Metric, **bounds: float) -> tuple[Gate, ...]:
    return tuple(Gate(line.replace("_", "-"), rival, metric, bound) for line, bound in bounds.items())


WHAT: dict[Metric, str] = {"rate": "rate", "cpu_us": "CPU", "peak_pss": "peak memory"}
GATES = (
    Gate("manifest-tag", DOCKER_REGISTRY.name, "rate", 6, aim=10),
    Gate("manifest-tag", DOCKER_REGISTRY.name, "cpu_us", 0.15),
    *_gates(
        DOCKER_REGISTRY.name,
        "rate",
        blob_head=6,
        blob_1k=10,
        blob_16m=1,
        push_1k=3,
        push_16m=1.5,
        tags_100=50,
    ),
    *_gates(
        DISTRIBUTION.name,
        "rate",
        manifest_tag=2,
        manifest_digest=2,
        blob_1k=5,
        push_1k=1.5,
        push_16m=1.5,
        ci=1.5,
    ),
    *_gates("devpi", "rate", pypi_page=20, pypi_wheel=2),
    *_gates("proxpi", "rate", pypi_page=5, pypi_wheel=2),
    *_gates("verdaccio", "rate", npm_packument=30, npm_large=50, npm_tarball=5),
    Gate("npm-large", "verdaccio", "peak_pss", 1, aim=0.2),
    *_gates(DOCKER_REGISTRY.name, "rate", cached_1k=3, cached_16m=1),
)


@dataclass(frozen=True, slots=True)
class Check:
    """A number beside its bound. NaN: it could not be measured, which is a failure."""

    name: str
    value: float
    unit: str
    bound: float
    at_most: bool = True
    aim: float | None = None

    @property
    def passed(self) -> bool:
        """False when the bound is missed or nothing was measured."""
        return self._within(self.bound)

    def _within(self, bound: float) -> bool:
        return self.value <= bound if self.at_most else self.value >= bound

    def __str__(self) -> str:
        sign = "≤" if self.at_most else "≥"
        aim = "" if self.aim is None else f" (aim {self.aim:g}{'' if self._within(self.aim) else ', missed'})"
        verdict = "ok" if self.passed else "MISSED"
        return f"{verdict:6} {self.name}: {self.value:.3g} {self.unit} {sign} {self.bound:g}{aim}"


@dataclass(frozen=True, slots=True)
class Promise:
    """A bound on a ratio of NORA to itself, or to a server of files."""

    name: str
    bound: float
    at_most: bool = True
    aim: float | None = None

    def check(self, value: float) -> Check:
        """Hold it against what was measured."""
        return Check(self.name, value, "x", self.bound, self.at_most, self.aim)


ACCESS_RATES = {
    "token": Promise("manifest by tag with a token, rate beside anonymous", 0.8, at_most=False),
    "password": Promise("manifest by tag with a known password, rate beside anonymous", 0.7, at_most=False),
}
# By the number of addresses that the wrong passwords come from.
ACCESS_STORMS = {
    1: Promise("p99 of others under 50 wrong passwords/s from one address, beside before", 2),
    50: Promise("p99 of others under 50 wrong passwords/s from 50 addresses, beside before", 2),
}
INSTALL = Promise("wall time of an installation by uv, warm, beside a static copy served by nginx", 1.1)
NPM_CI = Promise("wall time of npm ci, warm, beside verdaccio", 1)
CRATES = {
    "index": Promise("index file of a crate, rate beside nginx with one worker", 0.4, at_most=False, aim=0.6),
    "unchanged": Promise(
        "304 of an index file, rate beside nginx with one worker", 0.2, at_most=False, aim=0.4
    ),
}
FILES = Promise("raw file of 4 KiB, rate beside nginx with one worker", 0.15, at_most=False, aim=0.4)
ARTIFACTS = {
    "pom": Promise("POM of 5 KiB, rate beside nginx with one worker", 0.2, at_most=False, aim=0.4),
    "checksum": Promise(
        "checksum of an artifact, rate beside nginx with one worker", 0.2, at_most=False, aim=0.4
    ),
    "jar": Promise("jar of 10 MiB, rate beside nginx with one worker", 1, at_most=False),
}
MODULES = {
    "info": Promise(
        ".info of a cached module, rate beside nginx with one worker", 0.2, at_most=False, aim=0.4
    ),
    "mod": Promise(
        "go.mod of a cached module, rate beside nginx with one worker", 0.2, at_most=False, aim=0.4
    ),
}
MVN_COMPILE = Promise("wall time of mvn compile, warm, beside the same files served by nginx", 1.1)
GO_DOWNLOAD = Promise("wall time of go mod download, warm, beside the same files served by nginx", 1.1)
BUCKET = {
    "push": Promise(
        "push to a bucket as docker does it, rate beside upload_fileobj", 0.6, at_most=False, aim=0.8
    ),
    "named-push": Promise(
        "push to a bucket with the digest at first, rate beside upload_fileobj", 0.6, at_most=False, aim=0.8
    ),
    "pull": Promise("pull from a bucket, streamed, rate beside get_object", 0.3, at_most=False, aim=0.5),
    "redirect": Promise("pull from a bucket by a redirect, rate beside get_object", 0.8, at_most=False),
}
REFRESHES = Promise("p99 of manifest GETs while large project pages are refreshed, beside before", 2)


def judge(gate: Gate, results: Results) -> Check:
    """Hold one gate against NORA's default column."""
    ours, theirs = results.cell(gate.line, NORA.name), results.cell(gate.line, gate.rival)
    what = WHAT[gate.metric]
    value = results.ratio(gate.line, NORA.name, gate.rival, gate.metric)
    if (ours and ours.void) or (theirs and theirs.void):
        value = math.nan  # the generator was the limit: nothing is known
    name = f"{gate.line}, {what} beside {gate.rival}"
    return Check(name, value, "x", gate.bound, at_most=gate.metric != "rate", aim=gate.aim)
