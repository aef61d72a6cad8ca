"""Certificates for tests, made by openssl: an authority, a server's certificate and people's."""

import shutil
import subprocess
from pathlib import Path


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Path, name: str = "people") -> None:
        if shutil.which("openssl") is None:
            raise RuntimeError("openssl is missing: apt-get install openssl")
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.cert, self._key = folder / f"{name}-ca.pem", folder / f"{name}-ca.key"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", f"/CN={name} authority", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
            *("-keyout", self._key, "-out", self.cert),
        )

    def issue(self, name: str, says: str = "") -> tuple[Path, Path]:
        """A certificate for CN ``name`` and subject alternative names as openssl writes them; it and its key."""
        cert, key, request = (self.folder / f"{name}.{end}" for end in ("pem", "key", "csr"))
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={name}"),
            *("-keyout", key, "-out", request),
        )
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={says}\n" if says else "basicConstraints=CA:FALSE\n")
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", "2", "-extfile", extensions, "-out", cert),
        )
        return cert, key


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
