"""A certificate authority for tests, made by OpenSSL."""

from __future__ import annotations

import subprocess
from pathlib import Path


def _openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


class Authority:
    """A CA whose files lie in `folder`: ca.pem, and NAME.pem with NAME.key for each issued one."""

    def __init__(self, folder: Path, name: str = "ca") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.name = folder, name
        self._key = folder / f"{name}.key"
        self.pem = folder / f"{name}.pem"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-subj", f"/CN={name}", "-days", "2", "-keyout", str(self._key)),
            *("-addext", "keyUsage=critical,keyCertSign,cRLSign", "-out", str(self.pem)),
        )

    def issue(self, name: str, organization: str = "tests") -> tuple[Path, Path]:
        """Certificate and key for 127.0.0.1 as a server, and for a client called `name`."""
        pem, key, asked = (self.folder / f"{name}{end}" for end in (".pem", ".key", ".csr"))
        more = self.folder / f"{name}.ext"
        more.write_text(
            "subjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes\n"
            "extendedKeyUsage=serverAuth,clientAuth\n"
        )
        _openssl(
            *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-nodes", "-subj", f"/O={organization}/CN={name}"),
            *("-keyout", str(key), "-out", str(asked)),
        )
        _openssl(
            *("x509", "-req", "-in", str(asked), "-CA", str(self.pem), "-CAkey", str(self._key)),
            *("-CAcreateserial", "-days", "2", "-extfile", str(more), "-out", str(pem)),
        )
        return pem, key
