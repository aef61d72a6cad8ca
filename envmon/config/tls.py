"""The TLS context of a client, made of the files a configuration names: for the broker and for probe calls.

Rules
  - The server is always verified: by ``ca``, or by the system's authorities where none is named.
  - Files are read when a connection is made, so that a renewed certificate needs no restart.
"""

import ssl
from pathlib import Path


class TlsSocket(ssl.SSLSocket):
    """A socket that is closed when its handshake fails; paho would leave that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        """As the library's. Raises OSError."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


def client_context(where: str, ca: Path | None, cert: Path | None, key: Path | None) -> ssl.SSLContext:
    """Make the context; ``where`` begins the text of an error. Raises OSError when a file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=ca)
    except OSError as error:
        raise OSError(f"{where}.ca: cannot use {ca}: {error}") from None
    context.sslsocket_class = TlsSocket
    if cert:
        try:
            context.load_cert_chain(cert, key)
        except OSError as error:
            raise OSError(f"{where}.cert: cannot use {cert}, {key}: {error}") from None
    return context
