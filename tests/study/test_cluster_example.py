"""The example for Ray's launcher is one that the launcher takes."""

import json
from pathlib import Path

import jsonschema
import ray
import yaml

import study

EXAMPLE = Path(study.__file__).with_name("cluster_example.yaml")


def test_the_launchers_schema_accepts_it():
    schema = json.loads((Path(ray.__file__).parent / "autoscaler" / "ray-schema.json").read_text())
    jsonschema.validate(yaml.safe_load(EXAMPLE.read_text()), schema)


def test_the_head_takes_no_trials_and_every_process_asks_for_the_token():
    example = yaml.safe_load(EXAMPLE.read_text())
    assert example["available_node_types"][example["head_node_type"]]["resources"] == {"CPU": 0}
    starts = [
        command
        for when in ("head_start_ray_commands", "worker_start_ray_commands")
        for command in example[when]
        if "ray start" in command
    ]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token" in command for command in starts)
