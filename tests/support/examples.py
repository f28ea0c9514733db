"""With how many inputs the properties of parsers are tried: with some, and in CI with thousands."""

from __future__ import annotations

import os

EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "50"))
