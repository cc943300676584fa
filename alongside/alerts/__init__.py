"""What the engine tells staff of by itself: causes found in the ledger, each told once to whoever wants to know."""

from alongside.alerts.causes import find_causes
from alongside.alerts.telling import Told, receivers_of, tell, trial

__all__ = ["Told", "find_causes", "receivers_of", "tell", "trial"]
