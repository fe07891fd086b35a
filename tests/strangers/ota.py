"""Takes updates from the station and receives them, with nothing but the standard library and cryptography.

`download URL [CA]`: as esp_https_ota does it in parts: HEAD for the length, then ranges until the end.
`verify PACKAGE PUBLIC`: the signature line of a package, checked over domain and manifest.
`certificate FOLDER`: a certificate for 127.0.0.1 that signs itself.
"""

import base64
import datetime
import hashlib
import http.client
import ipaddress
import json
import pathlib
import ssl
import sys
import tarfile
import urllib.parse

PART = 1000


def download(url, ca=None):
    place = urllib.parse.urlsplit(url)
    if place.scheme == "https":
        context = ssl.create_default_context(cafile=ca)
        connection = http.client.HTTPSConnection(place.netloc, timeout=20, context=context)
    else:
        connection = http.client.HTTPConnection(place.netloc, timeout=20)
    connection.request("HEAD", place.path)
    head = connection.getresponse()
    head.read()
    assert head.status == 200, head.status
    length, digest = int(head.getheader("Content-Length")), head.getheader("Repr-Digest")
    image = b""
    while len(image) < length:
        end = min(len(image) + PART, length) - 1
        connection.request("GET", place.path, headers={"Range": f"bytes={len(image)}-{end}"})
        part = connection.getresponse()
        assert part.status == 206, part.status
        assert part.getheader("Content-Range") == f"bytes {len(image)}-{end}/{length}"
        assert part.getheader("Repr-Digest") == digest
        image += part.read()
    sha256 = hashlib.sha256(image)
    assert digest == f"sha-256=:{base64.b64encode(sha256.digest()).decode()}:"
    print(json.dumps({"size": len(image), "sha256": sha256.hexdigest()}))


def verify(package, public):
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    key = load_pem_public_key(pathlib.Path(public).read_bytes())
    with tarfile.open(package) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}
    manifest = members["manifest.json"]
    algorithm, named, signature = members["signatures"].decode().split()
    assert algorithm == "ed25519" and named == key.public_bytes_raw().hex()
    key.verify(bytes.fromhex(signature), b"station ota manifest 1\0" + manifest)
    said = json.loads(manifest)
    assert said["sha256"] == hashlib.sha256(members["image.bin"]).hexdigest()
    print(json.dumps({"key": named, "size": said["size"], "sha256": said["sha256"]}))


def certificate(folder):
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = pathlib.Path(folder)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "station")])
    now = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "server.pem").write_bytes(made.public_bytes(pem))
    (folder / "server.key").write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    print("{}")


if __name__ == "__main__":
    {"download": download, "verify": verify, "certificate": certificate}[sys.argv[1]](*sys.argv[2:])
