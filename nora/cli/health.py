"""`nora health`: ask the server of this configuration whether it is alive, as container health checks do."""

from __future__ import annotations

import http.client
import os
import ssl
import sys
from pathlib import Path

import click

from nora.config import load
from nora.config.settings import ServerSettings
from nora.errors import StartError

SECONDS = 3
_EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be asked at the loopback, not bound


@click.command("health")
def command() -> None:
    """Ends with 0 when GET /health of the running server is 200, else with 1.

    It reads the same configuration as `nora serve` and goes through no proxy.
    """
    try:
        settings = load(os.environ, Path.cwd(), None).server
        status = ask(settings)
    except (StartError, OSError, http.client.HTTPException) as error:
        click.echo(f"not healthy: {error}", err=True)
        sys.exit(1)
    click.echo(f"/health: {status}")
    sys.exit(0 if status == http.client.OK else 1)


def ask(settings: ServerSettings) -> int:
    """The status of /health. Raises OSError or HTTPException when nobody answers within three seconds."""
    host = _EVERYWHERE.get(settings.host, settings.host)
    connection = (
        http.client.HTTPConnection(host, settings.port, timeout=SECONDS)
        if settings.tls_cert is None
        # The server is this one: whether others trust its certificate is no question of health.
        else http.client.HTTPSConnection(
            host,
            settings.port,
            timeout=SECONDS,
            context=ssl._create_unverified_context(),  # noqa: S323
        )
    )
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status
    finally:
        connection.close()
