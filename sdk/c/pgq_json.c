/* JSON, as much as payloads need: parts of a text that was checked once. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pgq_internal.h"

enum { DEEPEST = 100 };

static const char *blank(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\n' || *at == '\r')) at++;
  return at;
}

static const char *string(const char *at, const char *end) {
  for (at++; at < end; at++) {
    if (*at == '"') return at + 1;
    if ((unsigned char)*at < 0x20) return NULL;
    if (*at != '\\') continue;
    if (++at == end || !strchr("\"\\/bfnrtu", *at)) return NULL;
    if (*at == 'u') {
      if (end - at < 5) return NULL;
      for (int n = 1; n <= 4; n++)
        if (!strchr("0123456789abcdefABCDEF", at[n]) || !at[n]) return NULL;
      at += 4;
    }
  }
  return NULL;
}

static const char *digits(const char *at, const char *end) {
  const char *start = at;
  while (at < end && *at >= '0' && *at <= '9') at++;
  return at == start ? NULL : at;
}

static const char *numeral(const char *at, const char *end) {
  if (*at == '-') at++;
  if (at < end && *at == '0') at++;
  else if (!(at = digits(at, end))) return NULL;
  if (at < end && *at == '.' && !(at = digits(at + 1, end))) return NULL;
  if (at < end && (*at == 'e' || *at == 'E')) {
    at++;
    if (at < end && (*at == '+' || *at == '-')) at++;
    at = digits(at, end);
  }
  return at;
}

static const char *word(const char *at, const char *end, const char *word) {
  size_t length = strlen(word);
  return (size_t)(end - at) >= length && !memcmp(at, word, length) ? at + length : NULL;
}

/* The end of the value that begins here; NULL if there is none. */
static const char *skip(const char *at, const char *end, int depth) {
  if (at == end || depth > DEEPEST) return NULL;
  if (*at == '"') return string(at, end);
  if (*at == 't') return word(at, end, "true");
  if (*at == 'f') return word(at, end, "false");
  if (*at == 'n') return word(at, end, "null");
  if (*at != '{' && *at != '[') return numeral(at, end);
  const char close = *at == '{' ? '}' : ']';
  at = blank(at + 1, end);
  if (at < end && *at == close) return at + 1;
  while (at < end) {
    if (close == '}') {
      if (*at != '"' || !(at = string(at, end))) return NULL;
      at = blank(at, end);
      if (at == end || *at != ':') return NULL;
      at = blank(at + 1, end);
    }
    if (!(at = skip(at, end, depth + 1))) return NULL;
    at = blank(at, end);
    if (at == end) return NULL;
    if (*at == close) return at + 1;
    if (*at != ',') return NULL;
    at = blank(at + 1, end);
  }
  return NULL;
}

bool pgq_json_parse(const char *text, size_t length, pgq_json *value) {
  if (!text) return false;
  const char *end = text + length, *start = blank(text, end), *after = skip(start, end, 0);
  if (!after || blank(after, end) != end) return false;
  *value = (pgq_json){start, after};
  return true;
}

bool pgq_json_payload(const pgq_job *job, pgq_json *value) {
  pgq_bytes payload = pgq_payload(job);
  return pgq_json_parse(payload.data, payload.length, value);
}

/* The value has been checked, so what follows finds what has to be there. */
static bool find(pgq_json outer, char open, const char *key, size_t number, pgq_json *value) {
  if (outer.start == outer.end || *outer.start != open) return false;
  bool found = false;
  const char *at = blank(outer.start + 1, outer.end);
  for (size_t n = 0; *at != '}' && *at != ']'; n++) {
    bool same = !key && n == number;
    if (key) {
      const char *after = string(at, outer.end);
      same = !strcmp(pgq_json_text((pgq_json){at, after}), key);
      at = blank(blank(after, outer.end) + 1, outer.end);
    }
    const char *after = skip(at, outer.end, 0);
    if (same) {
      *value = (pgq_json){at, after};
      found = true; /* Of several, the last one counts. */
    }
    at = blank(after, outer.end);
    if (*at == ',') at = blank(at + 1, outer.end);
  }
  return found;
}

bool pgq_json_get(pgq_json object, const char *key, pgq_json *value) { return find(object, '{', key, 0, value); }

bool pgq_json_item(pgq_json list, size_t number, pgq_json *value) { return find(list, '[', NULL, number, value); }

static uint32_t hex(const char *at) {
  char four[5] = {at[0], at[1], at[2], at[3], 0};
  return (uint32_t)strtoul(four, NULL, 16);
}

static char *utf8(char *out, uint32_t code) {
  if (code < 0x80) {
    *out++ = (char)code;
  } else if (code < 0x800) {
    *out++ = (char)(0xc0 | code >> 6);
    *out++ = (char)(0x80 | (code & 0x3f));
  } else if (code < 0x10000) {
    *out++ = (char)(0xe0 | code >> 12);
    *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    *out++ = (char)(0x80 | (code & 0x3f));
  } else {
    *out++ = (char)(0xf0 | code >> 18);
    *out++ = (char)(0x80 | (code >> 12 & 0x3f));
    *out++ = (char)(0x80 | (code >> 6 & 0x3f));
    *out++ = (char)(0x80 | (code & 0x3f));
  }
  return out;
}

const char *pgq_json_text(pgq_json value) {
  if (value.start == value.end || *value.start != '"') return NULL;
  char *text = pgq_alloc((size_t)(value.end - value.start)), *out = text;
  for (const char *at = value.start + 1; *at != '"'; at++) {
    if (*at != '\\') {
      *out++ = *at;
      continue;
    }
    static const char escapes[] = "b\bf\fn\nr\rt\t";
    const char *known = strchr(escapes, *++at);
    if (*at == 'u') {
      uint32_t code = hex(at + 1);
      at += 4;
      if (code >= 0xd800 && code < 0xdc00 && at[1] == '\\' && at[2] == 'u' && hex(at + 3) >= 0xdc00 && hex(at + 3) < 0xe000) {
        code = 0x10000 + ((code - 0xd800) << 10) + (hex(at + 3) - 0xdc00);
        at += 6;
      }
      out = utf8(out, code >= 0xd800 && code < 0xe000 ? 0xfffd : code);
    } else {
      *out++ = known ? known[1] : *at;
    }
  }
  *out = 0;
  return text;
}

bool pgq_json_number(pgq_json value, double *number) {
  if (value.start == value.end || !strchr("-0123456789", *value.start)) return false;
  *number = strtod(pgq_copy(value.start, (size_t)(value.end - value.start)), NULL);
  return isfinite(*number);
}

const char *pgq_json_quote(const char *text) {
  char *quoted = pgq_alloc(strlen(text) * 6 + 3), *out = quoted;
  *out++ = '"';
  for (; *text; text++) {
    if (*text == '"' || *text == '\\') *out++ = '\\';
    if ((unsigned char)*text < 0x20) out += sprintf(out, "\\u%04x", *text);
    else *out++ = *text;
  }
  *out++ = '"';
  *out = 0;
  return quoted;
}
