"""One polite, bounded HTTP GET: conditional, without redirects, within a deadline and a size.

Rules
  - A document that has not changed is not sent again: ETag and Last-Modified come back as If-None-Match and
    If-Modified-Since (RFC 9110, 13.1).
  - No redirect is followed and no proxy of the environment is used: the service is the one that was configured.
  - The size is bounded after decompression; the rest of a larger document is not read.
"""

import asyncio
from dataclasses import dataclass

import aiohttp

LARGEST = 4 << 20  # bytes; a state's alerts are a tenth of it
LONGEST_PAUSE_S = 3_600.0


class FetchError(Exception):
    """The document did not come; ``again_s`` is how long the service asked to be left alone."""

    def __init__(self, text: str, again_s: float = 0.0) -> None:
        super().__init__(text)
        self.again_s = again_s


@dataclass(frozen=True, slots=True)
class Page:
    """A document and what names its version."""

    body: bytes
    etag: str = ""
    modified: str = ""


async def fetch(session: aiohttp.ClientSession, url: str, before: Page | None, deadline_s: float) -> Page:
    """Get ``url``; ``before`` itself when it has not changed. Raises FetchError."""
    headers = {"If-None-Match": before.etag} if before and before.etag else {}
    headers |= {"If-Modified-Since": before.modified} if before and before.modified else {}
    try:
        async with (
            asyncio.timeout(deadline_s),
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            if response.status == 304 and before is not None:
                return before
            if response.status != 200:
                raise FetchError(_refusal(response.status), _pause_s(response.headers.get("Retry-After", "")))
            body = await _read(response)
            told = response.headers
            return Page(body, told.get("ETag", ""), told.get("Last-Modified", ""))
    except TimeoutError:
        raise FetchError(f"no whole answer in {deadline_s:g} s") from None
    except aiohttp.ClientConnectorCertificateError:
        raise FetchError("its certificate is not trusted") from None
    except aiohttp.ClientConnectorError as error:
        raise FetchError(f"no connection: {error.os_error.strerror or error.os_error}") from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise FetchError(f"the connection broke: {type(error).__name__}") from None


async def _read(response: aiohttp.ClientResponse) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > LARGEST:
            raise FetchError(f"the answer is larger than {LARGEST >> 20} MiB; ask for a smaller area")
        parts.append(part)
    return b"".join(parts)


def _refusal(status: int) -> str:
    if 300 <= status < 400:
        return f"it answered {status}: it wants another URL; configure that one"
    return f"it answered {status}"


def _pause_s(retry_after: str) -> float:
    """Seconds of a Retry-After header; its date form is not worth a clock."""
    plain = retry_after.strip()
    return min(float(plain), LONGEST_PAUSE_S) if plain.isascii() and plain.isdigit() and len(plain) < 9 else 0.0
