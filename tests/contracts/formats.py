"""What every format does alike, seen from the wire. tests/formats/test_contract.py runs it for each."""

from __future__ import annotations

import httpx

from nora.formats.samples import Sample, Step

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


class FormatContract:
    """Inherit it with the fixtures `http` (a client of a server) and `sample` (a format's sample)."""

    def test_publish_then_fetch_gives_the_same_bytes(self, http: httpx.Client, sample: Sample) -> None:
        for _ in range(2):  # the second time as a client that retries
            for step in sample.publish:
                ask(http, step)
            assert ask(http, sample.fetch).content == sample.fetched

    def test_head_is_get_without_the_body(self, http: httpx.Client, sample: Sample) -> None:
        self.test_publish_then_fetch_gives_the_same_bytes(http, sample)
        got, head = ask(http, sample.fetch), http.head(sample.fetch.path)
        assert head.status_code == got.status_code
        assert head.content == b""
        changing = {"x-request-id", "date"}
        assert {k: v for k, v in head.headers.items() if k not in changing} == {
            k: v for k, v in got.headers.items() if k not in changing
        }
        assert int(head.headers["content-length"]) == len(sample.fetched)

    def test_a_validator_saves_the_body(self, http: httpx.Client, sample: Sample) -> None:
        self.test_publish_then_fetch_gives_the_same_bytes(http, sample)
        etag = ask(http, sample.fetch).headers["etag"]
        again = http.get(sample.fetch.path, headers={"if-none-match": etag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)

    def test_errors_are_in_the_formats_dialect(self, http: httpx.Client, sample: Sample) -> None:
        for step in (sample.absent, sample.malformed, sample.refused):
            answer = ask(http, step)
            assert answer.headers["content-type"].partition(";")[0] == sample.error_type
            assert answer.content
        assert ask(http, sample.refused).headers["allow"]

    def test_every_answer_carries_the_security_headers_and_an_id(
        self, http: httpx.Client, sample: Sample
    ) -> None:
        for step in (*sample.publish, sample.fetch, sample.absent, sample.malformed, sample.refused):
            answer = ask(http, step, {"x-request-id": "from-the-client"})
            assert answer.headers.items() >= SECURITY_HEADERS.items()
            assert answer.headers["x-request-id"] == "from-the-client"
            assert "default-src 'self'" in answer.headers["content-security-policy"]

    def test_control_characters_in_a_path_are_refused(self, http: httpx.Client, sample: Sample) -> None:
        for bad in ("%00", "%0a", "%2500/%00"):
            assert http.get(sample.fetch.path + bad).status_code == 400


def ask(http: httpx.Client, step: Step, headers: dict[str, str] | None = None) -> httpx.Response:
    """Send a step and check its status; others may have played it before."""
    answer = http.request(
        step.method, step.path, headers={**dict(step.headers), **(headers or {})}, content=step.body
    )
    statuses = {step.status, step.again or step.status}
    assert answer.status_code in statuses, (step, answer.status_code, answer.text)
    return answer
