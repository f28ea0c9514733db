"""The web pages below `/ui/`: what a server has, how clients use it, how it is.

HTML from the server, complete without JavaScript. Links are relative, so that the pages work below any path
that is in front of them; nothing is asked of another host; no page has a script or a style of its own in it,
so that the policy of all answers (`nora.http.application.SECURITY_HEADERS`) holds here as well. jinja2 is
loaded with the first page that somebody opens.

A page shows what its visitor may read through the protocol of the format, by the same decision.
"""

from nora.ui.routes import MOUNT, build
from nora.ui.visit import render_error

__all__ = ["MOUNT", "build", "render_error"]
