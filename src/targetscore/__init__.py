"""Which surface antigen, alone or in a pair, would make a CAR for this disease."""

__version__ = "0.1.0"
