"""What cargo is told when it has to log in."""

from __future__ import annotations

from nora.auth.authorizer import Authorizer
from nora.errors import Denied, Unauthenticated
from nora.http.context import RequestContext
from nora.model import Principal


class CargoAuthorizer(Authorizer):
    """Adds where to get a token: cargo prints the address, and sends the token from then on (RFC 3139)."""

    def refusal(
        self, error: Unauthenticated | Denied, context: RequestContext, principal: Principal
    ) -> Unauthenticated | Denied:
        """See Authorizer."""
        if isinstance(error, Unauthenticated):
            return Unauthenticated(str(error), (f'Cargo login_url="{context.base_url}/cargo/me"',))
        return error
