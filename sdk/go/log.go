package pgq

import (
	"context"
	"log/slog"
)

// LogHandler hands records of log/slog to the host. In a component it is slog's default.
type LogHandler struct {
	prefix string
	fields []Field
}

// Enabled is always true: the host decides what is kept.
func (LogHandler) Enabled(context.Context, slog.Level) bool { return host != nil }

// Handle writes one line.
func (h LogHandler) Handle(_ context.Context, record slog.Record) error {
	fields := append([]Field(nil), h.fields...)
	record.Attrs(func(attr slog.Attr) bool {
		fields = add(fields, h.prefix, attr)
		return true
	})
	host.Emit(level(record.Level), record.Message, fields)
	return nil
}

// WithAttrs adds fields to every line.
func (h LogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	fields := append([]Field(nil), h.fields...)
	for _, attr := range attrs {
		fields = add(fields, h.prefix, attr)
	}
	return LogHandler{h.prefix, fields}
}

// WithGroup has the names of fields begin with this one.
func (h LogHandler) WithGroup(name string) slog.Handler {
	return LogHandler{h.prefix + name + ".", h.fields}
}

func add(fields []Field, prefix string, attr slog.Attr) []Field {
	value := attr.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if attr.Key != "" {
			prefix += attr.Key + "."
		}
		for _, inner := range value.Group() {
			fields = add(fields, prefix, inner)
		}
		return fields
	}
	return append(fields, Field{prefix + attr.Key, value.String()})
}

func level(of slog.Level) Level {
	switch {
	case of >= slog.LevelError:
		return 4
	case of >= slog.LevelWarn:
		return 3
	case of >= slog.LevelInfo:
		return 2
	case of >= slog.LevelDebug:
		return 1
	}
	return 0
}
