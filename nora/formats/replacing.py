"""Which files may get other bytes under their names."""

from __future__ import annotations

from nora.config import Config, overwrite_rules
from nora.config.sections import Overwrite
from nora.http.conditions import Conditions
from nora.model import Repository


class ReplaceRules:
    """The rules of the hosted repositories of a format."""

    def __init__(self, config: Config, format_name: str, default: Overwrite) -> None:
        """`default` is that of repositories for which nothing is said."""
        self._rules = overwrite_rules(config, format_name, default)

    def never(self, hosted: Repository) -> bool:
        """Whether no file is ever replaced, nor its path used again."""
        return self._rules[hosted.name] == "never"

    def always(self, hosted: Repository) -> bool:
        """Whether each upload takes the place of what is there."""
        return self._rules[hosted.name] == "always"

    def replaces(self, hosted: Repository, conditions: Conditions) -> bool:
        """Whether an upload with these conditions, which hold, takes the place of what is there."""
        rule = self._rules[hosted.name]
        return rule == "always" or (rule == "if-match" and conditions.get(b"if-match") is not None)
