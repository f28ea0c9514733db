"""Many clients that push images of mixed sizes in a loop, and remember what was acknowledged."""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass, field

from tests.faults.ledger import Ledger, sha256
from tests.faults.wire import SECONDS, Answer, Wire
from tests.support.oci import CONFIG, IMAGE, INDEX, LAYER, describe, render
from tests.support.oci import index as render_index
from tests.support.waiting import until

SIZES = (0, 1, 100, 4096, 10_000, 70_000, 300_000, 1_500_000)
WEIGHTS = (1, 1, 6, 6, 6, 4, 2, 1)
REPOSITORIES = 20


class Refused(AssertionError):
    """The registry answered what it should not have."""


@dataclass(slots=True)
class Pushes:
    """`clients` of them push until `stop`; after `pause` they wait for `resume` when they lose the server."""

    wire: Wire
    seed: int
    clients: int
    ways: tuple[str, ...] = ("whole", "put", "patch", "patches")
    ledger: Ledger = field(default_factory=Ledger)
    in_flight: int = 0
    problems: list[str] = field(default_factory=list)
    _up: asyncio.Event = field(default_factory=asyncio.Event)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _stopping: bool = False

    def start(self) -> None:
        self._up.set()
        self._tasks = [asyncio.create_task(self._client(number)) for number in range(self.clients)]  # noqa: TID251

    def pause(self) -> None:
        self._up.clear()

    def resume(self) -> None:
        self._up.set()

    async def quiet(self) -> None:
        """Wait until no request is in flight: after a pause."""
        await until(lambda: not self.in_flight, "the requests in flight to end", seconds=SECONDS)

    async def stop(self) -> None:
        """Let each client finish what it is doing."""
        self._stopping = True
        self._up.set()
        await asyncio.gather(*self._tasks)

    async def acknowledged(self, more: int, in_flight: int, seconds: float = SECONDS) -> None:
        """Wait until `more` pushes have been acknowledged from now on, with so many requests in flight."""
        goal = self.ledger.count + more

        def came() -> bool:
            if self.problems:
                raise Refused("\n".join(self.problems))
            return self.ledger.count >= goal and self.in_flight >= in_flight

        await until(
            came,
            f"{goal} pushes with {in_flight} requests in flight",
            seen=lambda: (self.ledger.count, self.in_flight),
            seconds=seconds,
        )

    async def _client(self, number: int) -> None:
        while not self._stopping:
            await self._up.wait()
            dice = random.Random(f"{self.seed}/{number}/{next(self._numbers)}")
            try:
                await self._image(dice, f"faults/{dice.randrange(REPOSITORIES)}")
            except (OSError, TimeoutError) as error:
                if isinstance(error, TimeoutError):
                    self.problems.append(f"no answer: {error!r}")
                await asyncio.sleep(0.05)
            except Refused as error:
                self.problems.append(str(error))

    async def _call(
        self, wanted: int, method: str, path: str, body: bytes = b"", content_type: str = ""
    ) -> Answer:
        if not self._up.is_set():
            raise ConnectionError("paused")
        self.in_flight += 1
        try:
            headers = {"content-type": content_type} if content_type else {}
            answer = await self.wire.call(method, path, body, headers)
        finally:
            self.in_flight -= 1
        if answer.status != wanted:
            raise Refused(f"{method} {path}: {answer}")
        return answer

    async def _image(self, dice: random.Random, repository: str) -> None:
        layers = [dice.randbytes(size) for size in dice.choices(SIZES, WEIGHTS, k=dice.randint(1, 3))]
        config = render({"architecture": "amd64", "os": "linux", "n": dice.random()})
        for blob in (config, *layers):
            await self._blob(dice, repository, blob)
        described = [describe(layer, LAYER) for layer in layers]
        manifest = render(
            {
                "schemaVersion": 2,
                "mediaType": IMAGE,
                "config": describe(config, CONFIG),
                "layers": described,
            }
        )
        tag = "latest" if dice.random() < 0.2 else f"t{next(self._numbers)}"
        await self._manifest(repository, tag, manifest, IMAGE)
        if dice.random() < 0.1:
            several = render_index([describe(manifest, IMAGE)])
            await self._manifest(repository, f"i{next(self._numbers)}", several, INDEX)
        if tag != "latest" and dice.random() < 0.1:
            move = self.ledger.begin(repository, tag, None)
            await self._call(202, "DELETE", f"/v2/{repository}/manifests/{tag}")
            self.ledger.end(move)

    async def _manifest(self, repository: str, tag: str, manifest: bytes, media_type: str) -> None:
        digest = sha256(manifest)
        move = self.ledger.begin(repository, tag, digest)
        await self._call(201, "PUT", f"/v2/{repository}/manifests/{tag}", manifest, media_type)
        self.ledger.end(move)
        self.ledger.manifests.add((repository, digest))

    async def _blob(self, dice: random.Random, repository: str, blob: bytes) -> None:
        digest, uploads = sha256(blob), f"/v2/{repository}/blobs/uploads/"
        way = dice.choice(self.ways)
        if way == "whole":
            await self._call(201, "POST", f"{uploads}?digest={digest}", blob)
        else:
            session = _location(await self._call(202, "POST", uploads))
            pieces = {
                "put": (),
                "patch": (blob,),
                "patches": (blob[: len(blob) // 2], blob[len(blob) // 2 :]),
            }
            sent, rest = list(pieces[way]), blob if way == "put" else b""
            if way == "patches" and dice.random() < 0.5:
                rest = sent.pop()
            for piece in sent:
                session = _location(await self._call(202, "PATCH", session, piece))
            joint = "&" if "?" in session else "?"
            await self._call(201, "PUT", f"{session}{joint}digest={digest}", rest)
        self.ledger.blobs.add((repository, digest))


def _location(answer: Answer) -> str:
    """Where a session goes on, as a path."""
    location = answer.headers["location"]
    return f"/{location.split('/', 3)[3]}" if "://" in location else location
