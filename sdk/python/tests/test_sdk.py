"""The SDK without a host. `PYTHONPATH=. python3 -m unittest discover tests`"""

import json
import logging
import sys
import unittest
import uuid
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Optional

import pgq
from pgq import _plugin, _values
from pgq.testing import response, run, run_batch


@dataclass
class Item:
    name: str
    price: float = 0.0


@dataclass
class Order:
    id: int
    items: list[Item]
    note: Optional[str] = None
    labels: dict[str, str] = field(default_factory=dict)


@pgq.entrypoint("pack", max_attempts=5, timeout=10)
def pack(job: pgq.Job, order: Order):
    if not order.items:
        raise pgq.Reject("nothing to pack")
    logging.getLogger("shop").info("packing %d", len(order.items), extra={"order": order.id})
    pgq.enqueue("ship", {"id": order.id}, priority=5, delay=1.5, dedupe_key="k", headers={"a": 1})
    if order.id == 13:
        raise KeyError("name")
    return order.items[0]


@pgq.entrypoint("any")
def anything(job, payload):
    return payload


@pgq.entrypoint("text")
def text(job: pgq.Job, payload: str):
    return payload.upper()


@pgq.entrypoint("maybe")
def maybe(job: pgq.Job, payload: Optional[bytes]):
    return b"none" if payload is None else payload


@pgq.entrypoint("ends")
def ends(job: pgq.Job):
    how = job.text
    if how == "snooze":
        return pgq.Snooze(timedelta(minutes=1))
    if how == "discard":
        raise pgq.Discard("not needed")
    if how == "retry":
        raise pgq.Retry("busy", after=0.0015)
    if how == "exit":
        sys.exit(3)
    if how == "chain":
        try:
            json.loads("{")
        except ValueError as error:
            raise RuntimeError("outer") from error
    if how == "set":
        return {1, 2}
    if how == "nan":
        return float("nan")
    return None


@pgq.batch("many", 100, timeout=5)
def many(jobs):
    return [pgq.Reject("odd") if job.id % 2 else job.text for job in jobs]


@pgq.entrypoint("accounts")
def accounts(job: pgq.Job):
    total = pgq.sql.query("SELECT sum(balance) FROM account").scalar()
    try:
        with pgq.sql.savepoint():
            pgq.sql.execute("INSERT INTO account VALUES ($1)", 7)
    except pgq.sql.Error as error:
        return [str(total), error.sqlstate]


@pgq.entrypoint("fetch")
def fetch(job: pgq.Job):
    answer = pgq.http.request("post", "https://x.example", json={"a": 1}, timeout=2)
    answer.raise_for_status()
    return answer.json()


class Payloads(unittest.TestCase):
    def test_a_dataclass_is_built_to_any_depth(self):
        ended = run("pack", json={"id": 1, "items": [{"name": "lamp", "price": 3}], "unknown": 1})
        self.assertEqual((ended.how, ended.json()), ("complete", {"name": "lamp", "price": 3.0}))

    def test_a_mistake_in_a_payload_is_final_and_says_where(self):
        for payload, words in [
            ({"id": 1}, "the field 'items' is missing"),
            ({"id": "x", "items": []}, 'id: expected a whole number, found "x"'),
            ({"id": True, "items": []}, "id: expected a whole number, found true"),
            ({"id": 1, "items": [{"name": "a"}, {"price": 1}]}, "items[1]: the field 'name' is missing"),
            ({"id": 1, "items": [], "labels": {"a": 2}}, "labels.a: expected text"),
            ([], "expected an object, found []"),
        ]:
            ended = run("pack", json=payload)
            self.assertEqual(ended.how, "reject")
            self.assertIn(words, ended.message)
        self.assertIn("not JSON", run("pack", b"{").message)
        self.assertIn("not UTF-8", run("text", b"\xff").message)
        self.assertEqual(run("text").message, "the job has no payload")

    def test_the_annotation_says_what_the_handler_gets(self):
        self.assertEqual(run("any", b'[1, "a"]').json(), [1, "a"])
        self.assertEqual(run("text", "grüße").output, "GRÜSSE".encode())
        self.assertEqual(run("maybe").output, b"none")
        self.assertEqual(run("maybe", b"\x00").output, b"\x00")


class Endings(unittest.TestCase):
    def test_each_ending_is_what_the_handler_said(self):
        self.assertEqual((run("ends", "snooze").how, run("ends", "snooze").after_ms), ("snooze", 60_000))
        self.assertEqual((run("ends", "discard").how, run("ends", "discard").message), ("discard", "not needed"))
        retry = run("ends", "retry")
        self.assertEqual((retry.how, retry.after_ms, retry.kind, retry.message, retry.traceback), ("retry", 2, "Retry", "busy", ""))
        self.assertEqual((run("ends", "").how, run("ends", "").output), ("complete", None))
        self.assertEqual(run("nobody").how, "reject")

    def test_an_exception_has_the_authors_traceback_and_no_frame_of_the_sdk_above_it(self):
        ended = run("pack", json={"id": 13, "items": [{"name": "a"}]})
        self.assertEqual((ended.how, ended.kind, ended.message, ended.enqueued), ("retry", "KeyError", "'name'", []))
        lines = ended.traceback.splitlines()
        self.assertEqual(lines[0], "Traceback (most recent call last):")
        self.assertIn("test_sdk.py", lines[1])
        self.assertIn("in pack", lines[1])
        self.assertNotIn("_run.py", ended.traceback)
        self.assertIn("JSONDecodeError", run("ends", "chain").traceback)
        self.assertEqual(run("ends", "exit").kind, "SystemExit")

    def test_what_has_no_form_in_json_is_final(self):
        for payload in ("set", "nan"):
            ended = run("ends", payload)
            self.assertEqual(ended.how, "reject")
            self.assertIn("the output cannot be represented as JSON", ended.message)

    def test_a_batch_has_a_result_for_each(self):
        odd, even = run_batch("many", ["a", b"b"])
        self.assertEqual((odd.how, even.how), ("reject", "complete"))
        self.assertEqual(run("many", "c", id=2).how, "complete")


class Calls(unittest.TestCase):
    def test_log_lines_and_follow_ups_are_recorded(self):
        ended = run("pack", json={"id": 1, "items": [{"name": "a"}]})
        self.assertEqual(vars(ended.logs[0]), {"level": "info", "message": "packing 1", "fields": {"logger": "shop", "order": "1"}})
        [ship] = ended.enqueued
        self.assertEqual(
            vars(ship),
            {"entrypoint": "ship", "payload": b'{"id":1}', "priority": 5, "delay_ms": 1500, "dedupe_key": "k", "headers": {"a": "1"}},
        )

    def test_the_database_is_answered_by_the_test(self):
        said = []

        def sql(statement, *parameters):
            said.append((statement, *parameters))
            if statement.startswith("INSERT"):
                raise pgq.sql.Error("duplicate key", sqlstate="23505")
            return [(Decimal("1.50"),)]

        self.assertEqual(run("accounts", sql=sql).json(), ["1.50", "23505"])
        self.assertEqual([one[0].split()[0] for one in said], ["SELECT", "SAVEPOINT", "INSERT", "ROLLBACK"])

    def test_requests_are_answered_by_the_test(self):
        def http(method, url, headers, body):
            self.assertEqual((method, url, headers, body), ("POST", "https://x.example", {"content-type": "application/json"}, b'{"a":1}'))
            return response(200, '{"b": 2}')

        self.assertEqual(run("fetch", http=http).json(), {"b": 2})
        ended = run("fetch", http=lambda *_: response(503, "down"))
        self.assertEqual((ended.kind, ended.message), ("pgq.http.StatusError", "the receiver answered 503: down"))

    def test_a_call_outside_of_a_run_says_so(self):
        with self.assertRaisesRegex(RuntimeError, "no job is running"):
            pgq.enqueue("ship")


class Values(unittest.TestCase):
    def test_values_come_back_as_they_went(self):
        for value in [
            None, True, 1, -(2**63), 1.5, Decimal("1.10"), "ä", b"\x00", uuid.UUID(int=5), date(2026, 1, 2), time(3, 4, 5, 6),
            datetime(1969, 12, 31, 23, 59, 59, 999999), datetime(2026, 1, 2, tzinfo=timezone.utc), timedelta(days=-1, seconds=5),
            _values.Interval(1, 2, 3), [1, None, 3], {"a": [1]},
        ]:
            self.assertEqual(_values.from_value(_values.to_value(value)), value)
        self.assertEqual(_values.to_value(2**70), ("numeric", str(2**70)))
        with self.assertRaises(TypeError):
            _values.to_value(object())
        with self.assertRaises(OverflowError):
            _values.from_value(("date", 2**31 - 1))


class Declarations(unittest.TestCase):
    def test_what_is_not_set_is_left_to_the_host_except_for_reuse(self):
        options = {one["name"]: one for text in _plugin.declarations() for one in json.loads(text).get("entrypoints", [])}
        self.assertEqual(options["pack"], {"name": "pack", "max-attempts": 5, "timeout-ms": 10_000, "reuse": 1000})
        self.assertEqual(options["many"], {"name": "many", "timeout-ms": 5000, "reuse": 1000, "batch": 100})

    def test_mistakes_are_told_where_they_are_made(self):
        with self.assertRaisesRegex(ValueError, "has two handlers"):
            pgq.entrypoint("pack")(pack)
        with self.assertRaisesRegex(TypeError, "plain function"):

            async def later(job):
                pass

            pgq.entrypoint("later")(later)
        with self.assertRaisesRegex(TypeError, "'tiemout' is no option"):
            pgq.batch("x", 5, tiemout=1)
        with self.assertRaisesRegex(ValueError, "no time"):
            pgq.entrypoint("x", timeout=-1)


if __name__ == "__main__":
    unittest.main()
