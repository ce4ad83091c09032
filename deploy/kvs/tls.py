"""Certificates of the local service: an authority of its own, and one certificate for each region.

The authority is made once for a folder and trusted only where somebody put it: in simulated boards, in the private view
of an attached board. Its key never leaves the folder.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.kvs.names import DOMAIN, is_region, region_of

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

AUTHORITY_DAYS = 3_650
LEAF_DAYS = 365
_PARTS = ("kinesisvideo", "credentials.iot", "iot", "sts", "iam", "s3", "monitoring")
_MOST_REGIONS = 64


class Authority:
    """An authority in a folder: `ca.pem` for everybody, `ca.key` for its owner.

    Parameters
    ----------
    folder:
        Where it is, or is made.
    addresses:
        IP addresses and plain names under which the service is reached besides the names of AWS.
    """

    def __init__(self, folder: Path, addresses: tuple[str, ...] = ()) -> None:
        self.certificate = folder / "ca.pem"
        self._folder = folder
        self._key_file = folder / "ca.key"
        self._addresses = tuple(dict.fromkeys((*addresses, "localhost", "127.0.0.1")))
        if not (self.certificate.exists() and self._key_file.exists()):
            _make_authority(self.certificate, self._key_file)
        self._contexts: dict[str, ssl.SSLContext] = {}

    def context(self) -> ssl.SSLContext:
        """Return the context to listen with; it asks for a client's certificate, and lets one without go on.

        Whether a certificate is needed is the handler's to say: OpenSSL fixes the verify mode before the name is known.
        Nothing is verified against the machine's trust store.
        """
        base = self._context_for("")
        base.sni_callback = self._choose
        return base

    def issue(self, name: str, *, days: int = LEAF_DAYS) -> tuple[bytes, bytes]:
        """Make a client's certificate, as IoT gives out; returns certificate and key in PEM."""
        return _leaf(self._authority(), name, [], days=days, client=True)

    def _choose(self, link: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        region = region_of(name or "") or ""
        if region and is_region(region) and (region in self._contexts or len(self._contexts) < _MOST_REGIONS):
            link.context = self._context_for(region)

    def _context_for(self, region: str) -> ssl.SSLContext:
        if region not in self._contexts:
            names = list(self._addresses)
            for part in _PARTS if region else ():
                names += [f"{part}.{region}.{DOMAIN}", f"*.{part}.{region}.{DOMAIN}"]
            certificate, key = _leaf(self._authority(), names[0] if not region else names[-2], names, days=LEAF_DAYS)
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.minimum_version = ssl.TLSVersion.TLSv1_2
            # A name, so that OpenSSL can read it from a file that is gone again at once: its API takes no bytes.
            part_file = self._folder / f".leaf-{os.getpid()}-{region or 'local'}.pem"
            _write(part_file, certificate + key, 0o600)
            try:
                context.load_cert_chain(part_file)
            finally:
                part_file.unlink(missing_ok=True)
            context.load_verify_locations(self.certificate)
            context.verify_mode = ssl.CERT_OPTIONAL
            self._contexts[region] = context
        return self._contexts[region]

    def _authority(self) -> tuple[x509.Certificate, EllipticCurvePrivateKey]:
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        key = load_pem_private_key(self._key_file.read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)  # noqa: S101
        return x509.load_pem_x509_certificate(self.certificate.read_bytes()), key


def _write(file: Path, data: bytes, mode: int) -> None:
    from recipes.files import write_whole

    write_whole(file, data, mode=mode)


def certificate_end(data: bytes) -> dt.datetime:
    """Return when a certificate in DER ends; raises ValueError for what is none."""
    from cryptography import x509

    return x509.load_der_x509_certificate(data).not_valid_after_utc


def _name(text: str) -> x509.Name:
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Boardcast local service"),
            x509.NameAttribute(NameOID.COMMON_NAME, text[:64]),
        ]
    )


_BACKDATED = dt.timedelta(days=1)
"""A board's clock may be a little behind, and a certificate of the future is refused."""


def _builder(subject: str, days: int) -> x509.CertificateBuilder:
    from cryptography import x509

    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATED)
        .not_valid_after(now + dt.timedelta(days=days))
    )


def _make_authority(certificate: Path, key_file: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=True, crl_sign=True, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    made = (
        _builder("Boardcast local CA", AUTHORITY_DAYS)
        .issuer_name(_name("Boardcast local CA"))
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    _write(key_file, private, 0o600)
    _write(certificate, made.public_bytes(serialization.Encoding.PEM), 0o644)


def _leaf(
    authority: tuple[x509.Certificate, EllipticCurvePrivateKey],
    subject: str,
    names: list[str],
    *,
    days: int,
    client: bool = False,
) -> tuple[bytes, bytes]:
    """Make a certificate of the authority; returns it and its key in PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    issuer, issuer_key = authority
    key = ec.generate_private_key(ec.SECP256R1())
    purpose = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
    builder = (
        _builder(subject, days)
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM), private


def _general(name: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
