"""Manifests in the documentation: their fields exist, and what they refer to is there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

jsonschema = pytest.importorskip("jsonschema")
kubernetes_validate = pytest.importorskip("kubernetes_validate")

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
# The fields of PyTorchJob, kubeflow.org/v1, in Kubeflow's training operator.
COUNT = {"type": "integer", "minimum": 0}
REPLICAS = {
    "type": "object",
    "additionalProperties": False,
    "required": ["template"],
    "properties": {
        "replicas": COUNT,
        "restartPolicy": {"enum": ["Always", "OnFailure", "Never", "ExitCode"]},
        "template": {"type": "object", "required": ["spec"]},
    },
}
ELASTIC = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        **dict.fromkeys(("minReplicas", "maxReplicas", "maxRestarts", "nProcPerNode", "rdzvPort"), COUNT),
        "rdzvBackend": {"enum": ["c10d", "etcd", "etcd-v2"]},
        "rdzvHost": {"type": "string"},
        "rdzvId": {"type": "string"},
        "rdzvConf": {"type": "array"},
        "standalone": {"type": "boolean"},
        "metrics": {"type": "array"},
    },
}
PYTORCH_JOB = {
    "type": "object",
    "additionalProperties": False,
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "kubeflow.org/v1"},
        "kind": {"const": "PyTorchJob"},
        "metadata": {"type": "object", "required": ["name"]},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["pytorchReplicaSpecs"],
            "properties": {
                "elasticPolicy": ELASTIC,
                "nprocPerNode": {"type": "string"},
                "runPolicy": {"type": "object"},
                "pytorchReplicaSpecs": {
                    "type": "object",
                    "additionalProperties": False,
                    "minProperties": 1,
                    "properties": {"Master": REPLICAS, "Worker": REPLICAS},
                },
            },
        },
    },
}


def manifests() -> list[dict[str, Any]]:
    blocks = re.findall(r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [loaded for block in blocks if isinstance(loaded := yaml.safe_load(block), dict) and "kind" in loaded]


def check(manifest: dict[str, Any]) -> None:
    """Holds a job against the schemas, and its mounts against its volumes."""
    jsonschema.validate(manifest, PYTORCH_JOB)
    for replicas in manifest["spec"]["pytorchReplicaSpecs"].values():
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": replicas["template"]["spec"]}
        kubernetes_validate.validate(pod, kubernetes_validate.latest_version(), strict=True)
        volumes = {volume["name"] for volume in pod["spec"].get("volumes", ())}
        for container in pod["spec"]["containers"]:
            mounts = {mount["name"] for mount in container.get("volumeMounts", ())}
            assert mounts <= volumes, f"{container['name']} mounts {mounts - volumes}, which no volume is"


def test_the_job_for_kubernetes_is_one() -> None:
    (manifest,) = manifests()
    check(manifest)
    policy = manifest["spec"]["elasticPolicy"]
    assert (
        policy["minReplicas"] <= manifest["spec"]["pytorchReplicaSpecs"]["Worker"]["replicas"] <= policy["maxReplicas"]
    )


@pytest.mark.parametrize(
    ("path", "key", "value", "message"),
    [
        (("spec", "elasticPolicy"), "minReplica", 1, "'minReplica' was unexpected"),
        (("spec", "pytorchReplicaSpecs", "Worker"), "restartPolicy", "onFailure", "is not one of"),
        (("spec", "pytorchReplicaSpecs", "Worker", "template", "spec", "containers", 0), "comand", [], "'comand' was"),
        (("spec", "pytorchReplicaSpecs", "Worker", "template", "spec"), "volumes", [], "which no volume is"),
    ],
    ids=["policy", "value", "container", "volume"],
)
def test_a_wrong_field_is_reported(path: tuple[Any, ...], key: str, value: Any, message: str) -> None:
    (manifest,) = manifests()
    node: Any = manifest
    for step in path:
        node = node[step]
    node[key] = value
    with pytest.raises(Exception, match=message):
        check(manifest)
