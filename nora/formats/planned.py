"""Formats that NORA will have: files and environments that speak of them start already here.

A format that is there is no longer planned: nobody has to remove it from this table.
"""

from __future__ import annotations

from nora.config.sections import PlannedFormat

_PROXY = "enabled proxy proxy_auth upstreams proxies proxy_timeout metadata_ttl serve_stale"

PLANNED = (
    PlannedFormat(name="maven", keys=f"{_PROXY} checksum_verify immutable_releases"),
    PlannedFormat(name="npm", keys=f"{_PROXY} revalidate"),
    PlannedFormat(name="cargo", keys=f"{_PROXY} revalidate"),
    PlannedFormat(name="go", keys=f"{_PROXY} revalidate proxy_timeout_zip max_zip_size"),
    PlannedFormat(name="raw", keys="enabled max_file_size cache_control"),
    PlannedFormat(name="gems", keys=f"{_PROXY} revalidate"),
    PlannedFormat(name="ansible", keys=f"{_PROXY} revalidate"),
    PlannedFormat(name="pub_dart", keys=f"{_PROXY} revalidate", env="NORA_PUB_", curated_as="pub"),
    PlannedFormat(
        name="nuget",
        keys=f"{_PROXY} revalidate metadata_proxy_timeout search_service autocomplete",
        variables=(("metadata_proxy_timeout", "NORA_NUGET_METADATA_TIMEOUT"),),
    ),
    PlannedFormat(name="conan", keys=f"{_PROXY} proxy_timeout_dl"),
    PlannedFormat(name="terraform", keys=f"{_PROXY} proxy_timeout_dl", env="NORA_TF_"),
    PlannedFormat(
        name="rpm", keys="enabled max_file_size proxies proxy_timeout metadata_ttl changelog_limit"
    ),
    PlannedFormat(name="deb", keys="enabled max_file_size proxies proxy_timeout metadata_ttl"),
)
