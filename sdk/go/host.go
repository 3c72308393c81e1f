package pgq

import (
	"errors"
	"time"
)

// Level of a line in the job's log: trace, debug, info, warn, error.
type Level uint8

// Field of a line in the job's log.
type Field struct{ Name, Value string }

// Enqueued is a request as the host gets it.
type Enqueued struct {
	Entrypoint string
	Payload    []byte
	Priority   int32
	Delay      time.Duration
	DedupeKey  string
	Headers    map[string]string
}

// Host answers the SDK's calls: the real one in a component, pgqtest in a test.
type Host interface {
	Emit(level Level, message string, fields []Field)
	Submit(request Enqueued) error
	Send(request HTTPRequest) (*HTTPResponse, error)
	Execute(statement string, parameters []Value) (int64, error)
	Query(statement string, parameters []Value) (Cursor, error)
	Savepoint() (SavepointHandle, error)
}

var host Host

// UseHost has this one answer from now on. Returns the one before. For pgqtest.
func UseHost(next Host) Host {
	before := host
	host = next
	return before
}

var errNoHost = errors.New("no job is running: the host runs handlers, and pgqtest.Run does in a test")

// Request is a job to be enqueued when the current one completes.
type Request struct {
	Entrypoint string
	// Payload goes as it is if it is []byte or string, and as JSON otherwise.
	Payload   any
	Priority  int
	Delay     time.Duration
	DedupeKey string
	Headers   map[string]string
}

// Enqueue has the host insert a job in the transaction that records the current one as done: both are there, or neither. A
// run that ends in any other way enqueues nothing. With a DedupeKey, the request is dropped without an error if a job of
// that key is queued or running.
func Enqueue(request Request) error {
	if host == nil {
		return errNoHost
	}
	payload, err := encode(request.Payload, "the payload for "+request.Entrypoint)
	if err != nil {
		return err
	}
	return host.Submit(Enqueued{request.Entrypoint, payload, int32(request.Priority), request.Delay, request.DedupeKey, request.Headers})
}

// HTTPRequest is sent to an origin that the operator granted. A header's value may have {{secret:NAME}} in it.
type HTTPRequest struct {
	Method, URL string
	Header      [][2]string
	Body        []byte
	// Timeout of the connection, of the head, and of each piece of the body. 0 is the job's own time.
	Timeout time.Duration
}

// HTTPResponse is an answer with all of its body. Names of headers are in lower case.
type HTTPResponse struct {
	Status int
	Header [][2]string
	Body   []byte
}

// Get is the first header of this name, in lower case.
func (r *HTTPResponse) Get(name string) string {
	for _, pair := range r.Header {
		if pair[0] == name {
			return pair[1]
		}
	}
	return ""
}

// Send sends a request and waits for all of the answer. Redirects are not followed. The package pgqhttp does the same for
// net/http, which makes a component some megabytes larger.
func Send(request HTTPRequest) (*HTTPResponse, error) {
	if host == nil {
		return nil, errNoHost
	}
	return host.Send(request)
}
