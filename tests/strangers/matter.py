"""Runs esp-matter-mfg-tool once per line of a list, each time as a program of its own.

A line is a JSON object: `arguments` for the command line and, for a unit with certificates, `certify`: the
vendor and perhaps the product that the intermediate's certificate names, then vendor and product of the
device's; `declaration` if there is to be a `declaration.der`. Line N leaves in folder N what the tool made, `partition.bin` and `codes.csv`, and the certificates:
`dac.der`, `dac.key` and `pai.der`; or `refused` with the last line of what it said.
"""

import datetime
import glob
import json
import os
import shutil
import subprocess
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

VENDOR = x509.ObjectIdentifier("1.3.6.1.4.1.37244.2.1")
PRODUCT = x509.ObjectIdentifier("1.3.6.1.4.1.37244.2.2")
START = datetime.datetime(2024, 1, 1)
END = datetime.datetime(2090, 1, 1)


def name(common, vendor, product):
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common), x509.NameAttribute(VENDOR, f"{vendor:04X}")]
    if product is not None:
        attributes.append(x509.NameAttribute(PRODUCT, f"{product:04X}"))
    return x509.Name(attributes)


def certificate(subject, key, issuer, issuer_key, is_authority):
    """A certificate with what Matter wants of one."""
    built = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    built = built.serial_number(x509.random_serial_number()).not_valid_before(START).not_valid_after(END)
    path_length = 0 if is_authority else None
    usage = x509.KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )
    own = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    for extension, critical in [
        (x509.BasicConstraints(ca=is_authority, path_length=path_length), True),
        (usage, True),
        (own, False),
        (authority, False),
    ]:
        built = built.add_extension(extension, critical)
    return built.sign(issuer_key, hashes.SHA256())


def write(path, content):
    with open(path, "wb") as file:
        file.write(content)


def certify(folder, intermediate, unit):
    """Certificates for a unit; the command line arguments that name them."""
    root_key, pai_key, dac_key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(3))
    root = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test root")])
    pai_name = name("test intermediate", *intermediate)
    pai = certificate(pai_name, pai_key, root, root_key, True)
    dac = certificate(name("test unit", *unit), dac_key, pai_name, pai_key, False)
    for certificate_, stem in [(pai, "pai"), (dac, "dac")]:
        for encoding, ending in [(serialization.Encoding.PEM, "pem"), (serialization.Encoding.DER, "der")]:
            write(os.path.join(folder, f"{stem}.{ending}"), certificate_.public_bytes(encoding))
    private = dac_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write(os.path.join(folder, "dac.key"), private)
    return ["--pai", "--cert", "pai.pem", "--dac-cert", "dac.pem", "--dac-key", "dac.key"]


def play(folder, job):
    os.makedirs(folder)
    arguments = list(job["arguments"])
    if job.get("declaration"):
        write(os.path.join(folder, "declaration.der"), b"\x30\x82\x01\x00" + bytes(range(256)))
    if "certify" in job:
        intermediate, unit = job["certify"]
        arguments += certify(folder, (intermediate + [None])[:2], unit)
    tool = os.path.join(os.path.dirname(sys.executable), "esp-matter-mfg-tool")
    ran = subprocess.run(
        [tool, *arguments, "--outdir", "out"], cwd=folder, capture_output=True, encoding="utf8", stdin=subprocess.DEVNULL
    )
    made = glob.glob(os.path.join(folder, "out/*/*/*-partition.bin"))
    if ran.returncode or len(made) != 1:
        said = (ran.stdout + ran.stderr).strip().splitlines()[-1:]
        write(os.path.join(folder, "refused"), "".join(said).encode())
        return
    shutil.copy(made[0], os.path.join(folder, "partition.bin"))
    codes = glob.glob(os.path.join(folder, "out/*/*/*-onb_codes.csv"))
    shutil.copy(codes[0], os.path.join(folder, "codes.csv"))


bench, jobs = sys.argv[1:]
with open(jobs, encoding="utf8") as lines:
    for number, line in enumerate(lines):
        play(os.path.join(bench, str(number)), json.loads(line))
