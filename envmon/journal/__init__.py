"""The journal: what was decided and done, hash-chained, on disk before it is acted on."""
