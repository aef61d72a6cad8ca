"""Configuration: YAML text to frozen settings, with every fault named by file, line and column."""

from envmon.config.fault import ConfigError, Fault
from envmon.config.load import load

__all__ = ["ConfigError", "Fault", "load"]
