"""Makes keys and certificates, and has unmodified esp_secure_cert_tool build partitions of them.

Every case is a folder with the inputs, the tool's partition and `case.json`, which says what the
inputs are. With arguments, files are given to the tool's parser instead.
"""

import contextlib
import datetime
import io
import itertools
import json
import os
import pathlib
import runpy
import sys

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

TOOL = os.path.join(os.path.dirname(sys.executable), "configure_esp_secure_cert.py")
PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
PKCS8 = serialization.PrivateFormat.PKCS8
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL


def run(folder, arguments):
    """Runs the tool in a folder, to its end."""
    os.chdir(folder)
    sys.argv = [TOOL, *arguments]
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            runpy.run_path(TOOL, run_name="__main__")
    except SystemExit as end:
        if end.code:
            sys.exit(f"{arguments}: {end.code}\n{said.getvalue()}")


def certificate(key, name):
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2024, 1, 1)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(start)
    builder = builder.not_valid_after(start + datetime.timedelta(days=9000))
    return builder.sign(key, hashes.SHA256())


class Cases:
    def __init__(self, root):
        self.root = pathlib.Path(root)
        self.number = 0

    def add(self, key, key_form, cert_form, ca=None, extra=(), csv=None, **facts):
        """Writes a case's inputs and lets the tool build it."""
        folder = self.root / f"{self.number:03}"
        self.number += 1
        folder.mkdir()
        arguments = ["--skip_flash", *extra]
        if key is not None:
            encoding, form = key_form
            plain = serialization.NoEncryption()
            (folder / "key").write_bytes(key.private_bytes(encoding, form, plain))
            made = certificate(key, f"unit {self.number}")
            (folder / "device").write_bytes(made.public_bytes(cert_form))
            arguments += ["--private-key", "key", "--device-cert", "device"]
        if ca is not None:
            made, form = ca
            (folder / "ca").write_bytes(made.public_bytes(form))
            arguments += ["--ca-cert", "ca"]
        if csv is not None:
            (folder / "entries.csv").write_text(csv)
            arguments += ["--esp_secure_cert_csv", "entries.csv"]
        for name, content in facts.pop("files", {}).items():
            (folder / name).write_bytes(content)
        (folder / "case.json").write_text(json.dumps(facts))
        run(folder, arguments)


def peripheral(chip, algorithm, size, block):
    return ["--target_chip", chip, "--configure_ds", "--priv_key_algo", algorithm, str(size),
            "--efuse_key_id", str(block)]


def main(root):
    cases = Cases(root)
    keys = {size: rsa.generate_private_key(65537, size) for size in (1024, 2048, 3072, 4096)}
    curves = {192: ec.SECP192R1(), 256: ec.SECP256R1(), 384: ec.SECP384R1()}
    curves = {size: ec.generate_private_key(curve) for size, curve in curves.items()}
    authority = certificate(curves[384], "authority")
    forms = list(itertools.product((PEM, DER), (PKCS8, TRADITIONAL)))
    for key in (keys[1024], keys[2048], *curves.values()):
        for number, form in enumerate(forms):
            ca = (None, (authority, PEM), (authority, DER))[number % 3]
            cases.add(key, form, (PEM, DER)[number // 2], ca, kind="plain")
    for chip in ("esp32s2", "esp32s3", "esp32p4", "esp32c5", "esp32s31", "esp32c3", "esp32c6",
                 "esp32h2"):
        sizes = [1024, 2048, 3072, 4096]
        sizes = sizes if chip in ("esp32s2", "esp32c5") else sizes[1:2]
        for block, size in enumerate(sizes):
            extra = [*peripheral(chip, "RSA", size, block), "--efuse_key_file", "hmac"]
            cases.add(keys[size], (PEM, PKCS8), PEM, (authority, DER), extra, kind="rsa",
                      chip=chip, block=block, files={"hmac": os.urandom(32)})
    for chip, size, block in (("esp32h2", 256, 0), ("esp32p4", 256, 5), ("esp32c5", 384, 1),
                              ("esp32c61", 192, 2), ("esp32s31", 256, 3)):
        cases.add(curves[size], (PEM, PKCS8), DER, (authority, PEM),
                  peripheral(chip, "ECDSA", size, block), kind="ecdsa", chip=chip, block=block)
    rows = "tlv_type,tlv_subtype,data_value,data_type,priv_key_type,algorithm,key_size,efuse_id," \
           "efuse_key\n"
    for number in (5, 7, 51, 52, 55, 201):
        for subtype in (0, 1, 16, 253):
            content = os.urandom(1 + subtype // 2)
            rows += f"{number},{subtype},{content.hex()},hex,,,,,\n"
    cases.add(None, None, None, csv=rows, kind="rows")
    for names in (["rsa"], ["p256"], ["p384"], ["p256", "p384", "rsa"]):
        signing = {"rsa": keys[3072], "p256": curves[256], "p384": curves[384]}
        files = {name: signing[name].private_bytes(PEM, PKCS8, serialization.NoEncryption())
                 for name in names}
        cases.add(curves[256], (PEM, PKCS8), PEM, None,
                  ["--secure-sign", "--signing-key-file", *names], kind="signed", signers=names,
                  files=files)


def parse(files):
    for number, file in enumerate(files):
        folder = pathlib.Path(file).parent / f"parsed{number}"
        folder.mkdir()
        run(folder, ["--parse_bin", file])


if __name__ == "__main__":
    if sys.argv[1] == "parse":
        parse(sys.argv[2:])
    else:
        main(sys.argv[1])
