"""A shop: the actors that config/example.toml and config/production.toml supervise, and a job that goes shopping.

actorlab check config/example.toml
actorlab run config/example.toml
"""

from __future__ import annotations

from typing import Any

import actorlab as al


class Stock(al.Actor):
    """What is on the shelves."""

    def __init__(self, **amounts: int) -> None:
        self.amounts = amounts

    def take(self, what: str, n: int) -> int:
        """Take `n` of something off the shelf; return what is left."""
        if self.amounts.get(what, 0) < n:
            raise ValueError(f"{n} of {what} wanted, {self.amounts.get(what, 0)} there")
        self.amounts[what] -= n
        return self.amounts[what]


class Till(al.Actor):
    """Sells, and counts what it took in. What is not in stock is an answer, not a crash."""

    reply_errors = (ValueError,)

    def __init__(self, float_cents: int = 0) -> None:
        self.cents = float_cents

    def sell(self, what: str, n: int, price_cents: int) -> int:
        """Take the goods from the stock, wherever it lives, and return what the till holds."""
        self.node.whereis("stock").call.take(what, n)
        self.cents += n * price_cents
        return self.cents


class Session(al.Actor):
    """A customer's basket; sessions come and go below a dynamic supervisor."""

    def __init__(self, customer: str) -> None:
        self.customer = customer
        self.basket: list[str] = []

    def add(self, what: str) -> int:
        self.basket.append(what)
        return len(self.basket)


class Shelf(al.Actor):
    """One partition of the catalogue: prices by article."""

    def __init__(self, number: int = 0) -> None:
        self.number = number
        self.prices: dict[str, int] = {}

    def price(self, what: str) -> int | None:
        return self.prices.get(what)


def shopping(node: Any, options: dict[str, Any], report: Any) -> int:
    """The job: sell what `[job.options]` says and report what the till holds then."""
    till = node.whereis("till")
    held = 0
    for _ in range(options["customers"]):
        held = till.call.sell(options["article"], 1, options["price_cents"])
    report.result("till", {"cents": held}, f"the till holds {held / 100:.2f}")
    return 0
