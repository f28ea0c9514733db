from __future__ import annotations

from math import inf

import pytest

from nora.config import ProxiedSettings, ProxySettings
from nora.proxy import policy
from nora.proxy.base import Policy
from nora.proxy.policy import document_policy


def test_documents_are_fresh_for_five_minutes_and_stale_while_nobody_answers() -> None:
    expected = Policy(
        fresh=300,
        stale_while_revalidate=60,
        stale_if_error=inf,
        max_wait=policy.MAX_WAIT_SECONDS,
        absent=60,
    )
    assert document_policy(ProxySettings(), ProxiedSettings()) == expected


@pytest.mark.parametrize(("ttl", "swr"), [(0, 0), (10, 10), (inf, 60)])
def test_who_wants_to_ask_each_time_gets_no_older_copy(ttl: float, swr: float) -> None:
    found = document_policy(ProxySettings(), ProxiedSettings(metadata_ttl=ttl))
    assert (found.fresh, found.stale_while_revalidate) == (ttl, swr)


def test_who_wants_no_stale_copy_gets_none() -> None:
    found = document_policy(ProxySettings(stale_ttl=60), ProxiedSettings(serve_stale=False))
    assert (found.stale_while_revalidate, found.stale_if_error) == (0, 0)
    assert document_policy(ProxySettings(stale_ttl=60), ProxiedSettings()).stale_if_error == 60
    assert document_policy(ProxySettings(absent_ttl=5), ProxiedSettings()).absent == 5
