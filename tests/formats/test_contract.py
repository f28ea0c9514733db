"""The contract of all formats, for each format that is discovered."""

from __future__ import annotations

from importlib import import_module

import pytest

from nora.formats import discover
from nora.formats.samples import Sample
from tests.contracts.formats import FormatContract


@pytest.fixture(params=[found.name for found in discover()])
def sample(request: pytest.FixtureRequest) -> Sample:
    sample: Sample = import_module(f"nora.formats.{request.param}.samples").SAMPLE
    return sample


class TestFormats(FormatContract):
    """Every format keeps the contract."""
