from __future__ import annotations

from pathlib import Path

import pytest

from nora.config import Config, KnownFormats, load, repository_specs
from nora.errors import ConfigError
from nora.model import RepositorySpec
from tests.config.formats import FORMATS

OFF = "docker.upstreams = 'off'\n"
HOSTED = KnownFormats(tuple(one for one in FORMATS.served if one.name != "pypi"))

DEFAULTS = (
    RepositorySpec("docker-hosted", "docker", "hosted"),
    RepositorySpec("docker", "docker", "group", ("docker-hosted",), "docker-hosted"),
)


def configured(directory: Path, text: str) -> Config:
    (directory / "config.toml").write_text(OFF + text)
    return load({}, directory, HOSTED)


def test_a_format_has_a_hosted_repository_behind_a_group(tmp_path: Path) -> None:
    found = repository_specs(configured(tmp_path, ""))
    assert found[:2] == DEFAULTS
    assert [spec.name for spec in found][2:] == ["toy-hosted", "toy"]


def test_a_format_that_is_switched_off_has_none(tmp_path: Path) -> None:
    config = configured(tmp_path, "docker.enabled = false\n[repositories.team]\nformat = 'docker'")
    assert [spec.name for spec in repository_specs(config)] == ["toy-hosted", "toy"]


def test_named_repositories_follow_the_defaults(tmp_path: Path) -> None:
    config = configured(
        tmp_path,
        """
        [repositories.internal]
        format = "docker"
        [repositories.all]
        format = "docker"
        kind = "group"
        members = ["internal", "docker-hosted"]
        writes = "internal"
        """,
    )
    assert [spec for spec in repository_specs(config) if spec.format == "docker"] == [
        *DEFAULTS,
        RepositorySpec("internal", "docker", "hosted"),
        RepositorySpec("all", "docker", "group", ("internal", "docker-hosted"), "internal"),
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("repositories = 1", "repositories: expected tables"),
        ("[repositories]\na = 1", "repositories.a: expected a table"),
        ("[repositories.Team]\nformat = 'docker'", "repositories.Team: a name is lower-case"),
        ("[repositories.\"a/b\"]\nformat = 'docker'", "a name is lower-case"),
        ("[repositories.\"a..b\"]\nformat = 'docker'", "a name is lower-case"),
        ("[repositories.blobs]\nformat = 'docker'", "repositories.blobs: the name is reserved"),
        ("[repositories.a]", "repositories.a.format: expected the name of a format"),
        ("[repositories.a]\nformat = 'docker'\nknd = 'hosted'", "did you mean kind?"),
        ("[repositories.a]\nformat = 'docker'\nkind = 'host'", "expected hosted, proxy or group"),
        ("[repositories.a]\nformat = 'docker'\nkind = 'group'", "a group needs at least one"),
        ("[repositories.a]\nformat = 'docker'\nkind = 'group'\nmembers = 'b'", "expected a list of names"),
        ("[repositories.a]\nformat = 'docker'\nkind = 'group'\nmembers = ['b', 'b']", "each name once"),
        ("[repositories.a]\nformat = 'docker'\nwrites = 'b'", "belong to groups only"),
        ("[repositories.a]\nformat = 'docker'\nwrites = 1", "expected the name of a member"),
    ],
)
def test_a_bad_table_stops_the_start(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, text)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[repositories.docker]\nformat = 'docker'", "there by default"),
        ("[repositories.a]\nformat = 'dokcer'", "did you mean docker?"),
        ("[repositories.a]\nformat = 'pypi'", "not available in this version"),
        ("[repositories.a]\nformat = 'docker'\nkind = 'group'\nmembers = ['docker']", '"docker" is a group'),
        (
            "[repositories.a]\nformat = 'docker'\nkind = 'group'\nmembers = ['dokcer-hosted']",
            "mean docker-hosted?",
        ),
        (
            "[repositories.a]\nformat = 'docker'\nkind = 'group'\nmembers = ['toy-hosted']",
            "of format toy, not docker",
        ),
        (
            "[repositories.a]\nformat = 'docker'\nkind = 'group'\nmembers = ['docker-hosted']\nwrites = 'b'",
            'writes = "b": expected one of its members',
        ),
    ],
)
def test_repositories_that_do_not_fit_together_stop_the_start(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        repository_specs(configured(tmp_path, text))
    assert reason in str(caught.value)
