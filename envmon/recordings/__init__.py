"""Recordings: every input of the engine with what was decided on it, kept in bounded files and replayed from them."""
