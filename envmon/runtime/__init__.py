"""The loops: poll, watch, decide, journal, dispatch, supervise. Decisions are the core's, wires are the adapters'."""
