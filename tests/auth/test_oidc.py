"""Identity tokens against an issuer of the tests' own: which are good, and what happens when it is down."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import hmac
import json
import subprocess
import sys
import time
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nora.auth.jwks import REFETCH_SECONDS
from nora.auth.oidc import OidcVerifier, printable
from nora.auth.signed_tokens import MAX_TOKEN, parse_token
from nora.catalog.base import Catalog
from nora.config import OidcSettings
from nora.config.identity import PROVIDERS
from nora.errors import Denied, NoraError, Unauthenticated, UpstreamFailed, UpstreamUnavailable
from nora.model import Principal
from nora.outbound import Outbound
from tests.support.httpd import Answer, serving
from tests.support.issuer import Issuer, b64, make_key, running_issuer, signed
from tests.support.tables import each

T = TypeVar("T")
EVERYBODY = [{"pattern": "*", "role": "write"}]


class Clock:
    """Time that moves when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _no_proxy_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="module")
def shared() -> Iterator[Issuer]:
    """An issuer that the test does not change."""
    with running_issuer() as issuer:
        yield issuer


class Spent:
    """What the catalog remembers of tokens that were exchanged."""

    def __init__(self) -> None:
        self.until: dict[str, float] = {}

    async def spend(self, hashed: str, expires_at: float, now: float) -> bool:
        return self.until.setdefault(hashed, expires_at) is expires_at

    async def is_spent(self, hashed: str) -> bool:
        return hashed in self.until


def run(
    issuer: Issuer, work: Callable[[OidcVerifier, Clock], Awaitable[T]], cache: int = 3600, **changes: Any
) -> T:
    """Run with a verifier of one provider, `ci`."""
    table = {"name": "ci", "issuer": issuer.url, "audience": ["nora"], "role_rules": EVERYBODY, **changes}
    configured = OidcSettings(
        enabled=True,
        jwks_cache_secs=cache,
        providers=PROVIDERS.read([table]),  # type: ignore[arg-type]
    )

    async def body() -> T:
        outbound, clock = Outbound(), Clock()
        try:
            return await work(
                OidcVerifier(configured, outbound, cast("Catalog", Spent()), monotonic=clock), clock
            )
        finally:
            await outbound.close()

    return asyncio.run(body())


def verify(issuer: Issuer, token: str, **changes: Any) -> Principal:
    return run(issuer, lambda verifier, _: verifier.verify(token), **changes)


def refused(issuer: Issuer, token: str, **changes: Any) -> str:
    """The message of the refusal, which repeats nothing of the token."""
    with pytest.raises(Unauthenticated) as error:
        verify(issuer, token, **changes)
    text = str(error.value)
    assert not any(part in text for part in token.split(".") if len(part) > 8)
    return text


# -- tokens that are good ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kty", ["RSA", "EC"])
def test_a_good_token_is_a_principal(kty: Any) -> None:
    with running_issuer(kty) as issuer:
        principal = verify(issuer, issuer.token())
        assert principal == Principal("ci:repo:acme/app:ref:refs/heads/main", "oidc", "write", (), "oidc:ci")


def test_an_audience_may_be_one_of_a_list(shared: Issuer) -> None:
    assert verify(shared, shared.token(aud=["other", "nora"]))
    assert verify(shared, shared.token(aud="second"), audience=["first", "second"])


def test_the_keys_may_be_named_without_discovery(shared: Issuer) -> None:
    before = shared.asked("/.well-known/openid-configuration")
    assert verify(shared, shared.token(), jwks_uri=f"{shared.url}/jwks")
    assert shared.asked("/.well-known/openid-configuration") == before


def test_a_token_that_names_no_key_is_checked_with_the_only_one_that_fits(shared: Issuer) -> None:
    assert verify(shared, signed(shared.key, shared.claims(), {"alg": "RS256"}))
    with running_issuer() as issuer:
        issuer.keys.append(make_key("second", number=2))
        assert "does not have" in refused(issuer, signed(issuer.key, issuer.claims(), {"alg": "RS256"}))


def test_clocks_may_be_off_a_little(shared: Issuer) -> None:
    now = int(time.time())
    assert verify(shared, shared.token(iat=now + 30, nbf=now + 30, exp=now + 90))
    assert verify(shared, shared.token(iat=now - 90, nbf=None, exp=now - 30))


# -- tokens that are not ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"aud": "other"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"aud": []}, "another audience"),
        ({"aud": [["nora"], {"nora": 1}, None]}, "another audience"),
        ({"iss": "https://other.example.com"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"iss": ["x"]}, "issuer"),
        ({"exp": 1}, "expired"),
        ({"exp": None}, "when it expires"),
        ({"iat": None}, "when it was issued"),
        ({"iat": "1"}, "when it was issued"),
        ({"iat": True}, "when it was issued"),
        ({"exp": timedelta(seconds=901)}, "longer than"),
        ({"exp": 1e300}, "longer than"),
        ({"iat": timedelta(seconds=200)}, "not valid yet"),
        ({"nbf": timedelta(seconds=200)}, "not valid yet"),
        ({"nbf": "soon"}, "not valid yet"),
        ({"sub": None}, "no subject"),
        ({"sub": ""}, "no subject"),
        ({"sub": ["a"]}, "no subject"),
    ],
    ids=str,
)
def test_claims_that_are_wrong(shared: Issuer, changes: dict[str, Any], words: str) -> None:
    """A timedelta is a time from now."""
    now = int(time.time())
    later = {n: now + v.seconds for n, v in changes.items() if isinstance(v, timedelta)}
    assert words in refused(shared, shared.token(**{"iat": now, **changes, **later}))


def test_an_issuer_is_compared_exactly(shared: Issuer) -> None:
    for other in (f"{shared.url}/", shared.url.upper(), f" {shared.url}"):
        assert "issuer" in refused(shared, shared.token(iss=other))


def test_a_wrong_audience_says_what_to_ask_for(shared: Issuer) -> None:
    assert "nora" in refused(shared, shared.token(aud="other"))


def test_a_life_may_be_made_longer_by_configuration(shared: Issuer) -> None:
    token = shared.token(exp=int(time.time()) + 3000)
    assert "longer than the 900 s" in refused(shared, token)
    assert verify(shared, token, max_token_lifetime_secs="1h")


def hmac_token(claims: Any, secret: bytes, header: dict[str, Any]) -> str:
    data = f"{b64(json.dumps(header).encode())}.{b64(json.dumps(claims).encode())}"
    return f"{data}.{b64(hmac.digest(secret, data.encode(), hashlib.sha256))}"


def test_no_signature_and_shared_secrets_are_refused(shared: Issuer) -> None:
    claims, kid = shared.claims(), shared.key.kid
    for name in ("none", "None", "NONE", "nOnE"):
        data = f"{b64(json.dumps({'alg': name, 'kid': kid}).encode())}.{b64(json.dumps(claims).encode())}"
        assert "algorithms" in refused(shared, f"{data}.")
        assert "algorithms" in refused(shared, f"{data}.{b64(b'x')}")
    for secret in (b"", b"secret", json.dumps(shared.key.public()).encode()):  # the public key as a secret
        for name in ("HS256", "HS384", "HS512"):
            assert "algorithms" in refused(shared, hmac_token(claims, secret, {"alg": name, "kid": kid}))
        # an algorithm that is allowed does not make a signature of a secret good
        assert "signature" in refused(shared, hmac_token(claims, secret, {"alg": "RS256", "kid": kid}))


def test_a_key_is_not_used_for_another_algorithm(shared: Issuer) -> None:
    claims, kid = shared.claims(), shared.key.kid
    for name in ("ES256", "PS256", "RS512"):
        header = {"alg": name, "kid": kid}
        message = refused(shared, signed(shared.key, claims, header), algorithms=["RS256", name])
        assert "does not have" in message


@pytest.mark.parametrize("algorithms", [["ES256"], ["RS512"]])
def test_an_algorithm_that_is_not_configured_is_refused(shared: Issuer, algorithms: list[str]) -> None:
    assert "algorithms" in refused(shared, shared.token(), algorithms=algorithms)


def test_a_token_brings_no_key_along(shared: Issuer) -> None:
    own = make_key(shared.key.kid, number=9)
    for name in ("jwk", "jku", "x5u", "x5c"):
        value: Any = {"jwk": own.public(), "x5c": ["AAAA"]}.get(name, "https://attacker.example.com/keys")
        header = {"alg": "RS256", "kid": own.kid, name: value}
        assert refused(shared, signed(own, shared.claims(), header))


def test_extensions_that_must_be_understood_are_not(shared: Issuer) -> None:
    for extra in ({"crit": ["exp"]}, {"b64": False, "crit": ["b64"]}, {"b64": False}):
        header = {"alg": "RS256", "kid": shared.key.kid, **extra}
        assert "header" in refused(shared, signed(shared.key, shared.claims(), header))


def test_what_was_changed_after_signing_is_refused(shared: Issuer) -> None:
    header, claims, signature = shared.token().split(".")
    other = b64(json.dumps(shared.claims(sub="repo:acme/secrets")).encode())
    for token in (
        f"{header}.{other}.{signature}",
        f"{header}.{claims}.{b64(b'x' * 256)}",
        f"{header}.{claims}.",
        f"{header}.{claims}.!",
    ):
        assert "signature" in refused(shared, token)


def test_a_huge_token_is_refused_unread(shared: Issuer) -> None:
    assert "longer" in refused(shared, shared.token(more="x" * MAX_TOKEN))
    deep = b64(b'{"alg":"RS256","x":' + b"[" * 990 + b"]" * 990 + b"}")
    assert refused(shared, f"{deep}.{shared.token().split('.', 1)[1]}")


# -- rules ------------------------------------------------------------------------------------------------


def test_a_good_token_without_a_rule_is_denied(shared: Issuer) -> None:
    rules = [{"claims": {"repository": "acme/other"}, "role": "write"}]
    with pytest.raises(Denied):
        verify(shared, shared.token(), role_rules=rules)


def test_the_first_rule_that_holds_counts(shared: Issuer) -> None:
    rules = [
        {"claims": {"repository": "acme/app", "ref": "refs/tags/*"}, "role": "admin"},
        {"claims": {"repository": "acme/app"}, "role": "read"},
        {"pattern": "*", "role": "admin"},
    ]
    assert verify(shared, shared.token(), role_rules=rules).role == "read"
    assert verify(shared, shared.token(ref="refs/tags/v1"), role_rules=rules).role == "admin"


def test_a_subject_is_made_fit_for_logs(shared: Issuer) -> None:
    name = verify(shared, shared.token(sub="a\nERROR forged\x1b[31m\u202e" + "x" * 1000)).name
    assert name.isprintable()
    assert len(name) < 300
    assert name.startswith("ci:a")


# -- keys -------------------------------------------------------------------------------------------------


def test_keys_are_asked_for_once(shared: Issuer) -> None:
    async def work(verifier: OidcVerifier, clock: Clock) -> None:
        before = shared.asked("/jwks")
        await asyncio.gather(*(verifier.verify(shared.token()) for _ in range(20)))
        clock.now += 3599
        await verifier.verify(shared.token())
        assert shared.asked("/jwks") == before + 1
        clock.now += 2
        await verifier.verify(shared.token())
        assert shared.asked("/jwks") == before + 2

    run(shared, work)


@pytest.mark.parametrize("kty", ["RSA", "EC"])
def test_a_new_key_is_used_at_once_and_the_old_one_no_more(kty: Any) -> None:
    async def work(verifier: OidcVerifier, clock: Clock) -> None:
        old = issuer.token()
        await verifier.verify(old)
        issuer.rotate(kty)
        clock.now += REFETCH_SECONDS
        await verifier.verify(issuer.token())
        with pytest.raises(Unauthenticated, match="does not have"):
            await verifier.verify(old)

    with running_issuer() as issuer:
        run(issuer, work)


def test_unknown_keys_make_one_request_in_a_while() -> None:
    async def work(verifier: OidcVerifier, clock: Clock) -> None:
        await verifier.verify(issuer.token())
        clock.now += REFETCH_SECONDS
        forged = [signed(make_key(f"unknown-{n}", number=9), issuer.claims()) for n in range(20)]
        for token in forged:
            with pytest.raises(Unauthenticated, match="does not have"):
                await verifier.verify(token)
        assert issuer.asked("/jwks") == 2
        clock.now += REFETCH_SECONDS
        with pytest.raises(Unauthenticated):
            await verifier.verify(forged[0])
        assert issuer.asked("/jwks") == 3

    with running_issuer() as issuer:
        run(issuer, work)


def test_known_keys_stay_in_use_while_the_issuer_is_down() -> None:
    async def work(verifier: OidcVerifier, clock: Clock) -> None:
        await verifier.verify(issuer.token())
        issuer.down = True
        clock.now += 4000
        asked = len(issuer.server.asked) if issuer.server else 0
        for _ in range(5):
            assert (await verifier.verify(issuer.token())).name.startswith("ci:")
        assert issuer.server is not None
        assert len(issuer.server.asked) == asked + 1
        with pytest.raises(UpstreamUnavailable):  # whose key this is cannot be known now
            await verifier.verify(signed(make_key("new", number=9), issuer.claims()))
        issuer.down = False
        clock.now += REFETCH_SECONDS
        with pytest.raises(Unauthenticated):
            await verifier.verify(signed(make_key("new", number=9), issuer.claims()))

    with running_issuer() as issuer:
        run(issuer, work)


def test_an_issuer_that_never_answered_is_unavailable_and_no_refusal() -> None:
    async def work(verifier: OidcVerifier, clock: Clock) -> None:
        for _ in range(3):
            with pytest.raises(UpstreamUnavailable) as error:
                await verifier.verify(issuer.token())
            assert (error.value.status, error.value.retry_after) == (503, 10)
        assert issuer.server is not None
        assert len(issuer.server.asked) == 1
        issuer.down = False
        clock.now += REFETCH_SECONDS
        assert await verifier.verify(issuer.token())

    with running_issuer() as issuer:
        issuer.down = True
        run(issuer, work)


def test_who_waits_for_a_request_that_is_given_up_asks_again() -> None:
    async def work(verifier: OidcVerifier, clock: Clock) -> None:
        first = asyncio.ensure_future(verifier.verify(issuer.token()))
        second = asyncio.ensure_future(verifier.verify(issuer.token()))
        await asyncio.sleep(0)
        first.cancel()
        assert await second
        with contextlib.suppress(asyncio.CancelledError):
            await first

    with running_issuer() as issuer:
        run(issuer, work)


@each(
    "discovery",
    [
        {"issuer": "https://other.example.com"},
        {"jwks_uri": None},
        {"jwks_uri": 1},
        {"jwks_uri": "http://keys.example.com/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://["},
    ],
)
def test_a_discovery_document_that_is_wrong_is_not_followed(discovery: dict[str, Any]) -> None:
    with running_issuer() as issuer:
        issuer.discovery = discovery
        with pytest.raises(UpstreamUnavailable):
            verify(issuer, issuer.token())
        assert issuer.asked("/jwks") == 0


@each("body", [b"", b"[]", b"{", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [1, {}]}', b"x" * 600_000])
def test_a_key_set_that_is_none_is_a_failure_of_the_issuer(body: bytes) -> None:
    with running_issuer() as issuer:
        issuer.extra["/jwks"] = Answer(200, body)
        with pytest.raises(UpstreamUnavailable):
            verify(issuer, issuer.token())


def test_keys_that_are_no_signing_keys_are_left_out() -> None:
    with running_issuer() as issuer:
        good, kid = issuer.key.public(), issuer.key.kid
        small = make_key(kid, number=77, bits=1024).public()
        secret = {"kty": "oct", "k": b64(b"secret"), "kid": kid}
        broken: list[Any] = [
            {**good, "use": "enc"},
            {**good, "key_ops": ["sign"]},
            {**good, "key_ops": 1},
            {**good, "n": "!"},
            {**good, "n": 5},
            {**good, "kid": 5},
            {"kty": "EC", "crv": "P-256", "x": b64(bytes(32)), "y": b64(bytes(32)), "kid": kid},
            {"kty": "EC", "crv": "P-1", "x": "AA", "y": "AA", "kid": kid},
            {"kty": [], "kid": kid},
            small,
            secret,
            None,
            5,
        ]
        issuer.extra["/jwks"] = Answer(200, json.dumps({"keys": [*broken, good]}).encode())
        assert verify(issuer, issuer.token())
        issuer.extra["/jwks"] = Answer(200, json.dumps({"keys": broken}).encode())
        with pytest.raises(UpstreamFailed):
            verify(issuer, issuer.token())


def test_an_issuer_leads_nowhere_else_in_a_private_network() -> None:
    with serving(lambda asked: Answer(200, b'{"keys": []}')) as inside, running_issuer() as issuer:
        issuer.extra["/jwks"] = Answer(302, headers={"Location": f"{inside.url}/jwks"})
        with pytest.raises(UpstreamUnavailable, match="private network"):
            verify(issuer, issuer.token())
        issuer.extra.clear()
        issuer.discovery = {"jwks_uri": f"{inside.url}/jwks"}
        with pytest.raises(UpstreamUnavailable, match="private network"):
            verify(issuer, issuer.token())
        assert not inside.asked


# -- garbage ----------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
NAMES = st.sampled_from(["alg", "kid", "crit", "b64", "iss", "aud", "exp", "iat", "nbf", "sub", "typ", "x"])
OBJECTS = st.dictionaries(NAMES, JSON, max_size=6)


@given(
    st.text()
    | st.text(alphabet="eyJ.-_=abc0", max_size=60)
    | st.lists(st.binary(max_size=40).map(b64), max_size=4).map(".".join)
)
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        header, claims = parse_token(text)
    except Unauthenticated:
        return
    assert isinstance(header, dict)
    assert isinstance(claims, dict)


@given(st.text())
def test_what_is_shown_of_others_is_printable(text: str) -> None:
    assert printable(text).isprintable()


@pytest.mark.hypothesis
def test_any_header_and_claims_are_good_or_refused(shared: Issuer) -> None:
    """Signed by the issuer's own key, so that what is behind the signature is reached too."""

    async def work(verifier: OidcVerifier, _: Clock) -> None:
        await verifier.verify(shared.token())

        async def attempt(token: str) -> None:
            with contextlib.suppress(Unauthenticated):
                await verifier.verify(token)

        loop = asyncio.get_running_loop()

        @given(OBJECTS, OBJECTS, st.booleans(), st.booleans())
        def any_token(header: Any, claims: Any, known_header: bool, known_claims: bool) -> None:
            if known_header:
                header = {**header, "alg": "RS256", "kid": shared.key.kid}
            if known_claims:
                claims = {**shared.claims(), **claims, "iss": shared.url}
            try:
                data = f"{b64(orjson.dumps(header))}.{b64(orjson.dumps(claims))}"
            except TypeError:  # an integer beyond 64 bits, a lone surrogate
                return
            token = f"{data}.{b64(shared.key.sign(data.encode()))}"
            asyncio.run_coroutine_threadsafe(attempt(token), loop).result(30)

        await asyncio.to_thread(any_token)

    run(shared, work)


def test_what_is_refused_is_always_one_of_noras() -> None:
    assert issubclass(Unauthenticated, NoraError)


FIRST_TOKEN = """
import sys
from tests.auth.test_oidc import run
from tests.support.issuer import running_issuer

async def work(verifier, clock):
    verifier.prepare()
    before = {*sys.modules}
    await verifier.verify(token)
    print(*(one for one in {*sys.modules} - before if one.split(".")[0] in {"joserfc", "httpx", "httpcore"}))

with running_issuer() as issuer:
    token = issuer.token()
    run(issuer, work)
"""


def test_the_first_token_waits_for_no_library() -> None:
    """Loading them takes a quarter of a second, in which the event loop would answer nobody."""
    done = subprocess.run(
        [sys.executable, "-c", FIRST_TOKEN], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == []


# -- used once --------------------------------------------------------------------------------------------


def exchanges(issuer: Issuer, *tokens: str) -> list[bool]:
    """Which of the tokens, one after the other, something is given for."""

    async def work(verifier: OidcVerifier, _: Clock) -> list[bool]:
        found = []
        for token in tokens:
            try:
                await verifier.verify(token, exchange=True)
                found.append(True)
            except Unauthenticated:
                found.append(False)
            with pytest.raises(Unauthenticated):
                await verifier.verify(token)
        return found

    return run(issuer, work)


@pytest.mark.parametrize("kty", ["RSA", "EC"])
def test_a_token_is_exchanged_once(kty: Any) -> None:
    with running_issuer(kty) as issuer:
        named, other, nameless = issuer.token(jti="1"), issuer.token(jti="2"), issuer.token(jti=None)
        same_name = issuer.token(jti="1", ref="refs/heads/other")
        assert exchanges(issuer, named, named, same_name, other, other) == [True, False, False, True, False]
        assert exchanges(issuer, nameless, nameless, issuer.token(jti=None, nonce=1)) == [True, False, True]
        signature = nameless.rpartition(".")[2]
        other_text = [f"{nameless}=", nameless.replace(signature, signature + "A")]
        assert not any(exchanges(issuer, nameless, *other_text)[1:])


def test_another_signature_of_a_token_is_no_other_token() -> None:
    """(r, n - s) is as good as (r, s)."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    with running_issuer("EC") as issuer:
        token = issuer.token(jti=None)
        text, _, encoded = token.rpartition(".")
        signature = urlsafe_b64decode(encoded + "==")
        s = order - int.from_bytes(signature[32:], "big")
        twin = f"{text}.{b64(signature[:32] + s.to_bytes(32, 'big'))}"
        assert verify(issuer, twin)
        assert exchanges(issuer, token, twin) == [True, False]


def test_a_token_that_no_rule_is_for_is_not_spent(shared: Issuer) -> None:
    async def work(verifier: OidcVerifier, _: Clock) -> bool:
        with pytest.raises(Denied):
            await verifier.verify(shared.token(sub="other"), exchange=True)
        return bool(cast("Any", verifier)._catalog.until)

    assert run(shared, work, role_rules=[{"pattern": "mine", "role": "write"}]) is False
