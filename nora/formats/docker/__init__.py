"""Docker / OCI: the distribution-spec 1.1 at `/v2/`. Helm charts and other OCI artifacts are images too."""

from nora.formats.base import Format
from nora.formats.docker.errors import render_error
from nora.formats.docker.routes import build

FORMAT = Format(
    name="docker",
    title="Docker / OCI",
    mount="/v2/",
    build=build,
    render_error=render_error,
    can_proxy=True,
    shares_mount=True,
)
