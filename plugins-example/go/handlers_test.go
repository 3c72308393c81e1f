package main

import (
	"errors"
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

func init() {
	pgq.Batch("go-test-batch", 10, pgq.Options{}, func(jobs []*pgq.Job) ([]any, error) {
		var results []any
		for _, job := range jobs {
			var text string
			switch job.Read(&text); text {
			case "short":
				return results, nil
			case "none":
				return nil, errors.New("the database is away")
			case "panic":
				panic("boom")
			case "odd":
				results = append(results, pgq.Reject("odd"))
			default:
				results = append(results, text+"!")
			}
		}
		return results, nil
	})
}

func TestABatchHasAResultForEachJob(t *testing.T) {
	batch := func(payloads ...string) []pgqtest.Ended {
		var jobs []pgqtest.Job
		for _, payload := range payloads {
			jobs = append(jobs, pgqtest.Job{Entrypoint: "go-test-batch", Payload: payload})
		}
		return pgqtest.RunBatch(jobs)
	}
	if all := batch("a", "odd", "b"); string(all[0].Output) != "a!" || all[1].How != pgq.Rejected || string(all[2].Output) != "b!" {
		t.Fatalf("%+v", all)
	}
	for last, message := range map[string]string{
		"short": `the handler of "go-test-batch" returned 1 results for 2 jobs`, "none": "the database is away", "panic": "boom",
	} {
		for _, run := range batch("a", last) {
			if run.How != pgq.Retried || run.Message != message {
				t.Errorf("%s: %+v", last, run)
			}
			if last == "panic" && (!strings.Contains(run.Traceback, "_test.go:") || strings.Contains(run.Traceback, "outcome.go")) {
				t.Errorf("not the handler's stack: %s", run.Traceback)
			}
		}
	}
	if run := pgqtest.Run(pgqtest.Job{Entrypoint: "go-test-batch", Payload: "a"}); string(run.Output) != "a!" {
		t.Fatalf("%+v", run)
	}
}
