"""Lints the chart and validates what it makes, with several sets of values, against Kubernetes' own schemas. Run by `make release-check`."""

import subprocess
import sys
import tempfile
from pathlib import Path

import kubernetes_validate
import yaml

CHART = Path(__file__).resolve().parent / "pgq-host"
HELM = Path(sys.executable).parent / "helm"
# Image volumes are fields since 1.31.
VERSIONS = ["1.33", "1.36"]
# Resources that are not Kubernetes' own.
FOREIGN = {"ScaledObject", "TriggerAuthentication", "PodMonitor"}
GOOD = [
    {"plugins": {"image": "registry.example.com/plugins:1"}},
    {"plugins": {"configMap": "plugins"}, "replicas": 1, "image": {"pullSecrets": ["a", "b"]}, "config": '[plugins.a]\nhttp = ["https://a"]\n'},
    {"plugins": {"baked": True}, "autoscaling": {"enabled": True, "table": '"Jobs".pgqueuer'}, "podMonitor": {"enabled": True}, "migrate": {"enabled": False}},
    {
        "plugins": {"baked": True},
        "env": {"PGQUEUER_PREFIX": "x_", "PGQ_HOST_MAX_CONCURRENT_TASKS": 50},
        "tolerations": [{"key": "jobs", "operator": "Exists"}],
        "nodeSelector": {"pool": "jobs"},
        "podLabels": {"team": "orders"},
        "priorityClassName": "batch",
    },
]
# What is wrong, and a word that the message has.
BAD = [
    ({}, "no plugins"),
    ({"plugins": {"image": "a", "configMap": "b"}}, "both set"),
    ({"plugins": {"baked": True}, "plugin": 1}, "plugin"),
    ({"plugins": {"baked": True}, "drainTimeout": "25s"}, "drainTimeout"),
    ({"plugins": {"baked": True}, "database": {"secret": "Not A Name"}}, "database"),
]


def helm(verb: list[str], values: dict) -> subprocess.CompletedProcess[str]:
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(values, file)
        file.flush()
        return subprocess.run([HELM, *verb, CHART, "--values", file.name], capture_output=True, text=True)


def main() -> None:
    for values in GOOD:
        linted = helm(["lint", "--strict", "--quiet"], values)
        if linted.returncode:
            sys.exit(f"{values}: {linted.stdout}{linted.stderr}")
        made = helm(["template", "jobs"], values)
        if made.returncode:
            sys.exit(f"{values}: {made.stderr}")
        for resource in yaml.safe_load_all(made.stdout):
            if resource["kind"] in FOREIGN:
                continue
            for version in VERSIONS:
                kubernetes_validate.validate(resource, version, strict=True)
    for values, word in BAD:
        refused = helm(["template", "jobs"], values)
        if not refused.returncode or word not in refused.stderr:
            sys.exit(f"{values} should be refused with a word of {word!r}: {refused.stderr}")
    print(f"the chart is valid with {len(GOOD)} sets of values, and refuses {len(BAD)}")


if __name__ == "__main__":
    main()
