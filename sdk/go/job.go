package pgq

import (
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"
)

// Directive is what the host asks of a running handler. See [Job.Heartbeat].
type Directive uint8

const (
	Proceed Directive = iota
	Cancelled
	ShuttingDown
	LeaseLost
)

// ShouldStop says whether the handler should return now.
func (d Directive) ShouldStop() bool { return d != Proceed }

// Source is where a job's data comes from: the host, or a test.
type Source interface {
	Payload() ([]byte, bool)
	Header(name string) (string, bool)
	Headers() map[string]string
	TimeLeft() time.Duration
	Heartbeat() Directive
}

// Job is the job that a handler runs, for the duration of that call.
type Job struct {
	// ID of the row in the queue, the same for every attempt.
	ID         int64
	Entrypoint string
	// Attempt is 1 for the first run. Snoozed and released runs do not count.
	Attempt     int
	MaxAttempts int
	Priority    int
	Created     time.Time
	Source      Source
}

// IsLastAttempt says whether a retry of this run would fail the job for good.
func (j *Job) IsLastAttempt() bool { return j.Attempt >= j.MaxAttempts }

// Payload has the bytes that the producer stored, and whether there are any. They are copied each time.
func (j *Job) Payload() ([]byte, bool) { return j.Source.Payload() }

// Header is one header. A string is its text, any other JSON value is JSON.
func (j *Job) Header(name string) (string, bool) { return j.Source.Header(name) }

// Headers are all of them.
func (j *Job) Headers() map[string]string { return j.Source.Headers() }

// IdempotencyKey is a key by which a receiver can recognize this job, however often it runs.
func (j *Job) IdempotencyKey() string {
	if key, _ := j.Header("idempotency-key"); key != "" {
		return key
	}
	return fmt.Sprintf("pgq-%d-%d", j.ID, j.Created.UnixMilli())
}

// TimeLeft is the wall time until the host interrupts this call.
func (j *Job) TimeLeft() time.Duration { return j.Source.TimeLeft() }

// Heartbeat asks whether to continue. It is cheap: a long handler asks now and then, and returns early when told to.
func (j *Job) Heartbeat() Directive { return j.Source.Heartbeat() }

// Read has the payload as an [Entrypoint]'s handler gets it: into a *[]byte as it is, a *string as UTF-8, and anything else
// as JSON. Its error rejects the job.
func (j *Job) Read(into any) error { return j.read(into) }

func (j *Job) read(into any) error {
	if _, none := into.(*None); none {
		return nil
	}
	payload, there := j.Payload()
	if !there {
		return Reject("the job has no payload")
	}
	switch into := into.(type) {
	case *[]byte:
		*into = payload
	case *string:
		if !utf8.Valid(payload) {
			return Reject("the payload is not UTF-8")
		}
		*into = string(payload)
	default:
		if err := json.Unmarshal(payload, into); err != nil {
			return Reject("the payload is not the JSON expected: " + err.Error())
		}
	}
	return nil
}
