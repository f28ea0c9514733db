"""`DELETE` of a file, and of a directory with all that is in it.

For formats whose files belong to no package.
"""

from __future__ import annotations

from typing import Final

from blacksheep import Response

from nora.auth.authorizer import Authorizer
from nora.errors import BadRequest, NotFound, quoted
from nora.formats.base import Services
from nora.formats.directories import is_directory, paths_beneath, require_file
from nora.formats.replacing import ReplaceRules
from nora.http.conditions import conditions_of, etag_of
from nora.http.context import PathContext
from nora.http.fields import json_answer

DELETED_AT_ONCE: Final = 500


class Removal:
    """The endpoint. Where files are never replaced their paths are not used again."""

    def __init__(self, services: Services, authorizer: Authorizer, rules: ReplaceRules) -> None:
        self._authorizer = authorizer
        self._catalog = services.catalog
        self._rules = rules

    async def delete(self, context: PathContext) -> Response:
        """Remove a file, if its conditions hold, or a directory."""
        if is_directory(context.name):
            return await self._delete_all(context)
        path, target = require_file(context), context.writable
        context.audit("delete", path)
        there = await self._catalog.find_file(target.id, path, blocked=True)
        if there is None:
            raise NotFound(f"there is no file {quoted(path)}")
        conditions = conditions_of(context.scope["headers"])
        conditions.require_for_change(etag_of(there.blob.digest), there.created_at)
        count = await self._catalog.delete_files(
            target.id,
            [path],
            for_good=self._rules.never(target),
            expected=there.blob.digest if conditions.named else None,
        )
        if not count:
            raise NotFound(f"there is no file {quoted(path)}")
        return Response(204)

    async def _delete_all(self, context: PathContext) -> Response:
        """All files beneath a directory, if each of them may be removed."""
        directory, target, count = context.name, context.writable, 0
        context.audit("delete", directory)
        if conditions_of(context.scope["headers"]).named:
            raise BadRequest("conditions are of one file: delete it by itself")
        async for path in paths_beneath(self._catalog, target.id, directory):
            self._authorizer.require(context.principal, "delete", context.repository, path)
            count += 1
        if not count:
            raise NotFound(f"there is no directory {quoted(directory)}")
        for_good, paths = self._rules.never(target), []
        async for path in paths_beneath(self._catalog, target.id, directory):
            # Again: somebody else may have put it there meanwhile
            self._authorizer.require(context.principal, "delete", context.repository, path)
            paths.append(path)
            if len(paths) == DELETED_AT_ONCE:
                await self._catalog.delete_files(target.id, paths, for_good=for_good)
                paths = []
        await self._catalog.delete_files(target.id, paths, for_good=for_good)
        return json_answer({"path": directory, "deleted": count})
