// {{name}}: a plugin for pgq-host. README.md lists the commands.
package main

import (
	"fmt"
	"log/slog"
	"time"

	pgq "github.com/pgq-host/pgq-host/sdk/go"
)

func init() {
	pgq.Plugin("{{name}}", "0.1.0", pgq.Needs{})
	pgq.Entrypoint("{{name}}", pgq.Options{MaxAttempts: 5, Timeout: 10 * time.Second}, greet)
}

// Greeting is the payload, as producers write it. payload.json is an example.
type Greeting struct {
	Name string `json:"name"`
}

func greet(job *pgq.Job, greeting Greeting) (any, error) {
	if greeting.Name == "" {
		return nil, pgq.Reject("the name is empty")
	}
	slog.Info("greeting "+greeting.Name, "attempt", job.Attempt)
	return fmt.Sprintf("Hello, %s!", greeting.Name), nil
}

// The host calls the exports of the SDK.
func main() {}
