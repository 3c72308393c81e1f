"""What a binary is made of, as CycloneDX 1.6: the crates that are compiled in, from cargo, with their checksums, licences and who needs whom."""

import json
import subprocess
import tomllib
from pathlib import Path

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

ROOT = Path(__file__).resolve().parents[2]


def sbom(target: str, digest: str) -> str:
    """`digest`: the binary's SHA-256."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", target]
    metadata = json.loads(subprocess.check_output(command, cwd=ROOT))
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    checksums, linked = locked_checksums(), linked_crates(target)
    root = next(id for id, package in packages.items() if package["name"] == "pgq-host")
    components: dict[str, Component] = {}
    needs: dict[str, list[str]] = {}
    waiting = [root]
    while waiting:
        id = waiting.pop()
        if id in components:
            continue
        components[id] = component(packages[id], checksums)
        others = [(dep["pkg"], packages[dep["pkg"]]) for dep in nodes[id]["deps"] if any(kind["kind"] is None for kind in dep["dep_kinds"])]
        needs[id] = [other for other, package in others if (package["name"], package["version"]) in linked]
        waiting += needs[id]
    main = components.pop(root)
    main.type = ComponentType.APPLICATION
    main.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=digest))
    bom = Bom(components=components.values())
    bom.metadata.component = main
    everything = {**components, root: main}
    for id, wanted in needs.items():
        bom.register_dependency(everything[id], [everything[other] for other in wanted])
    document = json.loads(JsonV1Dot6(bom).output_as_string())
    # The same for the same binary.
    document.pop("serialNumber", None)
    document["metadata"].pop("timestamp", None)
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def linked_crates(target: str) -> set[tuple[str, str]]:
    """Names and versions. What is only needed to build or to test, or by other crates of the workspace, is not in the binary."""
    command = ["cargo", "tree", "--package", "pgq-host", "--edges", "normal", "--target", target, "--prefix", "none", "--locked", "--offline", "--no-dedupe"]
    lines = set(subprocess.check_output(command, cwd=ROOT, text=True).splitlines())
    words = [line.split() for line in lines if "(proc-macro)" not in line]
    return {(line[0], line[1].removeprefix("v")) for line in words if len(line) > 1}


def component(package: dict, checksums: dict[tuple[str, str], str]) -> Component:
    name, version = package["name"], package["version"]
    purl = PackageURL("cargo", name=name, version=version)
    licenses = [LicenseFactory().make_from_string(package["license"].replace("/", " OR "))] if package.get("license") else []
    checksum = checksums.get((name, version))
    hashes = [HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else []
    references = [ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(package["repository"]))] if package.get("repository") else []
    return Component(
        name=name,
        version=version,
        type=ComponentType.LIBRARY,
        bom_ref=str(purl),
        purl=purl,
        licenses=licenses,
        hashes=hashes,
        external_references=references,
        description=package.get("description"),
    )


def locked_checksums() -> dict[tuple[str, str], str]:
    with (ROOT / "Cargo.lock").open("rb") as file:
        return {(package["name"], package["version"]): package["checksum"] for package in tomllib.load(file)["package"] if "checksum" in package}
