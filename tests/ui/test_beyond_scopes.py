"""Who is limited to some names does nothing to others, whatever a form or a document says."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from nora.catalog.records import File
from nora.formats.operations import Operations
from tests.support.in_process import add_token
from tests.ui.test_operations import fields
from tests.ui.test_rights import Place, filled, session, text_of

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    """A registry with something of everything."""
    folder = tmp_path_factory.mktemp("scopes")
    async with filled(folder) as http:
        yield Place(folder, http)


async def test_a_file_goes_from_a_page_only_where_its_sender_may_write(place: Place) -> None:
    http = place.http
    token = await add_token(place.folder, "write", "raw:docs/**:read,write", "pypi:mine:read,write")
    limited = await session(http, "ci", token)
    key = fields(await text_of(http, "/ui/upload/raw", limited))["key"]

    async def send(directory: str) -> httpx.Response:
        files = {"content": ("a.txt", b"mine", "text/plain")}
        data = {"key": key, "directory": directory}
        return await http.post("/ui/upload/raw", data=data, files=files, headers=limited)

    assert (await send("docs")).status_code == 303
    assert (await send("builds")).status_code == 403
    everything = {"authorization": f"Bearer {await add_token(place.folder, 'admin')}"}
    assert (await http.get("/raw/docs/a.txt", headers=everything)).status_code == 200
    assert (await http.get("/raw/builds/a.txt", headers=everything)).status_code == 404


async def test_parts_of_a_path_name_no_other_artifact(place: Place) -> None:
    """The right is that to `org.acme:nested`; the file is one of `org.acme.nested:lib`."""
    http = place.http
    everything = {"authorization": f"Bearer {await add_token(place.folder, 'admin')}"}
    path = "/maven2/org/acme/nested/lib/1.0/lib-1.0.jar"
    assert (await http.put(path, content=b"jar", headers=everything)).status_code == 201
    token = await add_token(place.folder, "write", "maven:org.acme:nested:read,write,delete")
    headers = {"authorization": f"Bearer {token}"}
    assert (await http.delete(path, headers=headers)).status_code == 403
    for version, file in (
        ("lib/1.0", "lib-1.0.jar"),
        ("", "lib/1.0/lib-1.0.jar"),
        ("lib/1.0", ""),
        ("lib", ""),
    ):
        said = {"repository": "maven", "operation": "delete", "package": "org.acme:nested"}
        said |= {name: text for name, text in (("version", version), ("file", file)) if text}
        answer = await http.post("/api/v1/operations", json=said, headers=headers)
        assert answer.status_code in (400, 403, 404), (version, file, answer.text)
    assert (await http.get(path, headers=everything)).status_code == 200


async def test_nothing_is_counted_for_who_may_not_delete_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory may have a million files."""
    http = place.http
    headers = {"authorization": f"Bearer {await add_token(place.folder, 'read')}"}
    counted: list[object] = []
    measure = Operations.measure

    async def noted(*asked: object) -> object:
        counted.append(asked)
        return await measure(*asked)  # type: ignore[arg-type]

    monkeypatch.setattr(Operations, "measure", noted)
    said = {"repository": "raw", "operation": "delete", "file": "builds/"}
    assert (await http.post("/api/v1/operations", json=said, headers=headers)).status_code == 403
    dry = {**said, "dry_run": True}
    assert (await http.post("/api/v1/operations", json=dry, headers=headers)).status_code == 404
    assert counted == []
    headers = {"authorization": f"Bearer {await add_token(place.folder, 'admin')}"}
    answer = await http.post("/api/v1/operations", json=dry, headers=headers)
    assert (answer.status_code, len(counted)) == (200, 1)
    assert answer.json()["extent"]["files"] > 0


async def test_a_file_that_is_over_is_on_no_page(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is removed some time later."""
    http = place.http
    everything = {"authorization": f"Bearer {await add_token(place.folder, 'admin')}"}
    answer = await http.put("/raw/passing/secret.txt?expires=7d", content=b"x", headers=everything)
    assert answer.status_code == 201
    admin = await session(http, "admin", "battery staple")
    assert "secret.txt" in await text_of(http, "/ui/files/raw/passing", admin)
    monkeypatch.setattr(File, "has_ended", lambda one, _: one.expires_at is not None)
    assert (await http.get("/raw/passing/secret.txt", headers=everything)).status_code == 404
    assert "secret.txt" not in (await http.get("/ui/files/raw/passing", headers=admin)).text


async def test_an_upload_keeps_no_crowd_of_fields(place: Place) -> None:
    """10,000 of 20 KiB were kept until the file came, whatever the key was."""
    http = place.http
    writer = await session(http, "ci", await add_token(place.folder, "write"))
    files = {"content": ("crowd.txt", b"x", "text/plain")}
    key = fields(await text_of(http, "/ui/upload/raw", writer))["key"]
    crowd = {f"field{number}": "x" for number in range(100)}
    answer = await http.post("/ui/upload/raw", data={**crowd, "key": key}, files=files, headers=writer)
    assert (answer.status_code, "fields that none of ours has" in answer.text) == (400, True)
