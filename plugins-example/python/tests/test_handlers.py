import unittest

import handlers  # noqa: F401
from pgq.testing import response, run


class Webhook(unittest.TestCase):
    def deliver(self, answer):
        sent = []

        def http(*request):
            sent.append(request)
            return answer

        ended = run("py-webhook", json={"url": "https://x.example/a", "body": {"b": 1}}, headers={"idempotency-key": "k"}, http=http)
        return ended, sent

    def test_a_delivery_has_a_follow_up(self):
        ended, sent = self.deliver(response(200, "thanks"))
        self.assertEqual((ended.how, ended.json()), ("complete", {"status": 200, "body": "thanks"}))
        self.assertEqual(sent, [("POST", "https://x.example/a", {"idempotency-key": "k", "content-type": "application/json"}, b'{"b":1}')])
        self.assertEqual([one.entrypoint for one in ended.enqueued], ["py-receipt"])

    def test_a_receiver_in_trouble_gets_another_try_and_one_that_refuses_none(self):
        ended, _ = self.deliver(response(503, headers={"Retry-After": "120"}))
        self.assertEqual((ended.how, ended.after_ms, ended.enqueued), ("retry", 120_000, []))
        self.assertEqual(self.deliver(response(404, "who?"))[0].message, "the receiver answered 404: who?")


class Primes(unittest.TestCase):
    def test_primes_are_counted(self):
        for below, count in [(0, 0), (2, 0), (3, 1), (100, 25), (100_000, 9592)]:
            self.assertEqual(run("py-primes", json={"below": below}).json(), {"primes": count})
        self.assertEqual(run("py-primes", json={"below": -1}).how, "reject")
