"""`nora mirror`: a client of a running NORA that asks for all that a lock file names, so that it is kept.

Nothing is stored here: what NORA has already it answers at once, so that a run that was stopped is
continued by running it again.
"""

from __future__ import annotations

from nora.mirror.planning import Selection, plan
from nora.mirror.registry import NoraRegistry
from nora.mirror.runner import Lost, Report, Runner

__all__ = ["Lost", "NoraRegistry", "Report", "Runner", "Selection", "plan"]
