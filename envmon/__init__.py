"""envmon watches data center cooling and moves phone traffic to a backup site before the room is lost."""

__version__ = "0.1.0"
