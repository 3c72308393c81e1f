package pgq

import (
	"encoding/json"
	"fmt"
	"time"
)

// Value of a statement: nil, bool, int64, float64, string, []byte, time.Time, Numeric, json.RawMessage, Interval, or []any
// of these for an array.
type Value = any

// Numeric is PostgreSQL's numeric in decimal, without loss.
type Numeric string

// Interval is PostgreSQL's: its three parts do not add up to one number.
type Interval struct {
	Months, Days int32
	Microseconds int64
}

// SQLError says why a statement failed.
type SQLError struct {
	// Kind is database, refused, limit, conversion or connection.
	Kind, Message, SQLState, Detail, Hint, Constraint, Table, Column string
}

func (e *SQLError) Error() string {
	if e.SQLState == "" {
		return e.Message
	}
	return fmt.Sprintf("%s (SQLSTATE %s)", e.Message, e.SQLState)
}

// Cursor is what [Host.Query] returns.
type Cursor interface {
	Columns() []string
	// Next has some rows; none after the last one.
	Next(most int) ([][]Value, error)
	Close()
}

// SavepointHandle is what [Host.Savepoint] returns.
type SavepointHandle interface {
	Release() error
	RollBack() error
}

// Exec runs a statement, and returns how many rows it has touched. Parameters are $1, $2 and so on. All statements of a run
// are one transaction, which is committed in the statement that records the outcome.
func Exec(statement string, parameters ...any) (int64, error) {
	if host == nil {
		return 0, errNoHost
	}
	values, err := parametersOf(parameters)
	if err != nil {
		return 0, err
	}
	return host.Execute(statement, values)
}

// Rows of a statement, read some at a time.
type Rows struct {
	cursor Cursor
	some   [][]Value
	row    []Value
	err    error
}

// Query runs a statement, and reads its rows.
func Query(statement string, parameters ...any) (*Rows, error) {
	if host == nil {
		return nil, errNoHost
	}
	values, err := parametersOf(parameters)
	if err != nil {
		return nil, err
	}
	cursor, err := host.Query(statement, values)
	if err != nil {
		return nil, err
	}
	return &Rows{cursor: cursor}, nil
}

// Next goes to the next row, if there is one and no error.
func (r *Rows) Next() bool {
	if len(r.some) == 0 && r.err == nil && r.cursor != nil {
		if r.some, r.err = r.cursor.Next(500); len(r.some) == 0 {
			r.cursor.Close()
			r.cursor = nil
		}
	}
	if len(r.some) == 0 {
		return false
	}
	r.row, r.some = r.some[0], r.some[1:]
	return true
}

// Err is what ended the rows early.
func (r *Rows) Err() error { return r.err }

// Values are those of the row.
func (r *Rows) Values() []Value { return r.row }

// Scan copies the row's values into these pointers.
func (r *Rows) Scan(into ...any) error {
	if len(into) != len(r.row) {
		return conversion("the row has %d columns where %d are expected", len(r.row), len(into))
	}
	for n, value := range r.row {
		if err := scan(value, into[n]); err != nil {
			return conversion("column %d: %v", n+1, err)
		}
	}
	return nil
}

// QueryRow reads the only row of a statement into these pointers.
func QueryRow(statement string, parameters []any, into ...any) error {
	rows, err := Query(statement, parameters...)
	if err != nil {
		return err
	}
	if !rows.Next() {
		if rows.Err() != nil {
			return rows.Err()
		}
		return conversion("the statement returned no row where one was expected")
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	if rows.Next() {
		return conversion("the statement returned more than one row where one was expected")
	}
	return rows.Err()
}

// Savepoint runs a part that can fail without the rest: an error (or a panic) undoes what was done in it.
func Savepoint(part func() error) (err error) {
	if host == nil {
		return errNoHost
	}
	savepoint, err := host.Savepoint()
	if err != nil {
		return err
	}
	whole := false
	defer func() {
		if !whole {
			if undone := savepoint.RollBack(); undone != nil && err == nil {
				err = undone
			}
		}
	}()
	if err = part(); err != nil {
		return err
	}
	whole = true
	return savepoint.Release()
}

func conversion(format string, arguments ...any) error {
	return &SQLError{Kind: "conversion", Message: fmt.Sprintf(format, arguments...)}
}

func parametersOf(given []any) ([]Value, error) {
	values := make([]Value, len(given))
	for n, one := range given {
		value, err := parameter(one)
		if err != nil {
			return nil, conversion("$%d: %v", n+1, err)
		}
		values[n] = value
	}
	return values, nil
}

func parameter(given any) (Value, error) {
	switch given := given.(type) {
	case nil, bool, int64, float64, string, []byte, time.Time, Numeric, json.RawMessage, Interval:
		return given, nil
	case int:
		return int64(given), nil
	case int32:
		return int64(given), nil
	case uint32:
		return int64(given), nil
	case float32:
		return float64(given), nil
	case []string:
		return list(given)
	case []int:
		return list(given)
	case []int64:
		return list(given)
	case []any:
		return list(given)
	}
	return nil, fmt.Errorf("a %T has no place in a statement; give a string, which is good for any type", given)
}

func list[T any](given []T) (Value, error) {
	values := make([]any, len(given))
	for n, one := range given {
		value, err := parameter(one)
		if err != nil {
			return nil, err
		}
		values[n] = value
	}
	return values, nil
}

func scan(value Value, into any) error {
	switch into := into.(type) {
	case *any:
		*into = value
		return nil
	case *int64:
		return assign(value, into)
	case *int:
		whole, is := value.(int64)
		*into = int(whole)
		return unless(is, value, into)
	case *bool:
		return assign(value, into)
	case *float64:
		return assign(value, into)
	case *[]byte:
		return assign(value, into)
	case *time.Time:
		return assign(value, into)
	case *Interval:
		return assign(value, into)
	case *[]any:
		return assign(value, into)
	case *string:
		switch value := value.(type) {
		case string:
			*into = value
		case Numeric:
			*into = string(value)
		case json.RawMessage:
			*into = string(value)
		default:
			return unless(false, value, into)
		}
		return nil
	}
	return fmt.Errorf("a %T cannot be read into", into)
}

func assign[T any](value Value, into *T) error {
	found, is := value.(T)
	*into = found
	return unless(is, value, into)
}

func unless(is bool, value, into any) error {
	if is {
		return nil
	}
	return fmt.Errorf("a %T has no place in a %T; NULL has one in *any only", value, into)
}
