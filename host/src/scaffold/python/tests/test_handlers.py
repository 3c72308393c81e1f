"""Handlers run here without a host, a database or a component."""

import unittest
from pathlib import Path

import handlers  # noqa: F401
from pgq.testing import run

PAYLOAD = Path(__file__).with_name("..") / "payload.json"


class Handlers(unittest.TestCase):
    def test_the_sample_payload_is_greeted(self):
        ended = run("{{name}}", PAYLOAD.read_bytes())
        self.assertEqual((ended.how, ended.output), ("complete", b"Hello, Ada!"))
        self.assertEqual(ended.logs[0].message, "greeting Ada")

    def test_a_payload_that_names_nobody_fails_for_good(self):
        self.assertEqual(run("{{name}}", json={"name": ""}).how, "reject")
        self.assertEqual(run("{{name}}", json={}).message, "the payload is not the JSON expected: the field 'name' is missing")
