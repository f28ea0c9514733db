"""Docker / OCI: the distribution-spec 1.1 at `/v2/`. Helm charts and other OCI artifacts are images too."""

from nora.formats.base import Aging, Format
from nora.formats.docker.browse import BROWSE
from nora.formats.docker.errors import render_error
from nora.formats.docker.legacy import LEGACY
from nora.formats.docker.mirror import TOOLS
from nora.formats.docker.operations import operations
from nora.formats.docker.parts import PARTS
from nora.formats.docker.routes import build
from nora.formats.docker.settings import DockerSettings, docker_hub, kept_tags, upload_limits
from nora.formats.docker.upstream_check import check_upstream

FORMAT = Format(
    name="docker",
    title="Docker / OCI",
    mount="/v2/",
    settings=DockerSettings,
    default_upstreams=docker_hub,
    upload_limits=upload_limits,
    build=build,
    check_upstream=check_upstream,
    render_error=render_error,
    can_proxy=True,
    shares_mount=True,
    parts=PARTS,
    legacy=LEGACY,
    browse=BROWSE,
    mirror=TOOLS,
    operations=operations,
    aging=Aging(by_tags=True, kept_tags=kept_tags, for_good=lambda *_: lambda _: False),
)
