"""The contract of all formats, for each format that is discovered."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest

from nora.formats import discover
from nora.formats.samples import Sample
from tests.contracts.formats import FormatContract
from tests.support.in_process import application


@pytest.fixture(params=[found.name for found in discover()])
def sample(request: pytest.FixtureRequest) -> Sample:
    return sample_of(request.param)


def sample_of(format_name: str) -> Sample:
    sample: Sample = import_module(f"nora.formats.{format_name}.samples").SAMPLE
    return sample


class TestFormats(FormatContract):
    """Every format keeps the contract."""


@pytest.mark.anyio
async def test_nobody_gets_bytes_that_are_damaged_on_disk(tmp_path: Path) -> None:
    """Whose size is what it was: an error, in every format."""
    samples = [sample_of(found.name) for found in discover()]
    async with application(tmp_path) as http:
        for step in [step for sample in samples for step in sample.publish]:
            await http.request(step.method, step.path, headers=dict(step.headers), content=step.body)
    for path in (tmp_path / "storage" / "blobs").rglob("*-*"):
        data = path.read_bytes()
        path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    async with application(tmp_path) as http:  # which has nothing in memory
        for sample in samples:
            answer = await http.get(sample.fetch.path, headers=dict(sample.fetch.headers))
            assert answer.status_code == 500, sample
            assert sample.fetched[:-1] not in answer.content
