package pgq

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	enqueue "github.com/pgq-host/pgq-host/sdk/go/internal/enqueue"
	http "github.com/pgq-host/pgq-host/sdk/go/internal/http"
	jobs "github.com/pgq-host/pgq-host/sdk/go/internal/jobs"
	log "github.com/pgq-host/pgq-host/sdk/go/internal/log"
	registry "github.com/pgq-host/pgq-host/sdk/go/internal/registry"
	sql "github.com/pgq-host/pgq-host/sdk/go/internal/sql"
	wit "github.com/pgq-host/pgq-host/sdk/go/internal/wit/types"
)

// The host keeps no more of a failure: the beginning of its message, the end of its traceback.
const (
	longestMessage   = 8000
	longestTraceback = 16000
	// A call passes 256 KiB at most.
	piece = 64 * 1024
)

func init() {
	UseHost(component{})
	slog.SetDefault(slog.New(LogHandler{}))
}

func register(registrar *registry.Registrar) wit.Result[wit.Unit, string] {
	defer registrar.Drop()
	for _, text := range declarations() {
		registrar.Declare(text)
	}
	return wit.Ok[wit.Unit, string](wit.Unit{})
}

func handle(raw *jobs.Job) wit.Result[jobs.Outcome, jobs.Failure] {
	// A borrowed handle has to be given back before the call returns.
	defer raw.Drop()
	return settle(raw, Run(job(raw)))
}

func handleBatch(raws []*jobs.Job) []wit.Result[jobs.Outcome, jobs.Failure] {
	all := make([]*Job, len(raws))
	for n, raw := range raws {
		defer raw.Drop()
		all[n] = job(raw)
	}
	results := make([]wit.Result[jobs.Outcome, jobs.Failure], len(raws))
	for n, ended := range RunBatch(all) {
		results[n] = settle(raws[n], ended)
	}
	return results
}

func job(raw *jobs.Job) *Job {
	details := raw.Details()
	return &Job{
		ID: details.Id, Entrypoint: details.Entrypoint, Attempt: int(details.Attempt), MaxAttempts: int(details.MaxAttempts),
		Priority: int(details.Priority), Created: time.UnixMilli(int64(details.Created)), Source: source{raw},
	}
}

func settle(raw *jobs.Job, ended Ended) wit.Result[jobs.Outcome, jobs.Failure] {
	message := head(ended.Message)
	switch ended.How {
	case Completed:
		output := wit.None[[]uint8]()
		if ended.Output != nil {
			output = wit.Some(ended.Output)
		}
		return wit.Ok[jobs.Outcome, jobs.Failure](jobs.MakeOutcomeComplete(output))
	case Snoozed:
		return wit.Ok[jobs.Outcome, jobs.Failure](jobs.MakeOutcomeSnooze(uint64(millis(*ended.After))))
	case Discarded:
		return wit.Ok[jobs.Outcome, jobs.Failure](jobs.MakeOutcomeDiscard(message))
	case Rejected:
		return wit.Err[jobs.Outcome, jobs.Failure](jobs.MakeFailureReject(message))
	}
	after := wit.None[uint64]()
	if ended.After != nil {
		after = wit.Some(uint64(millis(*ended.After)))
	}
	raw.Failed(ended.Kind, message, tail(ended.Traceback))
	return wit.Err[jobs.Outcome, jobs.Failure](jobs.MakeFailureRetry(jobs.RetryInfo{Message: message, After: after}))
}

func head(text string) string {
	end := min(len(text), longestMessage)
	for end < len(text) && end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return valid(text[:end])
}

func tail(text string) string {
	start := max(len(text)-longestTraceback, 0)
	for start < len(text) && start > 0 && !utf8.RuneStart(text[start]) {
		start++
	}
	return valid(text[start:])
}

// valid is UTF-8, which every text of a component has to be.
func valid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}

type source struct{ raw *jobs.Job }

func (s source) Payload() ([]byte, bool) {
	found := s.raw.Payload()
	if found.IsNone() {
		return nil, false
	}
	return found.Some(), true
}

func (s source) Header(name string) (string, bool) {
	found := s.raw.Header(name)
	if found.IsNone() {
		return "", false
	}
	return found.Some(), true
}

func (s source) Headers() map[string]string { return table(s.raw.Headers()) }

func table(pairs []wit.Tuple2[string, string]) map[string]string {
	all := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		all[pair.F0] = pair.F1
	}
	return all
}

func (s source) TimeLeft() time.Duration {
	return time.Duration(s.raw.TimeLeft()) * time.Millisecond
}

func (s source) Heartbeat() Directive { return Directive(s.raw.Heartbeat()) }

type component struct{}

func (component) Emit(level Level, message string, fields []Field) {
	pairs := make([]wit.Tuple2[string, string], len(fields))
	for n, field := range fields {
		pairs[n] = wit.Tuple2[string, string]{F0: valid(field.Name), F1: valid(field.Value)}
	}
	log.Emit(log.Level(level), valid(message), pairs)
}

func (component) Submit(wanted Enqueued) error {
	request := enqueue.MakeRequest(wanted.Entrypoint)
	defer request.Drop()
	if wanted.Payload != nil {
		request.Payload(wanted.Payload)
	}
	if wanted.Priority != 0 {
		request.Priority(wanted.Priority)
	}
	if wanted.Delay > 0 {
		request.Delay(uint64(millis(wanted.Delay)))
	}
	if wanted.DedupeKey != "" {
		request.DedupeKey(wanted.DedupeKey)
	}
	for name, value := range wanted.Headers {
		request.Header(name, value)
	}
	if answer := request.Submit(); answer.IsErr() {
		return fmt.Errorf("the job for %q was not enqueued: %s", wanted.Entrypoint, answer.Err())
	}
	return nil
}

// HTTPError says why there is no answer.
type HTTPError struct {
	// Kind is denied, invalid, unreachable, timeout, protocol or too-large.
	Kind, Message string
}

func (e *HTTPError) Error() string { return e.Message }

func httpError(own *http.Error) error {
	defer own.Drop()
	kinds := []string{"denied", "invalid", "unreachable", "timeout", "protocol", "too-large"}
	return &HTTPError{kinds[own.Kind()], own.Message()}
}

func (component) Send(wanted HTTPRequest) (*HTTPResponse, error) {
	request := http.MakeRequest(wanted.Method, wanted.URL)
	for _, pair := range wanted.Header {
		request.Header(pair[0], pair[1])
	}
	for at := 0; at < len(wanted.Body); at += piece {
		request.Body(wanted.Body[at:min(at+piece, len(wanted.Body))])
	}
	if wanted.Timeout > 0 {
		request.Timeout(uint64(millis(wanted.Timeout)))
	}
	answer := http.Send(request)
	if answer.IsErr() {
		return nil, httpError(answer.Err())
	}
	response := answer.Ok()
	defer response.Drop()
	whole := &HTTPResponse{Status: int(response.Status())}
	for _, pair := range response.Headers() {
		whole.Header = append(whole.Header, [2]string{pair.F0, pair.F1})
	}
	for {
		read := response.Read(piece)
		if read.IsErr() {
			return nil, httpError(read.Err())
		}
		if len(read.Ok()) == 0 {
			return whole, nil
		}
		whole.Body = append(whole.Body, read.Ok()...)
	}
}

func sqlError(own *sql.Error) error {
	defer own.Drop()
	kinds := []string{"database", "refused", "limit", "conversion", "connection"}
	text := func(some wit.Option[string]) string {
		if some.IsNone() {
			return ""
		}
		return some.Some()
	}
	return &SQLError{
		Kind: kinds[own.Kind()], Message: own.Message(), SQLState: text(own.Sqlstate()), Detail: text(own.Detail()), Hint: text(own.Hint()),
		Constraint: text(own.Constraint()), Table: text(own.Table()), Column: text(own.Column()),
	}
}

func (component) Execute(statement string, parameters []Value) (int64, error) {
	answer := sql.Execute(statement, values(parameters))
	if answer.IsErr() {
		return 0, sqlError(answer.Err())
	}
	return int64(answer.Ok()), nil
}

func (component) Query(statement string, parameters []Value) (Cursor, error) {
	answer := sql.Query(statement, values(parameters))
	if answer.IsErr() {
		return nil, sqlError(answer.Err())
	}
	return rows{answer.Ok()}, nil
}

func (component) Savepoint() (SavepointHandle, error) {
	answer := sql.SetSavepoint()
	if answer.IsErr() {
		return nil, sqlError(answer.Err())
	}
	return savepoint{answer.Ok()}, nil
}

type savepoint struct{ own *sql.Savepoint }

func (s savepoint) Release() error  { return s.end(s.own.Release()) }
func (s savepoint) RollBack() error { return s.end(s.own.RollBack()) }

func (s savepoint) end(answer wit.Result[wit.Unit, *sql.Error]) error {
	defer s.own.Drop()
	if answer.IsErr() {
		return sqlError(answer.Err())
	}
	return nil
}

type rows struct{ cursor *sql.Cursor }

func (r rows) Close() { r.cursor.Drop() }

func (r rows) Columns() []string {
	var names []string
	for _, column := range r.cursor.Columns() {
		names = append(names, column.Name)
	}
	return names
}

func (r rows) Next(most int) ([][]Value, error) {
	answer := r.cursor.Next(uint32(most))
	if answer.IsErr() {
		return nil, sqlError(answer.Err())
	}
	some := make([][]Value, len(answer.Ok()))
	for n, row := range answer.Ok() {
		for _, value := range row {
			some[n] = append(some[n], plain(value))
		}
	}
	return some, nil
}

func values(given []Value) []sql.Value {
	all := make([]sql.Value, len(given))
	for n, one := range given {
		if many, is := one.([]any); is {
			scalars := make([]sql.Scalar, len(many))
			for n, item := range many {
				scalars[n] = scalar(item)
			}
			all[n] = sql.MakeValueMany(scalars)
		} else {
			all[n] = sql.MakeValueOne(scalar(one))
		}
	}
	return all
}

func scalar(given Value) sql.Scalar {
	switch given := given.(type) {
	case bool:
		return sql.MakeScalarBoolean(given)
	case int64:
		return sql.MakeScalarInt64(given)
	case float64:
		return sql.MakeScalarFloat64(given)
	case string:
		return sql.MakeScalarText(valid(given))
	case []byte:
		return sql.MakeScalarBytes(given)
	case time.Time:
		return sql.MakeScalarTimestamptz(given.UnixMicro())
	case Numeric:
		return sql.MakeScalarNumeric(string(given))
	case json.RawMessage:
		return sql.MakeScalarJson(string(given))
	case Interval:
		return sql.MakeScalarInterval(sql.Interval{Months: given.Months, Days: given.Days, Microseconds: given.Microseconds})
	}
	return sql.MakeScalarNull()
}

func plain(value sql.Value) Value {
	if value.Tag() == sql.Value_Many {
		all := []any{}
		for _, one := range value.Many() {
			all = append(all, plainScalar(one))
		}
		return all
	}
	return plainScalar(value.One())
}

// plainScalar has dates, times and timestamps without a time zone as times in UTC.
func plainScalar(one sql.Scalar) Value {
	switch one.Tag() {
	case sql.Scalar_Boolean:
		return one.Boolean()
	case sql.Scalar_Int16:
		return int64(one.Int16())
	case sql.Scalar_Int32:
		return int64(one.Int32())
	case sql.Scalar_Int64:
		return one.Int64()
	case sql.Scalar_Float32:
		return float64(one.Float32())
	case sql.Scalar_Float64:
		return one.Float64()
	case sql.Scalar_Numeric:
		return Numeric(one.Numeric())
	case sql.Scalar_Text:
		return one.Text()
	case sql.Scalar_Bytes:
		return one.Bytes()
	case sql.Scalar_Json:
		return json.RawMessage(one.Json())
	case sql.Scalar_Uuid:
		return one.Uuid()
	case sql.Scalar_Date:
		return time.Unix(int64(one.Date())*86400, 0).UTC()
	case sql.Scalar_Time:
		return time.UnixMicro(one.Time()).UTC()
	case sql.Scalar_Timestamp:
		return time.UnixMicro(one.Timestamp()).UTC()
	case sql.Scalar_Timestamptz:
		return time.UnixMicro(one.Timestamptz()).UTC()
	case sql.Scalar_Interval:
		interval := one.Interval()
		return Interval{interval.Months, interval.Days, interval.Microseconds}
	}
	return nil
}
