"""The one way a wire codec says that bytes are not the protocol.

Rules
  - Decoding raises ``FrameError`` and nothing else, whatever the bytes are.
  - The text is one sentence: what was found, and what would have been right.
"""


class FrameError(ValueError):
    """Bytes that are not a valid frame of the protocol they came by."""
