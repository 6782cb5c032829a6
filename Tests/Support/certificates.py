"""Certificates for tests, made by openssl."""

import subprocess


class Authority:
    """A certificate authority in a directory, and what it signs."""

    def __init__(self, directory, name):
        self.directory = directory
        self.name = name
        self.certificate = directory / f"{name}.crt"
        self.key = directory / f"{name}.key"
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                     "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.certificate)

    def openssl(self, *arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=30)

    def sign(self, common_name, file, password=None, address=None):
        """Makes FILE.key, which `password` protects, and FILE.crt, which is valid for the name and the IP address."""
        key, request, certificate = (self.directory / f"{file}.{kind}" for kind in ("key", "csr", "crt"))
        protection = ["-passout", f"pass:{password}"] if password else ["-nodes"]
        names = f"DNS:{common_name}" + (f",IP:{address}" if address else "")
        self.openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", *protection, "-subj",
                     f"/CN={common_name}", "-addext", f"subjectAltName={names}", "-keyout", key, "-out", request)
        self.openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial",
                     "-days", "2", "-copy_extensions", "copy", "-out", certificate)
        key.chmod(0o600)
        return certificate, key
