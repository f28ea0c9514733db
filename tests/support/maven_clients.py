"""Maven in several versions, each with a local repository and settings of its own, and projects for it.

The one of this machine is there; the others it gets from Maven Central, once, into a folder that tests share.
So do the plugins that every build needs: that folder is Maven Central to the builds of tests, whose requests
are then about what a test is about.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import run

MACHINE = dict(os.environ)
"""As Maven is configured here, before a test has made an environment of its own."""
INSTALL_SECONDS = 600.0
VERSIONS: Mapping[str, str] = {"maven": "", "maven3.9": "3.9.16", "maven4": "4.0.0-rc-4"}
"""By the names that tests give them. The first one is that of the machine."""
_GETTER = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:get"
_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Of a JVM that lives for seconds."""
GROUP = "com.acme"
PLUGINS = {
    "resources": "3.3.1",
    "compiler": "3.13.0",
    "surefire": "3.5.2",
    "jar": "3.4.2",
    "source": "3.3.1",
    "install": "3.1.3",
    "deploy": "3.1.3",
    "clean": "3.4.0",
}
_PLUGIN = (
    "<plugin><groupId>org.apache.maven.plugins</groupId><artifactId>maven-{}-plugin</artifactId>"
    "<version>{}</version></plugin>"
)
_SOURCES = (
    "<plugins><plugin><artifactId>maven-source-plugin</artifactId><executions><execution>"
    "<goals><goal>jar-no-fork</goal></goals></execution></executions></plugin></plugins>"
)
SETTINGS = """<settings>
<localRepository>{local}</localRepository>
<servers><server><id>nora</id><username>{user}</username><password>{password}</password></server></servers>
<mirrors><mirror><id>central-of-tests</id><mirrorOf>central</mirrorOf><url>{central}</url></mirror></mirrors>
<pluginGroups><pluginGroup>com.acme.plugins</pluginGroup></pluginGroups>
</settings>
"""


class NotInstalled(Exception):
    """The client could not be had."""


@dataclass(frozen=True, slots=True)
class Maven:
    """`maven("deploy", cwd=folder)` runs one with a local repository in its home."""

    program: Path
    home: Path
    central: str
    """Where everything is that no test is about."""
    user: str = "ci"
    password: str = "any"

    @property
    def local(self) -> Path:
        return self.home / "repository"

    @property
    def settings(self) -> Path:
        return self.home / "settings.xml"

    def configure(self, text: str = SETTINGS) -> None:
        """Write its settings."""
        self.home.mkdir(parents=True, exist_ok=True)
        for name in ("local", "user", "password", "central"):
            text = text.replace(f"{{{name}}}", str(getattr(self, name)))
        self.settings.write_text(text)

    def __call__(self, *words: str | Path, cwd: Path, fails: bool = False, timeout: float = 300.0) -> str:
        """Standard output, where Maven says everything."""
        if not self.settings.exists():
            self.configure()
        line = [self.program, "-B", "-ntp", "-s", self.settings, *words]
        return run(*line, cwd=cwd, env=environment(self.home), fails=fails, timeout=timeout)


def environment(home: Path) -> dict[str, str]:
    """In which Maven finds nothing of the machine's user."""
    return {
        "MAVEN_OPTS": f"{_OPTIONS} -Duser.home={home}",
        "MAVEN_SKIP_RC": "1",
        "MAVEN_ARGS": "",
        "NO_COLOR": "1",
    }


def install(cache: Path, name: str) -> Path:
    """The program of a client, below `cache` unless it is the machine's. Raises NotInstalled."""
    found = shutil.which("mvn", path=MACHINE["PATH"])
    if found is None or shutil.which("javac", path=MACHINE["PATH"]) is None:
        raise NotInstalled("mvn and a JDK are not here")
    version = VERSIONS[name]
    if not version:
        return Path(found)
    with _made_once(cache / f"apache-maven-{version}") as folder:
        if folder is not None:
            coordinates = f"org.apache.maven:apache-maven:{version}:tar.gz:bin"
            local = cache / "downloads"
            _get(
                found,
                _GETTER,
                f"-Dmaven.repo.local={local}",
                f"-Dartifact={coordinates}",
                "-Dtransitive=false",
            )
            (archive,) = local.glob(f"org/apache/maven/apache-maven/{version}/*-bin.tar.gz")
            run("tar", "-xzf", archive, "-C", cache)
    return cache / f"apache-maven-{version}" / "bin" / "mvn"


def central(cache: Path) -> Path:
    """A folder that is Maven Central to builds of tests. Raises NotInstalled."""
    programs = [install(cache, name) for name in VERSIONS]
    with _made_once(cache / "central") as folder:
        if folder is not None:
            project = write_modules(cache / "first", "first", "1.0", "http://localhost:9/")
            to = f"-DaltDeploymentRepository=any::default::file://{cache / 'deployed'}"
            for program in programs:
                _get(str(program), "-f", str(project), f"-Dmaven.repo.local={folder}", to, "deploy")
    return cache / "central"


def has_central(cache: Path) -> bool:
    """Whether `central` gets nothing any more."""
    return _mark(cache / "central").exists()


def _mark(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.made")


@contextmanager
def _made_once(folder: Path) -> Iterator[Path | None]:
    """A folder to be made; None once it is. Several processes may ask."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    mark = _mark(folder)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if mark.exists():
            yield None
        else:
            yield folder
            mark.touch()


def _get(*words: str) -> None:
    program, *rest = words
    line = [program, "-B", "-ntp", "-q", *rest]
    try:
        done = subprocess.run(
            line, env=MACHINE, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as late:
        raise NotInstalled(str(late)) from late
    if done.returncode:
        raise NotInstalled(done.stdout[-2000:] + done.stderr[-2000:])


# -- projects ----------------------------------------------------------------------------------------------


def write_pom(
    folder: Path,
    artifact: str,
    version: str,
    url: str,
    *,
    packaging: str = "jar",
    needs: str = "",
    more: str = "",
    build: str = "",
) -> Path:
    """Of a project whose plugins are those of `central`, and which has and gets all else at `url`; `needs` is
    what `dependencies` makes."""
    folder.mkdir(parents=True, exist_ok=True)
    plugins = "".join(_PLUGIN.format(*one) for one in PLUGINS.items())
    (folder / "pom.xml").write_text(f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>{GROUP}</groupId><artifactId>{artifact}</artifactId><version>{version}</version>
<packaging>{packaging}</packaging>
<properties>
<maven.compiler.release>11</maven.compiler.release><skipTests>true</skipTests>
<project.build.sourceEncoding>UTF-8</project.build.sourceEncoding>
</properties>
<distributionManagement>
<repository><id>nora</id><url>{url}</url></repository>
<snapshotRepository><id>nora</id><url>{url}</url></snapshotRepository>
</distributionManagement>
<repositories><repository><id>nora</id><url>{url}</url>
<snapshots><enabled>true</enabled><updatePolicy>always</updatePolicy></snapshots></repository></repositories>
{needs}
<build><pluginManagement><plugins>{plugins}</plugins></pluginManagement>{build}</build>
{more}
</project>
""")
    return folder


def write_modules(folder: Path, name: str, version: str, url: str, told: str = "hello") -> Path:
    """A parent, `<name>-base` with sources, and `<name>-app`, which needs it."""
    modules = "<modules><module>base</module><module>app</module></modules>"
    write_pom(folder, f"{name}-parent", version, url, packaging="pom", more=modules, build=_SOURCES)
    for module, needs in (("base", ()), ("app", (f"{name}-base:{version}",))):
        own = folder / module
        own.mkdir(exist_ok=True)
        (own / "pom.xml").write_text(f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<parent><groupId>{GROUP}</groupId><artifactId>{name}-parent</artifactId><version>{version}</version></parent>
<artifactId>{name}-{module}</artifactId>
{dependencies(*needs)}
</project>
""")
    write_class(folder / "base", "Base", f'public static String told() {{ return "{told}"; }}')
    write_class(folder / "app", "App", 'public static String told() { return "app of " + Base.told(); }')
    return folder


def write_user(folder: Path, url: str, *needs: str, source: str = "Base.told()") -> Path:
    """A program that prints what something it needs says."""
    write_pom(folder, "user", "1.0", url, needs=dependencies(*needs))
    main = f"public static void main(String[] words) {{ System.out.println({source}); }}"
    write_class(folder, "Main", main)
    return folder


def write_class(folder: Path, name: str, body: str, head: str = "") -> None:
    source = folder / "src" / "main" / "java" / "com" / "acme" / f"{name}.java"
    source.parent.mkdir(parents=True, exist_ok=True)
    source.write_text(f"package com.acme;\n{head}\npublic class {name} {{ {body} }}\n")


def dependencies(*needs: str) -> str:
    """Artifacts and versions of `GROUP`: `base:1.0`, `base:[1.0,2.0)`."""
    listed = (one.partition(":") for one in needs)
    found = "".join(
        f"<dependency><groupId>{GROUP}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version></dependency>"
        for artifact, _, version in listed
    )
    return f"<dependencies>{found}</dependencies>"
