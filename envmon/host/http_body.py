"""The body of an HTTP answer: read whole, or not at all.

Rules
  - A body that is longer than its reader allows is never cut: half a document is another document.
"""

import aiohttp


async def whole(response: aiohttp.ClientResponse, most: int) -> bytes | None:
    """Read a body of at most ``most`` bytes (decompressed); None when it is longer. Raises aiohttp.ClientError."""
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > most:
            return None
    return bytes(body)
