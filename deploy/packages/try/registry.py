"""An npm registry of the packages in a folder, as npm reads one. Usage: registry.py FOLDER FILE-FOR-THE-PORT"""

import hashlib
import base64
import json
import sys
import tarfile
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import unquote

folder, port_file = Path(sys.argv[1]), Path(sys.argv[2])
packages: dict[str, dict] = {}
files: dict[str, bytes] = {}

for path in folder.glob("*.tgz"):
    with tarfile.open(path) as tar:
        manifest = json.load(tar.extractfile("package/package.json"))
    files[path.name] = path.read_bytes()
    packages[manifest["name"]] = {**manifest, "file": path.name}


class Registry(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        wanted = unquote(self.path).lstrip("/")
        if wanted in files:
            return self.answer(files[wanted], "application/octet-stream")
        manifest = packages.get(wanted)
        if manifest is None:
            return self.send_error(404)
        integrity = "sha512-" + base64.b64encode(hashlib.sha512(files[manifest["file"]]).digest()).decode()
        dist = {"tarball": f"http://127.0.0.1:{self.server.server_port}/{manifest['file']}", "integrity": integrity}
        version = manifest["version"]
        page = {"name": wanted, "dist-tags": {"latest": version}, "versions": {version: {**manifest, "dist": dist}}}
        self.answer(json.dumps(page).encode(), "application/json")

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


server = HTTPServer(("127.0.0.1", 0), Registry)
port_file.write_text(str(server.server_port))
server.serve_forever()
