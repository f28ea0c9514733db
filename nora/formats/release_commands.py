"""The same as nora.formats.releases, from the command line: `nora <format> yank`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping

from nora.formats.base import Command, CommandServices
from nora.formats.releases import Mark, ReleaseRules, Releases
from nora.model import Repository

Words = Mapping[str, str]
Run = Callable[[CommandServices, Repository, Words], Awaitable[str]]


def release_commands(rules: ReleaseRules) -> tuple[Command, ...]:
    """Those that the rules ask for."""
    return tuple(_commands(rules))


def _commands(rules: ReleaseRules) -> Iterator[Command]:
    package = rules.package
    arguments = (package, "version")
    for mark in rules.marks:
        yield Command(
            name=mark.verb,
            help=mark.help,
            arguments=arguments,
            options={"reason": "Why; clients show it."},
            run=_marking(rules, mark),
        )
        yield Command(name=mark.undo, help=mark.undo_help, arguments=arguments, run=_unmarking(rules, mark))
    yield Command(
        name="delete",
        help=f"Remove VERSION of {package.upper()} for good: the names of its files are never used again.",
        arguments=arguments,
        options={"file": "Only this one of its files."},
        run=_deleting(rules),
    )
    if rules.statuses:
        yield Command(
            name="status",
            help=f"Make {package.upper()} {', '.join(rules.statuses)}, as STATUS says.",
            arguments=(package, "status"),
            options={"reason": "Why; clients show it."},
            run=_setting_status(rules),
        )


def _marking(rules: ReleaseRules, mark: Mark) -> Run:
    async def run(services: CommandServices, hosted: Repository, words: Words) -> str:
        package, version = rules.parse_package(words[rules.package]), words["version"]
        await Releases(services.catalog, rules).mark(hosted, package, version, mark, words.get("reason", ""))
        return f"{package} {version} is {mark.state}"

    return run


def _unmarking(rules: ReleaseRules, mark: Mark) -> Run:
    async def run(services: CommandServices, hosted: Repository, words: Words) -> str:
        package, version = rules.parse_package(words[rules.package]), words["version"]
        await Releases(services.catalog, rules).unmark(hosted, package, version)
        return f"{package} {version} is not {mark.state} any more"

    return run


def _deleting(rules: ReleaseRules) -> Run:
    async def run(services: CommandServices, hosted: Repository, words: Words) -> str:
        package, version = rules.parse_package(words[rules.package]), words["version"]
        releases = Releases(services.catalog, rules)
        count = await releases.delete(hosted, package, version, words.get("file", ""))
        return f"deleted for good: {count} of {package} {version}"

    return run


def _setting_status(rules: ReleaseRules) -> Run:
    async def run(services: CommandServices, hosted: Repository, words: Words) -> str:
        package, status = rules.parse_package(words[rules.package]), words["status"]
        await Releases(services.catalog, rules).set_status(hosted, package, status, words.get("reason", ""))
        return f"{package} is {status}"

    return run
