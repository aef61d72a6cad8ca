"""The command line, and the only place that wires adapters, loops and the mind together."""
