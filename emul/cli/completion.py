"""Completion in Bash of words with a colon, such as ring:interleaved.

Bash takes a colon for the end of a word: it asks for the part behind it, and puts the answer there.
"""

from __future__ import annotations

from click.shell_completion import BashComplete, CompletionItem, add_completion_class

__all__ = ["register"]

COLON = ":"


class BashWords(BashComplete):
    """Joins words that Bash has cut at colons, and answers with the part behind the last one."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one that is completed, and the beginning of that one."""
        args, incomplete = super().get_completion_args()
        words: list[str] = []
        for word in (*args, incomplete):
            if words and COLON in (word, words[-1][-1:]):
                words[-1] += word
            else:
                words.append(word)
        return words[:-1], words[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """Return the answer without the part before the last colon, which stands there already."""
        _, incomplete = self.get_completion_args()
        typed = incomplete[: incomplete.rfind(COLON) + 1]
        return f"{item.type},{str(item.value).removeprefix(typed)}"


def register() -> None:
    """Let Bash be answered by ``BashWords``."""
    add_completion_class(BashWords)
