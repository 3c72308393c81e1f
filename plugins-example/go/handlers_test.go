package main

import (
	"strings"
	"testing"
	"time"

	pgq "github.com/pgq-host/pgq-host/sdk/go"
	"github.com/pgq-host/pgq-host/sdk/go/pgqtest"
)

func deliver(status int, sent *pgq.HTTPRequest) pgqtest.Ended {
	return pgqtest.Run(pgqtest.Job{
		Entrypoint: "go-webhook",
		Payload:    `{"url": "https://x.example/a", "body": {"b": 1}}`,
		HTTP: func(request pgq.HTTPRequest) (*pgq.HTTPResponse, error) {
			*sent = request
			return &pgq.HTTPResponse{Status: status, Header: [][2]string{{"retry-after", "120"}}, Body: []byte("thanks")}, nil
		},
	})
}

func TestADeliveryHasAFollowUp(t *testing.T) {
	var sent pgq.HTTPRequest
	run := deliver(200, &sent)
	if run.How != pgq.Completed || string(run.Output) != `{"body":"thanks","status":200}` {
		t.Fatalf("%+v", run)
	}
	if string(sent.Body) != `{"b": 1}` || sent.Header[1][1] != "pgq-1-1767225600000" {
		t.Fatalf("%+v", sent)
	}
	if len(run.Enqueued) != 1 || string(run.Enqueued[0].Payload) != `{"job":1,"status":200}` {
		t.Fatalf("%+v", run.Enqueued)
	}
}

func TestAReceiverInTroubleGetsAnotherTryAndOneThatRefusesNone(t *testing.T) {
	var sent pgq.HTTPRequest
	if run := deliver(503, &sent); run.How != pgq.Retried || *run.After != 2*time.Minute || run.Enqueued != nil {
		t.Fatalf("%+v", run)
	}
	if run := deliver(404, &sent); run.How != pgq.Rejected || run.Message != "the receiver answered 404: thanks" {
		t.Fatalf("%+v", run)
	}
}

func TestPrimesAreCounted(t *testing.T) {
	for payload, output := range map[string]string{`{"below": 0}`: `{"primes":0}`, `{"below": 3}`: `{"primes":1}`, `{"below": 100000}`: `{"primes":9592}`} {
		if run := pgqtest.Run(pgqtest.Job{Entrypoint: "go-primes", Payload: payload}); string(run.Output) != output {
			t.Errorf("%s: %+v", payload, run)
		}
	}
	for _, payload := range []any{`{"below": -1}`, `{"below": "many"}`, "{", nil} {
		if run := pgqtest.Run(pgqtest.Job{Entrypoint: "go-primes", Payload: payload}); run.How != pgq.Rejected || !strings.Contains(run.Message, " ") {
			t.Errorf("%v: %+v", payload, run)
		}
	}
}
