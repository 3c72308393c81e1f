// Two handlers: a webhook that is delivered in the end, with a follow-up, and one that computes.
package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	pgq "github.com/pgq-host/pgq-host/sdk/go"
)

func init() {
	pgq.Plugin("go-example", "0.1.0", pgq.Needs{Enqueue: []string{"go-receipt"}})
	pgq.Entrypoint("go-webhook", pgq.Options{
		MaxAttempts: 12,
		Backoff:     &pgq.Backoff{Initial: 10 * time.Second, Multiplier: 2, Max: time.Hour},
		Timeout:     30 * time.Second,
		Memory:      64 << 20,
	}, webhook)
	pgq.Entrypoint("go-receipt", pgq.Options{}, receipt)
	pgq.Entrypoint("go-primes", pgq.Options{Timeout: time.Minute}, primes)
}

type Webhook struct {
	URL string `json:"url"`
	// Passed on byte by byte.
	Body json.RawMessage `json:"body"`
}

func webhook(job *pgq.Job, hook Webhook) (any, error) {
	answer, err := pgq.Send(pgq.HTTPRequest{
		Method: "POST",
		URL:    hook.URL,
		// The same key for every attempt: a receiver that remembers it acts once.
		Header: [][2]string{{"content-type", "application/json"}, {"idempotency-key", job.IdempotencyKey()}},
		Body:   hook.Body,
		// Kept back from the job's time, so that a slow server ends in a failure that says so rather than in an interrupt.
		Timeout: max(job.TimeLeft()-time.Second, 100*time.Millisecond),
	})
	if err != nil {
		return nil, err
	}
	if answer.Status == 408 || answer.Status == 429 || answer.Status >= 500 {
		message := fmt.Sprintf("the receiver answered %d", answer.Status)
		if seconds, err := strconv.ParseUint(answer.Get("retry-after"), 10, 32); err == nil {
			return nil, pgq.RetryAfter(min(time.Duration(seconds)*time.Second, 24*time.Hour), message)
		}
		return nil, pgq.Retry(message)
	}
	if answer.Status >= 400 {
		return nil, pgq.Reject(fmt.Sprintf("the receiver answered %d: %.256s", answer.Status, answer.Body))
	}
	// Enqueued in the transaction that records this job as done, or not at all.
	err = pgq.Enqueue(pgq.Request{Entrypoint: "go-receipt", Payload: Receipt{job.ID, answer.Status}, Priority: 1})
	if err != nil {
		return nil, err
	}
	return map[string]any{"status": answer.Status, "body": fmt.Sprintf("%.4096s", answer.Body)}, nil
}

type Receipt struct {
	Job    int64 `json:"job"`
	Status int   `json:"status"`
}

func receipt(_ *pgq.Job, receipt Receipt) (any, error) {
	slog.Info(fmt.Sprintf("job %d was delivered", receipt.Job), "status", receipt.Status)
	return nil, nil
}

type Range struct {
	Below int `json:"below"`
}

// primes counts those below a number.
func primes(_ *pgq.Job, wanted Range) (any, error) {
	if wanted.Below < 0 || wanted.Below > 5_000_000 {
		return nil, pgq.Reject(fmt.Sprintf("%d is not between 0 and 5,000,000", wanted.Below))
	}
	composite := make([]bool, wanted.Below)
	count := 0
	for n := 2; n < wanted.Below; n++ {
		if composite[n] {
			continue
		}
		count++
		for multiple := n * n; multiple < wanted.Below; multiple += n {
			composite[multiple] = true
		}
	}
	return map[string]int{"primes": count}, nil
}

func main() {}
