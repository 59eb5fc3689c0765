"""Amounts in the sentences that commands print."""

_CENT = 0.01


def counted(count: int, noun: str) -> str:
    """Return a count and its noun, such as ``1 original`` and ``1,204 originals``.

    Parameters
    ----------
    count : int
    noun : str
        Singular, of a noun whose plural only adds an ``s``.
    """
    return f"{count:,} {noun if count == 1 else f'{noun}s'}"


def in_dollars(estimate: float) -> str:
    """Return an estimated price, such as ``about $14.63``. Nobody decides by fractions of a cent."""
    return f"about ${estimate:,.2f}" if estimate >= _CENT else f"less than ${_CENT}"
