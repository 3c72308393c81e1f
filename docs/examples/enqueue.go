package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"

	"github.com/jackc/pgx/v5"
)

const enqueueSQL = `
WITH job AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, status) VALUES (0, $1, $2, 'queued')
    RETURNING id, priority, entrypoint
)
INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
SELECT id, 'queued', priority, entrypoint FROM job
RETURNING job_id`

func enqueue(ctx context.Context, tx pgx.Tx, entrypoint string, payload any) (id int64, err error) {
	bytes, err := json.Marshal(payload)
	if err != nil {
		return 0, err
	}
	err = tx.QueryRow(ctx, enqueueSQL, entrypoint, bytes).Scan(&id)
	return id, err
}

// The user and the job that greets: both are committed, or neither is.
func signUp(ctx context.Context, conn *pgx.Conn, name string) (job int64, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "INSERT INTO users (name) VALUES ($1)", name); err != nil {
			return err
		}
		job, err = enqueue(ctx, tx, "hello", map[string]string{"name": name})
		return err
	})
	return job, err
}

func main() {
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, os.Getenv("PGDSN"))
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close(ctx)
	job, err := signUp(ctx, conn, "Rob")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(job)
}
