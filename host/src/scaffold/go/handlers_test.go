// Handlers run here without a host, a database or a component.
package main

import (
	"os"
	"testing"

	pgq "github.com/pgq-host/pgq-host/sdk/go"
	"github.com/pgq-host/pgq-host/sdk/go/pgqtest"
)

func TestTheSamplePayloadIsGreeted(t *testing.T) {
	payload, err := os.ReadFile("payload.json")
	if err != nil {
		t.Fatal(err)
	}
	run := pgqtest.Run(pgqtest.Job{Entrypoint: "{{name}}", Payload: payload})
	if run.How != pgq.Completed || string(run.Output) != "Hello, Ada!" || run.Logs[0].Message != "greeting Ada" {
		t.Fatalf("%v %q %+v", run.How, run.Output, run)
	}
}

func TestAPayloadThatNamesNobodyFailsForGood(t *testing.T) {
	if run := pgqtest.Run(pgqtest.Job{Entrypoint: "{{name}}", Payload: "{}"}); run.How != pgq.Rejected {
		t.Fatalf("%+v", run)
	}
}
