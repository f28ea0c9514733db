"""The zip that `nora go publish` makes: the files that go would take, and the same bytes each time."""

from __future__ import annotations

import os
import subprocess
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from nora.cli import main
from nora.errors import BadRequest, InvalidName
from nora.formats.go.archive import check_module_zip
from nora.formats.go.names import ModulePath
from nora.formats.go.pack import Files, module_of, of_directory, of_revision, write_zip
from tests.support.answers import Answer
from tests.support.upstream import Upstream

LIB = ModulePath.of("corp.example/Lib")
TAKEN = {
    "go.mod": "module corp.example/Lib\n",
    "LICENSE": "free",
    "lib.go": "package lib\n",
    "internal/a/a.go": "package a\n",
    ".github/workflows/ci.yml": "on: push\n",
    "vendor/modules.txt": "# a\n",
    "testdata/go.mod.txt": "no module\n",
}
NOT_TAKEN = {
    "sub/go.mod": "module corp.example/Lib/sub\n",
    "sub/sub.go": "package sub\n",
    "sub/deep/x.go": "package deep\n",
    "vendor/other.example/x/x.go": "package x\n",
    "internal/vendor/other.example/x.go": "package x\n",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def git(folder: Path, *words: str) -> None:
    env = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null", "PATH": os.environ["PATH"]}
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *words], cwd=folder, env=env, check=True, capture_output=True)


def read(files: Files) -> dict[str, str]:
    found = {}
    for name, opened in files.items():
        with opened() as file:
            found[name] = file.read().decode()
    return found


def test_files_of_a_directory(tmp_path: Path) -> None:
    write(tmp_path, {**TAKEN, **NOT_TAKEN, ".git/config": "", "a/.svn/x": ""})
    (tmp_path / "link").symlink_to("lib.go")
    (tmp_path / "folder").symlink_to("internal")
    assert read(of_directory(tmp_path)) == TAKEN
    with pytest.raises(BadRequest, match="no directory"):
        of_directory(tmp_path / "lib.go")


def test_files_of_a_tag(tmp_path: Path) -> None:
    repository, scratch = tmp_path / "r", tmp_path / "s"
    scratch.mkdir()
    write(repository, {**TAKEN, **NOT_TAKEN})
    git(repository, "init")
    git(repository, "add", "--all", "--force")
    git(repository, "commit", "--message", "one")
    git(repository, "tag", "v1.0.0")
    write(repository, {"lib.go": "package changed\n", "later.go": "package lib\n"})
    with of_revision(repository, "v1.0.0", scratch) as files:
        assert read(files) == TAKEN
    with of_revision(repository / "sub", "v1.0.0", scratch) as files:
        assert read(files) == {
            "go.mod": NOT_TAKEN["sub/go.mod"],
            "sub.go": NOT_TAKEN["sub/sub.go"],
            "deep/x.go": NOT_TAKEN["sub/deep/x.go"],
            "LICENSE": "free",
        }
    for revision in ("v9.9.9", "--output=x", "-v"):
        with pytest.raises(BadRequest), of_revision(repository, revision, scratch):
            pass
    with pytest.raises(BadRequest), of_revision(tmp_path, "v1.0.0", scratch):
        pass


def test_a_zip_depends_on_its_files_alone(tmp_path: Path) -> None:
    write(tmp_path / "a", TAKEN)
    for number in range(2):
        write_zip(str(tmp_path / f"{number}.zip"), of_directory(tmp_path / "a"), LIB, "v1.0.0")
        os.utime(tmp_path / "a" / "lib.go", (number, number))
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()
    assert check_module_zip(str(tmp_path / "0.zip"), LIB, "v1.0.0", 1 << 20).h1.startswith("h1:")
    assert len(zipfile.ZipFile(tmp_path / "0.zip").namelist()) == len(TAKEN)


def test_the_module_is_what_go_mod_says(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no go"):
        module_of({})
    for text, error in (("module corp.example/Lib\n", None), ("module x\n", InvalidName), ("", InvalidName)):
        write(tmp_path, {"go.mod": text})
        if error is None:
            assert module_of(of_directory(tmp_path)) == LIB
        else:
            with pytest.raises(error):
                module_of(of_directory(tmp_path))


def test_the_command_sends_it(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "lib", TAKEN)
    monkeypatch.chdir(tmp_path / "lib")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ci password nra_x\n")
    (tmp_path / "token").write_text("nra_y\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    path = "/r/team/go/corp.example/%21lib/@v/v1.0.0-%21b.zip"
    upstream.serve(path, Answer(status=201), "PUT")
    words = ["go", "publish", "v1.0.0-B", "--url", f"{upstream.url}/", "--repository", "team"]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, done.output.split()[:2]) == (0, ["corp.example/Lib", "v1.0.0-B"]), done.output
    done = CliRunner().invoke(main, [*words, "--token-file", str(tmp_path / "token"), "--directory", "."])
    assert done.exit_code == 0
    asked = upstream.log.of("PUT", path)
    assert [one.headers["authorization"] for one in asked] == ["Basic Y2k6bnJhX3g=", "Bearer nra_y"]
    (tmp_path / "sent.zip").write_bytes(asked[0].body)
    assert check_module_zip(str(tmp_path / "sent.zip"), LIB, "v1.0.0-B", 1 << 20).h1 == done.output.split()[2]


def test_the_command_says_what_is_wrong(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, TAKEN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    (tmp_path / "bad").write_text("two words")
    upstream.serve("/go/corp.example/%21lib/@v/v1.0.0.zip", Answer(status=409, body=b"there already"), "PUT")
    upstream.serve("/go/corp.example/%21lib/@v/v1.0.1.zip", Answer(status=401), "PUT")
    here = ("--url", upstream.url)
    for words, said in (
        (("v1.0.0", *here), "409: there already"),
        (("v1.0.1", *here), "--token-file or a netrc"),
        (("v1.0.2", *here, "--repository", "none"), "a repository of this name"),
        (("v1.0.2", "--url", f"{upstream.url}/go/"), "without /go"),
        (("v1.0", *here), "is no version"),
        (("v2.0.0", *here), "from v2 on"),
        (("v1.0.0", "--directory", "nowhere", *here), "no directory"),
        (("v1.0.0", "--revision", "v1.0.0", *here), "git"),
        (("v1.0.0", "--url", "localhost:4000"), "--url"),
        (("v1.0.0", "--url", "http://a:b@localhost"), "--url"),
        (("v1.0.0", "--url", "http://127.0.0.1:1"), "--url says where"),
        (("v1.0.0", "--token-file", "nowhere", *here), "--token-file"),
        (("v1.0.0", "--token-file", "bad", *here), "--token-file"),
    ):
        done = CliRunner().invoke(main, ["go", "publish", *words])
        assert done.exit_code == 1, words
        assert said in done.stderr, (words, done.stderr)
