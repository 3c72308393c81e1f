// Package pgqtest runs handlers under `go test`: without a host, a database or a component.
//
//	run := pgqtest.Run(pgqtest.Job{Entrypoint: "greet", Payload: `{"name": "Ada"}`})
//	if string(run.Output) != "Hello, Ada!" { … }
package pgqtest

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	pgq "github.com/pgq-host/pgq-host/sdk/go"
)

// Job to be run. What is zero is as for the first attempt.
type Job struct {
	Entrypoint string
	// Payload is []byte, string, or nil for SQL NULL.
	Payload              any
	Headers              map[string]string
	ID                   int64
	Attempt, MaxAttempts int
	Created              time.Time
	TimeLeft             time.Duration
	Directive            pgq.Directive
	// HTTP answers requests.
	HTTP func(pgq.HTTPRequest) (*pgq.HTTPResponse, error)
	// SQL answers statements: rows, or how many were touched. Savepoints come as SAVEPOINT, RELEASE and ROLLBACK.
	SQL func(statement string, parameters []any) (rows [][]any, touched int64, err error)
}

// Line of the log.
type Line struct {
	Level   pgq.Level
	Message string
	Fields  map[string]string
}

// Ended is how it ended, what it logged, and what the host would enqueue: nothing, unless it completed.
type Ended struct {
	pgq.Ended
	Logs     []Line
	Enqueued []pgq.Enqueued
}

// Run runs a job of this entrypoint as the host would. One that takes batches gets a batch of one.
func Run(job Job) Ended {
	recording := &recording{job: job}
	defer recording.answers()()
	return recording.ended(pgq.Run(recording.run()))
}

// RunBatch runs these jobs of one entrypoint in one call, as the host would. What the handler logs is the first one's, and
// the first one's HTTP and SQL answer.
func RunBatch(jobs []Job) []Ended {
	recordings, runs := make([]*recording, len(jobs)), make([]*pgq.Job, len(jobs))
	for n, job := range jobs {
		recordings[n] = &recording{job: job}
		runs[n] = recordings[n].run()
	}
	defer recordings[0].answers()()
	var all []Ended
	for n, ended := range pgq.RunBatch(runs) {
		all = append(all, recordings[n].ended(ended))
	}
	return all
}

// answers has this recording answer, until the function that it returns is called.
func (r *recording) answers() func() {
	before, logger := pgq.UseHost(r), slog.Default()
	slog.SetDefault(slog.New(pgq.LogHandler{}))
	return func() {
		pgq.UseHost(before)
		slog.SetDefault(logger)
	}
}

func (r *recording) run() *pgq.Job {
	job := r.job
	run := pgq.Job{ID: max(job.ID, 1), Entrypoint: job.Entrypoint, Attempt: max(job.Attempt, 1), MaxAttempts: job.MaxAttempts, Created: job.Created, Source: r}
	if run.MaxAttempts == 0 {
		run.MaxAttempts = 25
	}
	if run.Created.IsZero() {
		run.Created = time.UnixMilli(1767225600000)
	}
	return &run
}

func (r *recording) ended(by pgq.Ended) Ended {
	ended := Ended{Ended: by, Logs: r.logs}
	if ended.How == pgq.Completed {
		ended.Enqueued = r.enqueued
	}
	return ended
}

type recording struct {
	job      Job
	logs     []Line
	enqueued []pgq.Enqueued
}

func (r *recording) Payload() ([]byte, bool) {
	switch payload := r.job.Payload.(type) {
	case []byte:
		return payload, true
	case string:
		return []byte(payload), true
	}
	return nil, false
}

func (r *recording) Header(name string) (string, bool) {
	value, is := r.job.Headers[name]
	return value, is
}

func (r *recording) Headers() map[string]string { return r.job.Headers }

func (r *recording) TimeLeft() time.Duration {
	if r.job.TimeLeft == 0 {
		return time.Minute
	}
	return r.job.TimeLeft
}

func (r *recording) Heartbeat() pgq.Directive { return r.job.Directive }

func (r *recording) Emit(level pgq.Level, message string, fields []pgq.Field) {
	named := map[string]string{}
	for _, field := range fields {
		named[field.Name] = field.Value
	}
	r.logs = append(r.logs, Line{level, message, named})
}

func (r *recording) Submit(request pgq.Enqueued) error {
	r.enqueued = append(r.enqueued, request)
	return nil
}

func (r *recording) Send(request pgq.HTTPRequest) (*pgq.HTTPResponse, error) {
	if r.job.HTTP == nil {
		panic(fmt.Sprintf("the handler sends a request, and the test has no HTTP that answers: %s %s", request.Method, request.URL))
	}
	return r.job.HTTP(request)
}

func (r *recording) answer(statement string, parameters []any) ([][]any, int64, error) {
	if r.job.SQL == nil {
		panic("the handler uses the database, and the test has no SQL that answers: " + statement)
	}
	return r.job.SQL(statement, parameters)
}

func (r *recording) Execute(statement string, parameters []pgq.Value) (int64, error) {
	_, touched, err := r.answer(statement, parameters)
	return touched, err
}

func (r *recording) Query(statement string, parameters []pgq.Value) (pgq.Cursor, error) {
	rows, _, err := r.answer(statement, parameters)
	return &cursor{rows}, err
}

func (r *recording) Savepoint() (pgq.SavepointHandle, error) {
	_, _, err := r.answer("SAVEPOINT", nil)
	return savepoint{r}, err
}

type savepoint struct{ of *recording }

func (s savepoint) Release() error {
	_, _, err := s.of.answer("RELEASE", nil)
	return err
}

func (s savepoint) RollBack() error {
	_, _, err := s.of.answer("ROLLBACK", nil)
	return err
}

type cursor struct{ rows [][]any }

func (c *cursor) Close() {}

func (c *cursor) Columns() []string { return nil }

func (c *cursor) Next(most int) ([][]pgq.Value, error) {
	if c == nil {
		return nil, errors.New("there is no cursor")
	}
	some := c.rows[:min(most, len(c.rows))]
	c.rows = c.rows[len(some):]
	return some, nil
}
