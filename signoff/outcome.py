"""How a verdict ends a scenario: only *met* lets it pass."""


class Missed(AssertionError):
    """The system missed its criterion. Allure: failed."""


class Inconclusive(Exception):
    """Neither met nor missed is known. Allure: broken."""


class ProvedNothing(Exception):
    """A scenario passed without a measurement. Allure: broken."""
