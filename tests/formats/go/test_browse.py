"""What people are shown of modules."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from nora.formats.browsing import Site
from nora.formats.go.browse import BROWSE, snippets
from tests.formats.go.wire import fetched, kept, published
from tests.support.go_modules import Module, ModuleProxy
from tests.support.in_process import application
from tests.support.upstream import Upstream

pytestmark = pytest.mark.anyio
MOD = """module corp.example/shown

go 1.22.3

require example.com/one v1.0.0
require (
	example.com/two/v2 v2.1.0
	example.com/other v0.1.0 // indirect
)

replace example.com/one => ../one
"""


async def page(http: httpx.AsyncClient, module: Module) -> str:
    answer = await http.get(f"/ui/packages/go/{module.path}", headers={"accept": "text/html"})
    assert answer.status_code == 200, answer.text
    return answer.text


async def test_the_page_of_a_module_has_its_hash_and_what_it_needs(
    upstream: Upstream, tmp_path: Path
) -> None:
    proxy = ModuleProxy()
    proxy.mount(upstream)
    cached = proxy.add(Module("example.com/cached", more={"go.mod": MOD.replace("corp", "x")}))
    hosted = Module("corp.example/shown", more={"go.mod": MOD})
    async with application(tmp_path, NORA_GO_PROXY=upstream.url) as http:
        await published(http, hosted)
        await kept(http, cached)
        for module in (hosted, cached):
            text = await page(http, module)
            h1 = (await fetched(http, module, "ziphash")).decode()
            assert h1 in text.replace("&#43;", "+").replace("&#47;", "/").replace("&#61;", "=")
        text = await page(http, hosted)
        assert "1.22.3" in text
        assert "example.com/one v1.0.0, example.com/two/v2 v2.1.0" in text
        assert "example.com/other" not in text
        assert "ziphash" not in text


def test_lines_to_paste_name_the_server() -> None:
    site = Site("https://nora.example.com/r/team", "/go/")
    assert BROWSE.snippets is not None
    texts = [one.text for one in snippets(site)]
    assert all("https://nora.example.com/r/team" in text for text in texts)
