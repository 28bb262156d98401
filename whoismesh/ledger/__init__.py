"""The coordinator's engine: the durable account of which addresses are settled, and who looks up the rest.

Pure: `Ledger.handle(event, now)` returns instructions. `coverage` says what is settled, `leases` where the rest is,
`budgets` who may ask when, `engine` ties them together.
"""

from whoismesh.ledger.budgets import Budget
from whoismesh.ledger.coverage import Coverage
from whoismesh.ledger.engine import Ledger

__all__ = ["Budget", "Coverage", "Ledger"]
