"""Bridgehead: a mail router with SMTP connectors."""

__version__ = "0.1.0"
