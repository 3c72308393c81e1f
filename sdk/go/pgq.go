// Package pgq is for handlers of pgq-host's jobs in Go.
//
//	func init() {
//		pgq.Plugin("orders", "0.1.0", pgq.Needs{Enqueue: []string{"ship"}})
//		pgq.Entrypoint("pack", pgq.Options{MaxAttempts: 5, Timeout: 10 * time.Second}, pack)
//	}
//
//	type Order struct {
//		ID    int      `json:"id"`
//		Items []string `json:"items"`
//	}
//
//	func pack(job *pgq.Job, order Order) (any, error) {
//		if len(order.Items) == 0 {
//			return nil, pgq.Reject("an order without items cannot be packed")
//		}
//		slog.Info("packing", "order", order.ID, "attempt", job.Attempt)
//		err := pgq.Enqueue(pgq.Request{Entrypoint: "ship", Payload: order.ID, Priority: 5})
//		return map[string]int{"packed": len(order.Items)}, err
//	}
//
//	func main() {}
//
// What a handler returns is the job's output: nothing for nil, bytes and text as they are, anything else as JSON. An error
// or a panic is a retry, unless it is one of [Reject], [Retry], [Snooze] and [Discard].
//
// The type of the second argument says how the payload is read: []byte as it is, string as UTF-8, [None] not at all,
// anything else as JSON. A payload that cannot be read rejects the job.
//
// The same functions run under `go test`, without a host: see the package pgqtest.
package pgq

import (
	"encoding/json"
	"fmt"
	"time"
)

// None is the payload of a handler that does not read it.
type None struct{}

// Backoff is the first wait, the factor of each later one, and the longest.
type Backoff struct {
	Initial    time.Duration
	Multiplier float64
	Max        time.Duration
}

// Schedule is a cron expression, in UTC or the time zone of this IANA name.
type Schedule struct {
	Expression string `json:"expression"`
	TimeZone   string `json:"time-zone,omitempty"`
}

// Options of an entrypoint. What is zero has the host's default.
type Options struct {
	MaxAttempts int
	Backoff     *Backoff
	Timeout     time.Duration
	// Memory of one run in bytes.
	Memory int
	// Concurrency is how many jobs run at once, over all workers of the queue.
	Concurrency int
	// Reuse is how many jobs an instance runs, with all that is in its variables. By default each job has a fresh one.
	Reuse int
	// OnFailure is "hold" or "delete".
	OnFailure string
	Schedules []Schedule
}

// Needs is what the plugin needs of the operator, who grants it or does not (pgq-host.toml).
type Needs struct {
	// HTTP has origins: https://api.example.com.
	HTTP      []string `json:"http,omitempty"`
	Config    []string `json:"config,omitempty"`
	Secret    []string `json:"secret,omitempty"`
	Env       []string `json:"env,omitempty"`
	Directory []string `json:"directory,omitempty"`
	// Enqueue has entrypoints of follow-up jobs.
	Enqueue []string `json:"enqueue,omitempty"`
	// SQL says what the database is for.
	SQL []string `json:"sql,omitempty"`
}

type entrypoint struct {
	name    string
	options Options
	// One of the two.
	run   func(*Job) (any, error)
	batch func([]*Job) ([]any, error)
	// maxJobs of a batch.
	maxJobs int
}

var (
	plugin struct {
		Name    string `json:"name"`
		Version string `json:"version"`
		Needs   Needs  `json:"needs"`
	}
	entrypoints []entrypoint
)

// Plugin names the plugin, and what it needs.
func Plugin(name, version string, needs Needs) {
	plugin.Name, plugin.Version, plugin.Needs = name, version, needs
}

// Entrypoint serves jobs of this name with this function.
func Entrypoint[P any](name string, options Options, handler func(*Job, P) (any, error)) {
	serve(entrypoint{name: name, options: options, run: func(job *Job) (any, error) {
		var payload P
		if err := job.read(&payload); err != nil {
			return nil, err
		}
		return handler(job, payload)
	}})
}

// Batch serves up to so many jobs of this name in one call, to share what is costly to set up. The handler returns a list
// with one item for each job, in their order: an output, or an error, which may be one of [Reject], [Retry], [Snooze] and
// [Discard]. An error beside the list, or a panic, fails each of them. [Job.Read] reads a payload. Follow-up jobs and the
// database are refused in a batch.
func Batch(name string, maxJobs int, options Options, handler func([]*Job) ([]any, error)) {
	serve(entrypoint{name: name, options: options, batch: handler, maxJobs: maxJobs})
}

func serve(added entrypoint) {
	if find(added.name) != nil {
		panic(fmt.Sprintf("the entrypoint %q has two handlers", added.name))
	}
	entrypoints = append(entrypoints, added)
}

func find(name string) *entrypoint {
	for n := range entrypoints {
		if entrypoints[n].name == name {
			return &entrypoints[n]
		}
	}
	return nil
}

// declarations has one text for the plugin and one for each entrypoint, because a text has a largest size.
func declarations() []string {
	text := func(value any) string {
		bytes, err := json.Marshal(value)
		if err != nil {
			panic(err)
		}
		return string(bytes)
	}
	all := []string{text(plugin)}
	for _, one := range entrypoints {
		o := one.options
		said := map[string]any{"name": one.name}
		for key, value := range map[string]int{
			"max-attempts": o.MaxAttempts, "timeout-ms": millis(o.Timeout), "memory": o.Memory, "concurrency": o.Concurrency, "reuse": o.Reuse,
			"batch": one.maxJobs,
		} {
			if value != 0 {
				said[key] = value
			}
		}
		if o.Backoff != nil {
			said["backoff"] = map[string]any{"initial-ms": millis(o.Backoff.Initial), "multiplier": o.Backoff.Multiplier, "max-ms": millis(o.Backoff.Max)}
		}
		if o.OnFailure != "" {
			said["on-failure"] = o.OnFailure
		}
		if o.Schedules != nil {
			said["schedules"] = o.Schedules
		}
		all = append(all, text(map[string]any{"entrypoints": []any{said}}))
	}
	return all
}

// millis rounds up to whole milliseconds.
func millis(d time.Duration) int {
	return int((d + time.Millisecond - 1) / time.Millisecond)
}
