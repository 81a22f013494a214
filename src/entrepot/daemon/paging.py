"""What a list says of the rows that it does not show."""

from entrepot.daemon.console import say


def note_rest(shown: int, *, skip: int, total: int) -> None:
    """On stderr, where the page is not the whole list."""
    if shown < total:
        say(f"{shown} of {total} shown, from the {skip + 1}. on; see --skip and --take.")
