"""The section of Docker."""

from __future__ import annotations

from nora.config import Upstream
from nora.formats.base import UploadLimits
from nora.formats.docker.settings import DockerSettings, upload_limits


def test_denying_by_default_without_prefixes_is_told() -> None:
    plain, prefixed = Upstream("https://a.example"), Upstream("https://b.example", prefix="b")
    (told,) = DockerSettings(default_action="deny", upstreams=(plain,)).warnings()
    assert "it asks nobody" in told
    assert list(DockerSettings(default_action="deny", upstreams=(plain, prefixed)).warnings()) == []
    assert list(DockerSettings().warnings()) == []


def test_upload_sessions_may_take_what_is_said() -> None:
    assert upload_limits(DockerSettings(max_upload_sessions=3)) == UploadLimits(3, 64 * 2**30, 3600, 500)
