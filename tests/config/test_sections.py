"""Sections of formats: what others bring is read, checked and documented like what is built in."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from nora.config import Config, KnownFormats, ProxiedSettings, Timeouts, Upstream, kinds, load
from nora.config.declare import setting
from nora.config.describe import effective, reference, render_toml
from nora.errors import ConfigError
from nora.formats.base import Format, Services
from nora.formats.pypi.settings import PypiSettings


@dataclass(frozen=True, slots=True)
class ToySettings(ProxiedSettings):
    """Toys."""

    color: str = setting("red", kinds.TEXT, "Color of the toys.", toml=("colour",), deprecated=("toys.hue",))

    def warnings(self) -> Iterator[str]:
        yield from ProxiedSettings.warnings(self)
        if self.color == "pink":
            yield "color = pink: nobody plays with these"


TOY = Format(
    name="toy",
    title="Toys",
    mount="/toy/",
    settings=ToySettings,
    can_proxy=True,
    build=None,  # type: ignore[arg-type]
    render_error=None,  # type: ignore[arg-type]
)
PLAIN = Format(name="plain", title="Plain", mount="/plain/", build=None, render_error=None)  # type: ignore[arg-type]
FORMATS = KnownFormats((TOY.section, PLAIN.section))


def configured(directory: Path, text: str = "", **environ: str) -> Config:
    (directory / "config.toml").write_text(text)
    return load(environ, directory, FORMATS)


def test_a_section_is_read_from_file_and_environment(tmp_path: Path) -> None:
    config = configured(tmp_path, "[toy]\ncolour = 'blue'", NORA_TOY_PROXIES="https://a.example")
    assert config.of_format(ToySettings).color == "blue"
    assert config.upstreams_of("toy-proxy") == (Upstream("https://a.example"),)
    assert effective(config)["toy.color"]["value"] == "blue"
    (tmp_path / "config.toml").write_text(render_toml(config))
    assert load({}, tmp_path, FORMATS).formats == config.formats


def test_without_a_word_nobody_is_asked(tmp_path: Path) -> None:
    config = configured(tmp_path)
    assert (config.upstreams_of("toy-proxy"), config.upstreams_of("plain-proxy")) == ((), ())
    assert config.timeouts_of("toy") == Timeouts(5, 30, 60)
    assert configured(tmp_path, "toy.read_timeout = 5").timeouts_of("toy") == Timeouts(5, 5, 60)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("toy.colr = 'x'", "toy.colr: there is no such setting; did you mean toy.color?"),
        ("toy.color = 1", "toy.color = 1: expected a printable text"),
        ("toy.proxy_auth = 'a:b'", "toy.proxy_auth: set proxy as well"),
        ("plain.upstreams = []", "plain.upstreams: there is no such setting"),
        ("toy.color = 'a'\ntoys.hue = 'b'", "toy.color is set twice"),
    ],
)
def test_what_is_wrong_in_a_section_stops_the_start(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(tmp_path, text)
    assert reason in str(caught.value)


def test_a_section_warns(tmp_path: Path) -> None:
    assert configured(tmp_path, "toys.hue = 'pink'").warnings == (
        "toys.hue is deprecated: say toy.color",
        "toy.color = pink: nobody plays with these",
    )


def test_a_section_is_documented() -> None:
    page = reference(FORMATS)
    assert "### [toy]\n\nToys." in page
    assert '| `color` (or `colour`) (or `toys.hue`) | `NORA_TOY_COLOR` | `"red"` | text' in page
    assert "`NORA_TOY_UPSTREAMS`, `NORA_TOY_PROXIES`" in page
    assert "### [plain]" in page


def test_a_handler_gets_its_own_section(tmp_path: Path) -> None:
    config = configured(tmp_path, "toy.color = 'green'")
    services = Services(config, *[None] * 14)  # type: ignore[arg-type]
    assert services.settings(ToySettings).color == "green"
    with pytest.raises(LookupError, match="PypiSettings"):
        services.settings(PypiSettings)
