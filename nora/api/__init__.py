"""The JSON API: what of a server is there for programs, beside the protocols of its formats.

Who may see or do what is decided as for the clients of a format and for the pages (`nora.ui.shelves`). An
endpoint says beside its handler what it takes and gives: the document at `/api-docs/openapi.json` is made of
that.
"""

from nora.api.routes import DOCS_MOUNT, MOUNT, build

__all__ = ["DOCS_MOUNT", "MOUNT", "build"]
