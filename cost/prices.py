"""The table of prices, docs/prices.json: AWS's price of each unit, and the prices of similar services."""

import json
from dataclasses import dataclass
from pathlib import Path

PATH = Path(__file__).parents[1] / "docs" / "prices.json"


@dataclass(frozen=True, slots=True)
class Price:
    """One list price.

    Attributes
    ----------
    usd : float
        Dollars for one ``unit``.
    unit : str
    page : str
        The vendor's page with this price.
    confirmed : str
        Date of the newest copy of the page that has this price, such as ``2026-09-11``.
    how : str
        Which copy that is.
    """

    usd: float
    unit: str
    page: str
    confirmed: str
    how: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A service that does the same work.

    Attributes
    ----------
    name : str
    usd : float
        Dollars for one ``unit``.
    per_original, per_thumbnail : float
        Units that are billed for an original, and for each of its thumbnails.
    unit, page, confirmed, note : str
    """

    name: str
    usd: float
    per_original: float
    per_thumbnail: float
    unit: str
    page: str
    confirmed: str
    note: str

    def dollars(self, originals: float, thumbnails: int) -> float:
        """Return the price of a number of originals with a number of thumbnails each."""
        return self.usd * originals * (self.per_original + thumbnails * self.per_thumbnail)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """All prices.

    Attributes
    ----------
    region : str
    looked_up : str
        Date.
    note : str
        How they were looked up; docs/cost.md contains it.
    prices : dict of str to Price
    peers : tuple of Peer
    """

    region: str
    looked_up: str
    note: str
    prices: dict[str, Price]
    peers: tuple[Peer, ...]


def read_prices(path: Path = PATH) -> PriceTable:
    """Read the table."""
    table = json.loads(path.read_text(encoding="utf-8"))
    return PriceTable(
        table["region"],
        table["looked_up"],
        table["note"],
        {name: Price(**price) for name, price in table["prices"].items()},
        tuple(Peer(**peer) for peer in table["peers"]),
    )
