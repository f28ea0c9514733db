"""`nora mirror`: let a running NORA fetch and keep everything that a lock file names."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import click
import orjson

from nora.addresses import Reach, reach_of_name
from nora.cli._progress import Counts, shown_counts
from nora.cli._remote import credentials, parse_url
from nora.errors import BadRequest, NoraError
from nora.formats import discover
from nora.formats.base import Format
from nora.formats.mirroring import MirrorTool
from nora.mirror import NoraRegistry, Report, Runner, Selection, plan
from nora.outbound import Outbound

URL = "http://localhost:4000"
CONCURRENCY = 8
INTERRUPTED = 130
"""As shells say that Ctrl-C has ended a program."""
ARCHIVES = {
    "export": "Write what was fetched here to one archive: -o site.tar",
    "import": "Put it into the caches of another NORA: -i site.tar",
}
"""Commands beside those of the tools; they work on a store, as a backup does."""
_file = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """The NORA that is asked, and how."""

    registry: str = URL
    repository: str | None = None
    token: str | None = None
    token_file: str | None = None
    ca_cert: Path | None = None
    concurrency: int = CONCURRENCY
    as_json: bool = False

    def headers(self) -> Mapping[str, str]:
        """Who asks. Raises BadRequest."""
        _, hosts = parse_url(self.registry, "--registry")
        if self.token:
            return {"authorization": f"Bearer {self.token}"}
        return credentials(hosts, self.token_file)


def _options() -> list[click.Option]:
    """Of all tools; they may stand before the name of the tool as well."""
    return [
        click.Option(
            ["--registry"], help=f"The running NORA, without the path of a format.  [default: {URL}]"
        ),
        click.Option(["--repository"], help="A named repository of it."),
        click.Option(["--token"], help="The token of who asks; others on this machine may see it."),
        click.Option(
            ["--token-file"], help="A file with the token; without one, as the netrc of the user says."
        ),
        click.Option(
            ["--ca-cert"], type=_file, help="PEM of an authority to trust beside those of the system."
        ),
        click.Option(
            ["--concurrency"],
            type=click.IntRange(1, 64),
            help=f"How many are asked for at a time.  [default: {CONCURRENCY}]",
        ),
        click.Option(
            ["--json", "as_json"], is_flag=True, default=None, help="Print what came of it as JSON."
        ),
    ]


def _tool_options(tool: MirrorTool) -> list[click.Option]:
    found = []
    if tool.read is not None:
        found.append(click.Option(["--lockfile", "lock_files"], type=_file, multiple=True, help=tool.needs))
    if tool.packages is not None:
        found += [
            click.Option(["--packages"], help="Names with commas between them, without what they depend on."),
            click.Option(["--all-versions"], is_flag=True, help="All versions of these, not the newest."),
        ]
    if tool.images is not None:
        found += [
            click.Option(["--images"], help="Images with commas between them: alpine:3.22,team/app@sha256:…"),
            click.Option(
                ["--images-file", "images_files"],
                type=_file,
                multiple=True,
                help="A file with an image a line.",
            ),
            click.Option(["--platforms"], help="Only these: linux/amd64,linux/arm64.  [default: all]"),
        ]
    return found


def _tools() -> dict[str, tuple[Format, MirrorTool]]:
    return {tool.name: (one, tool) for one in discover() for tool in one.mirror}


class Tools(click.Group):
    """One command for each tool that a format names."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*_tools(), *ARCHIVES])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in ARCHIVES:
            from nora.cli import _mirror_archive  # which needs what a client does not

            return cast("click.Command", getattr(_mirror_archive, f"{cmd_name}_command"))
        found = _tools().get(cmd_name)
        return None if found is None else _command(*found)


def _group(**where: Any) -> None:
    ctx = click.get_current_context()
    ctx.obj = {name: value for name, value in where.items() if value is not None}
    if ctx.invoked_subcommand is None:
        click.echo("What nora mirror takes, for each tool (nora mirror TOOL --help):\n")
        for name, (one, tool) in sorted(_tools().items()):
            click.echo(f"  {name:8} {one.title}: {tool.needs}")
        click.echo("\nAnd carries what has come to another site (nora mirror export --help):\n")
        for name, what in ARCHIVES.items():
            click.echo(f"  {name:8} {what}")


def _command(one: Format, tool: MirrorTool) -> click.Command:
    def run(**given: Any) -> None:
        ctx = click.get_current_context()
        names = {option.name for option in _options()}
        said = {name: given.pop(name) for name in names}
        where = Where(
            **{**(ctx.obj or {}), **{name: value for name, value in said.items() if value is not None}}
        )
        for name in ("packages", "images", "platforms"):
            if name in given:
                given[name] = [word.strip() for word in (given[name] or "").split(",") if word.strip()]
        try:
            _mirror(one, tool, where, Selection(**given))
        except NoraError as error:
            click.echo(str(error), err=True)
            sys.exit(1)

    return click.Command(
        tool.name,
        callback=run,
        help=f"{one.title}: {tool.needs}.\n\nEnds with 1 when anything is missing, and names it.",
        short_help=f"{one.title}: {tool.needs}",
        params=[*_tool_options(tool), *_options()],
    )


def _mirror(one: Format, tool: MirrorTool, where: Where, selection: Selection) -> None:
    wants = plan(tool, selection)
    told = Report()

    async def work() -> int:
        async with _registry(one, where) as registry:
            await registry.check()
            runner = Runner(registry, where.concurrency)
            nonlocal told
            told = runner.report

            def state() -> Counts:
                missing = len(told.missing)
                return Counts(told.wanted, told.done + missing, missing, registry.received)

            async with shown_counts(state, "mirroring"):
                await runner.run(wants)
            return registry.received

    try:
        received = asyncio.run(work())
    except KeyboardInterrupt:
        click.echo(
            f"stopped: {told.done} of {told.wanted} are there; the same command goes on from here", err=True
        )
        sys.exit(INTERRUPTED)
    _tell(tool, where, told, received)
    sys.exit(1 if told.missing else 0)


@asynccontextmanager
async def _registry(one: Format, where: Where) -> AsyncIterator[NoraRegistry]:
    url, (_, host) = parse_url(where.registry, "--registry")
    if where.repository and one.shares_mount:
        name = where.repository
        raise BadRequest(f"--repository is no option of {one.title}: it is part of names, {name}/team/app")
    prefix = f"/r/{where.repository}" if where.repository else ""
    is_here = reach_of_name(host) is Reach.ANYWHERE  # which no proxy knows
    outbound = Outbound(where.ca_cert, direct=(host,) if is_here else ())
    try:
        yield NoraRegistry(outbound, url, (one.mount, *one.also), where.headers(), prefix=prefix)
    finally:
        await outbound.close()


def _tell(tool: MirrorTool, where: Where, report: Report, received: int) -> None:
    if where.as_json:
        found = {"tool": tool.name, "registry": where.registry, "received_bytes": received, **asdict(report)}
        click.echo(orjson.dumps(found, option=orjson.OPT_INDENT_2))
        return
    for lost in report.missing:
        click.echo(f"missing: {lost.name}: {lost.reason}", err=True)
    click.echo(
        f"{report.done} of {report.wanted} are there, {len(report.missing)} missing; {received:,} bytes read"
    )


command = Tools(
    "mirror",
    callback=_group,
    invoke_without_command=True,
    params=list(_options()),
    help="Let a running NORA fetch and keep all that a lock file names.\n\n"
    "It is asked as the tool itself would ask, and what comes is compared with the hashes of the lock file. "
    "Run it again after an interruption: what is there already is answered at once. Without a tool, lists "
    "what can be mirrored.",
)
