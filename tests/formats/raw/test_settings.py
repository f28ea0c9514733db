"""Settings: when the files of which repository are replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from nora.config import overwrite_rules, repository_specs
from nora.errors import ConfigError
from nora.formats import load_config


def test_a_repository_says_when_its_files_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(
        "[repositories.raw-hosted]\noverwrite = 'never'\n[repositories.plain]\nformat = 'raw'\n"
        "[repositories.cache]\nformat = 'raw'\noverwrite = 'always'\n"
    )
    rules = overwrite_rules(load_config({}, tmp_path), "raw", "if-match")
    assert rules == {"raw-hosted": "never", "plain": "if-match", "cache": "always"}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[repositories.a]\nformat = 'raw'\noverwrite = 'sometimes'", "expected never, if-match or always"),
        ("[repositories.a]\nformat = 'raw'\noverwrite = true", "expected never, if-match or always"),
        ("[repositories.a]\nformat = 'raw'\noverwrite = ['never']", "expected never, if-match or always"),
        ("[repositories.raw]\noverwrite = 'never'", "overwrite belongs to hosted repositories only"),
        ("[repositories.a]\nformat = 'pypi'\noverwrite = 'never'", "files of the format pypi are never"),
        ("[repositories.pypi-hosted]\noverwrite = 'never'", "files of the format pypi are never"),
        (
            "[repositories.a]\nformat = 'raw'\nkind = 'group'\nmembers = ['raw-hosted']\noverwrite = 'never'",
            "overwrite belongs to hosted repositories only",
        ),
    ],
)
def test_what_is_not_said_of_a_repository(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        repository_specs(load_config({}, tmp_path))


def test_the_names_that_were_promised(tmp_path: Path) -> None:
    env = {"NORA_RAW_ENABLED": "true", "NORA_RAW_MAX_FILE_SIZE": "104857600", "NORA_RAW_CACHE_CONTROL": "x"}
    settings = load_config(env, tmp_path).formats["raw"]
    assert (settings.enabled, settings.max_file_size, settings.cache_control) == (True, 100 << 20, "x")  # type: ignore[attr-defined]
    assert load_config({}, tmp_path).formats["raw"].max_file_size is None  # type: ignore[attr-defined]
