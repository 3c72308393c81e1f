// Package pgqhttp has net/http send its requests through the host: import it for its effect,
//
//	import _ "github.com/pgq-host/pgq-host/sdk/go/pgqhttp"
//
// and http.Get works for origins that the operator granted. A client that follows redirects sends one request for each.
package pgqhttp

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"

	pgq "github.com/pgq-host/pgq-host/sdk/go"
)

func init() {
	http.DefaultTransport = Transport{}
	http.DefaultClient.Transport = Transport{}
}

// Transport is an http.RoundTripper over the host.
type Transport struct{}

// RoundTrip sends one request, and waits for all of the answer.
func (Transport) RoundTrip(request *http.Request) (*http.Response, error) {
	sent := pgq.HTTPRequest{Method: request.Method, URL: request.URL.String()}
	if sent.Method == "" {
		sent.Method = http.MethodGet
	}
	if request.Body != nil {
		defer request.Body.Close()
		body, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		sent.Body = body
	}
	for name, values := range request.Header {
		for _, value := range values {
			sent.Header = append(sent.Header, [2]string{name, value})
		}
	}
	if deadline, is := request.Context().Deadline(); is {
		sent.Timeout = max(time.Until(deadline), time.Millisecond)
	}
	answer, err := pgq.Send(sent)
	if err != nil {
		return nil, err
	}
	header := http.Header{}
	for _, pair := range answer.Header {
		header.Add(pair[0], pair[1])
	}
	return &http.Response{
		Status:        strconv.Itoa(answer.Status) + " " + http.StatusText(answer.Status),
		StatusCode:    answer.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(bytes.NewReader(answer.Body)),
		ContentLength: int64(len(answer.Body)),
		Request:       request,
	}, nil
}
