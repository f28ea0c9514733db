"""Formats that a configuration of a test knows: two with proxies, one without, and one that is planned."""

from __future__ import annotations

from nora.config import FormatSection, KnownFormats, PlannedFormat, Upstream
from nora.formats.docker.settings import DockerSettings
from nora.formats.pypi.settings import PypiSettings

PUBLIC = (Upstream("https://public.example"),)


def public() -> tuple[Upstream, ...]:
    return PUBLIC


FORMATS = KnownFormats(
    (
        FormatSection(
            name="docker",
            title="Docker / OCI",
            settings=DockerSettings,
            can_proxy=True,
            default_upstreams=public,
        ),
        FormatSection(
            name="pypi", title="PyPI", settings=PypiSettings, can_proxy=True, default_upstreams=public
        ),
        FormatSection(name="toy", title="Toy"),
    ),
    (PlannedFormat(name="npm", keys="enabled proxy"),),
)
