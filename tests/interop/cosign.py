"""Signs and verifies as cosign's documents say that it does, with the cryptography of OpenSSL: an implementation that shares nothing with
pgq-host's. Blobs: SPEC of `cosign sign-blob`, the base64 of an ECDSA signature in DER over SHA-256. Artifacts of registries: "Simple signing"
and the tag `sha256-DIGEST.sig` of cosign's SIGNATURE_SPEC.

    cosign.py key PREFIX                             PREFIX.key and PREFIX.pub
    cosign.py sign-blob KEY FILE                     prints the signature
    cosign.py sign-blob-bundle KEY FILE              prints it in a bundle of sigstore, as cosign 3 does by default
    cosign.py verify-blob PUB FILE SIGNATURES        one of these lines has to be one of the key
    cosign.py sign KEY REGISTRY NAME TAG             beside what is there
    cosign.py verify PUB REGISTRY NAME TAG           prints the signed payload
"""

import base64
import hashlib
import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
SIGNATURE = "dev.cosignproject.cosign/signature"


def key(prefix: str) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    Path(f"{prefix}.key").write_bytes(private.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    public = private.public_key().public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    Path(f"{prefix}.pub").write_bytes(public)


def signed(key_file: str, document: bytes) -> str:
    private = serialization.load_pem_private_key(Path(key_file).read_bytes(), None)
    return base64.b64encode(private.sign(document, ec.ECDSA(hashes.SHA256()))).decode()


def is_signed(key_file: str, document: bytes, signature: str) -> bool:
    public = serialization.load_pem_public_key(Path(key_file).read_bytes())
    try:
        public.verify(base64.b64decode(signature, validate=True), document, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def bundle(key_file: str, file: str) -> str:
    document = Path(file).read_bytes()
    public = serialization.load_pem_private_key(Path(key_file).read_bytes(), None).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    encoded = lambda raw: base64.b64encode(raw).decode()  # noqa: E731
    digest = {"algorithm": "SHA2_256", "digest": encoded(hashlib.sha256(document).digest())}
    return json.dumps({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": encoded(hashlib.sha256(der).digest())}},
        "messageSignature": {"messageDigest": digest, "signature": signed(key_file, document)},
    })


def verify_blob(key_file: str, file: str, signatures: str) -> None:
    document = Path(file).read_bytes()
    if not any(is_signed(key_file, document, line) for line in Path(signatures).read_text().split()):
        sys.exit("no signature is by this key")


class Repository:
    """A name in a registry without TLS or passwords."""

    def __init__(self, registry: str, name: str):
        self.registry, self.name = registry, name
        self.base = f"http://{registry}/v2/{name}"

    def ask(self, method: str, url: str, body: bytes | None = None, kind: str = "application/octet-stream"):
        request = urllib.request.Request(url, body, {"Accept": MANIFEST, "Content-Type": kind}, method=method)
        return urllib.request.urlopen(request)

    def manifest(self, tag: str) -> bytes | None:
        try:
            return self.ask("GET", f"{self.base}/manifests/{tag}").read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def blob(self, digest: str) -> bytes:
        return self.ask("GET", f"{self.base}/blobs/{digest}").read()

    def push(self, document: bytes) -> dict:
        digest = digest_of(document)
        place = self.ask("POST", f"{self.base}/blobs/uploads/", b"").headers["Location"]
        self.ask("PUT", f"{place}{'&' if '?' in place else '?'}digest={digest}", document)
        return {"digest": digest, "size": len(document)}


def digest_of(document: bytes) -> str:
    return "sha256:" + hashlib.sha256(document).hexdigest()


def sign(key_file: str, registry: str, name: str, tag: str) -> None:
    repository = Repository(registry, name)
    digest = digest_of(repository.manifest(tag))
    # Go's spelling: no blanks, and the fields in this order.
    critical = {
        "identity": {"docker-reference": f"{registry}/{name}"},
        "image": {"docker-manifest-digest": digest},
        "type": "cosign container image signature",
    }
    payload = json.dumps({"critical": critical, "optional": None}, separators=(",", ":")).encode()
    place = digest.replace(":", "-") + ".sig"
    before = repository.manifest(place)
    layers = json.loads(before)["layers"] if before else []
    annotations = {SIGNATURE: signed(key_file, payload)}
    layers.append({"mediaType": SIMPLE_SIGNING, **repository.push(payload), "annotations": annotations})
    config = {
        "architecture": "",
        "created": "0001-01-01T00:00:00Z",
        "history": [{"created": "0001-01-01T00:00:00Z"}],
        "os": "",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        "config": {},
    }
    pushed = repository.push(json.dumps(config, separators=(",", ":")).encode())
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **pushed},
        "layers": layers,
    }
    repository.ask("PUT", f"{repository.base}/manifests/{place}", json.dumps(manifest).encode(), MANIFEST)


def verify(key_file: str, registry: str, name: str, tag: str) -> None:
    repository = Repository(registry, name)
    digest = digest_of(repository.manifest(tag))
    holder = repository.manifest(digest.replace(":", "-") + ".sig")
    if holder is None:
        sys.exit("it is not signed")
    for layer in json.loads(holder)["layers"]:
        payload = repository.blob(layer["digest"])
        if layer["mediaType"] != SIMPLE_SIGNING or digest_of(payload) != layer["digest"]:
            sys.exit(f"a layer is not what it should be: {layer}")
        critical = json.loads(payload)["critical"]
        if critical["type"] != "cosign container image signature" or critical["image"]["docker-manifest-digest"] != digest:
            sys.exit(f"the payload is of something else: {payload!r}")
        if is_signed(key_file, payload, layer["annotations"][SIGNATURE]):
            print(payload.decode())
            return
    sys.exit("no signature is by this key")


def main() -> None:
    verb, *arguments = sys.argv[1:]
    match verb:
        case "key":
            key(*arguments)
        case "sign-blob":
            print(signed(arguments[0], Path(arguments[1]).read_bytes()))
        case "sign-blob-bundle":
            print(bundle(*arguments))
        case "verify-blob":
            verify_blob(*arguments)
        case "sign":
            sign(*arguments)
        case "verify":
            verify(*arguments)
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
