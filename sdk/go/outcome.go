package pgq

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"
)

// How a run ended.
type How string

const (
	Completed How = "complete"
	Snoozed   How = "snooze"
	Discarded How = "discard"
	Retried   How = "retry"
	Rejected  How = "reject"
)

type ending struct {
	how     How
	message string
	after   *time.Duration
}

func (e *ending) Error() string { return e.message }

// Reject never tries again: the job fails now, for this reason.
func Reject(reason string) error { return &ending{how: Rejected, message: reason} }

// Retry tries again as long as attempts are left, after the entrypoint's back-off. So does any other error.
func Retry(message string) error { return &ending{how: Retried, message: message} }

// RetryAfter tries again after this time.
func RetryAfter(after time.Duration, message string) error {
	return &ending{how: Retried, message: message, after: &after}
}

// Snooze runs the job again after this time, at no cost of an attempt.
func Snooze(after time.Duration) error {
	return &ending{how: Snoozed, message: "again in " + after.String(), after: &after}
}

// Discard says that the job is not needed any more.
func Discard(reason string) error { return &ending{how: Discarded, message: reason} }

// Ended is what became of a run.
type Ended struct {
	How    How
	Output []byte
	// After is the time until it runs again, where the handler said so.
	After *time.Duration
	// Kind, Message and Traceback of a failure. Only a panic has a traceback.
	Kind, Message, Traceback string
}

// Run runs the handler of this job. For tests: see pgqtest.
func Run(job *Job) (ended Ended) {
	found := find(job.Entrypoint)
	if found == nil {
		return notServed(job.Entrypoint)
	}
	if found.batch != nil {
		return RunBatch([]*Job{job})[0]
	}
	defer func() {
		if cause := recover(); cause != nil {
			ended = panicked(cause)
		}
	}()
	value, err := found.run(job)
	if err != nil {
		return failed(err)
	}
	return completed(value)
}

// RunBatch runs the handler of these jobs, all of one entrypoint. For tests: see pgqtest.
func RunBatch(jobs []*Job) (all []Ended) {
	each := func(ended Ended) []Ended {
		all := make([]Ended, len(jobs))
		for n := range all {
			all[n] = ended
		}
		return all
	}
	found := find(jobs[0].Entrypoint)
	if found == nil || found.batch == nil {
		return each(notServed(jobs[0].Entrypoint))
	}
	defer func() {
		if cause := recover(); cause != nil {
			all = each(panicked(cause))
		}
	}()
	values, err := found.batch(jobs)
	if err == nil && len(values) != len(jobs) {
		err = fmt.Errorf("the handler of %q returned %d results for %d jobs", found.name, len(values), len(jobs))
	}
	if err != nil {
		return each(failed(err))
	}
	for _, value := range values {
		if err, is := value.(error); is {
			all = append(all, failed(err))
		} else {
			all = append(all, completed(value))
		}
	}
	return all
}

func notServed(entrypoint string) Ended {
	return Ended{How: Rejected, Message: fmt.Sprintf("the plugin does not serve the entrypoint %q", entrypoint)}
}

func completed(value any) Ended {
	output, err := encode(value, "the output")
	if err != nil {
		return failed(err)
	}
	return Ended{How: Completed, Output: output}
}

func panicked(cause any) Ended {
	ended := Ended{How: Retried, Kind: "panic", Message: fmt.Sprint(cause), Traceback: stack()}
	if err, is := cause.(error); is {
		ended.Kind = fmt.Sprintf("panic: %T", err)
	}
	return ended
}

func failed(err error) Ended {
	var said *ending
	if errors.As(err, &said) {
		kind := ""
		if said.how == Retried {
			kind = "Retry"
		}
		return Ended{How: said.how, Message: err.Error(), After: said.after, Kind: kind}
	}
	return Ended{How: Retried, Message: err.Error(), Kind: strings.TrimPrefix(fmt.Sprintf("%T", err), "*")}
}

// stack is the panicking goroutine's, from the panic on to the handler.
func stack() string {
	lines := strings.Split(string(debug.Stack()), "\n")
	begin, end := 0, len(lines)
	for n, line := range lines {
		if strings.HasPrefix(line, "panic(") {
			begin = n
		}
		if begin > 0 && (strings.Contains(line, "/sdk/go.Entrypoint") || strings.Contains(line, "/sdk/go.Run")) {
			end = n
			break
		}
	}
	return strings.Join(lines[begin:end], "\n")
}

// encode makes bytes of a value: nothing of nil, bytes and text as they are, anything else as JSON.
func encode(value any, what string) ([]byte, error) {
	switch value := value.(type) {
	case nil:
		return nil, nil
	case []byte:
		if value == nil {
			value = []byte{}
		}
		return value, nil
	case string:
		return []byte(value), nil
	}
	bytes, err := json.Marshal(value)
	if err != nil {
		return nil, Reject(what + " cannot be represented as JSON: " + err.Error())
	}
	return bytes, nil
}
