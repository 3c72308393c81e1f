// What goes wrong in handlers, and what the host and the SDK make of it. Built into the examples' component.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	pgq "github.com/pgq-host/pgq-host/sdk/go"
	_ "github.com/pgq-host/pgq-host/sdk/go/pgqhttp"
)

func init() {
	once := pgq.Options{MaxAttempts: 1}
	kept := pgq.Options{MaxAttempts: 1, Reuse: 1000}
	soon := pgq.Options{MaxAttempts: 1, Timeout: 500 * time.Millisecond}
	pgq.Entrypoint("go-noop", kept, func(*pgq.Job, pgq.None) (any, error) { return nil, nil })
	pgq.Entrypoint("go-fresh", once, func(*pgq.Job, pgq.None) (any, error) { return nil, nil })
	pgq.Entrypoint("go-errs", once, func(*pgq.Job, pgq.None) (any, error) { return nil, errors.New("there is no customer") })
	pgq.Entrypoint("go-panics", once, func(*pgq.Job, pgq.None) (any, error) { return lookup(nil), nil })
	pgq.Entrypoint("go-loops", soon, func(*pgq.Job, pgq.None) (any, error) {
		for n := 0; ; n++ {
			spun = n
		}
	})
	pgq.Entrypoint("go-sleeps", soon, func(*pgq.Job, pgq.None) (any, error) {
		time.Sleep(10 * time.Minute)
		return nil, nil
	})
	pgq.Entrypoint("go-hogs", pgq.Options{MaxAttempts: 1, Memory: 64 << 20}, func(*pgq.Job, pgq.None) (any, error) {
		for {
			held = append(held, make([]byte, 1<<20))
		}
	})
	pgq.Entrypoint("go-deep", once, func(*pgq.Job, pgq.None) (any, error) { return deeper(0), nil })
	pgq.Entrypoint("go-again", kept, func(*pgq.Job, pgq.None) (any, error) {
		failed++
		panic(fmt.Sprintf("failure %d", failed))
	})
	pgq.Entrypoint("go-http", once, func(_ *pgq.Job, url string) (any, error) {
		answer, err := http.Get(url)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(answer.Body)
		return fmt.Sprintf("%d %s", answer.StatusCode, body), err
	})
	pgq.Entrypoint("go-sql", once, database)
	pgq.Batch("go-batch", 100, pgq.Options{Reuse: 1000}, func(jobs []*pgq.Job) ([]any, error) {
		results := make([]any, len(jobs))
		for n, job := range jobs {
			var text string
			if err := job.Read(&text); err != nil {
				results[n] = err
			} else if text == "odd" {
				results[n] = pgq.Reject("odd")
			} else {
				results[n] = fmt.Sprintf("%s of %d", text, len(jobs))
			}
		}
		return results, nil
	})
}

var (
	spun, failed int
	held         [][]byte
)

func lookup(names []string) string { return names[0] }

//go:noinline
func deeper(n int) int {
	var pad [1000]byte
	pad[n%1000] = 1
	return deeper(n+1) + int(pad[0])
}

func database(*pgq.Job, pgq.None) (any, error) {
	var state string
	err := pgq.Savepoint(func() error {
		_, err := pgq.Exec("INSERT INTO account VALUES (1, 0)")
		return err
	})
	if refused := (*pgq.SQLError)(nil); errors.As(err, &refused) {
		state = refused.SQLState
	}
	if _, err := pgq.Exec("UPDATE account SET balance = balance - $2 WHERE id = $1", 1, 10); err != nil {
		return nil, err
	}
	moment := time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
	statement := "SELECT $1::int4, $2::numeric, $3::timestamptz, $4::text[], $5::jsonb, $6::bytea, NULL::int8, $7::interval"
	rows, err := pgq.Query(statement, 1, pgq.Numeric("1.50"), moment, []any{"a", nil}, json.RawMessage(`{"k": [1]}`), []byte{0}, pgq.Interval{Days: 1, Microseconds: 2_000_000})
	if err != nil {
		return nil, err
	}
	if !rows.Next() {
		return nil, fmt.Errorf("no row: %w", rows.Err())
	}
	row := fmt.Sprint(rows.Values()...)
	if wanted := fmt.Sprint(int64(1), pgq.Numeric("1.50"), moment, []any{"a", nil}, json.RawMessage(`{"k": [1]}`), []byte{0}, nil, pgq.Interval{Days: 1, Microseconds: 2_000_000}); row != wanted {
		return nil, fmt.Errorf("%s is not %s", row, wanted)
	}
	sum := 0
	rows, err = pgq.Query("SELECT g::int8 FROM generate_series(1, 1200) g")
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var value int
		if err := rows.Scan(&value); err != nil {
			return nil, err
		}
		sum += value
	}
	return map[string]any{"state": state, "sum": sum}, rows.Err()
}
