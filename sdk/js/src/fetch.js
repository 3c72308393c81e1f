// `fetch` over the host's requests. What it takes is what handlers use of it: a URL or a Request, and method, headers,
// body and `timeout` (seconds). It never follows a redirect, and an answer is there with all of its body.
import { millis } from "./time.js";

/** No answer may have a body with these. */
const EMPTY = [204, 205, 304];

export const fetchOver = (send) =>
  async function fetch(resource, init = {}) {
    const from = typeof resource === "object" && "url" in resource ? resource : {};
    const method = String(init.method ?? from.method ?? "GET").toUpperCase();
    const headers = pairs(init.headers ?? from.headers ?? []);
    const given = "body" in init ? init.body : from.body && (await from.arrayBuffer());
    const [body, type] = bytes(given);
    if (type && !headers.some(([name]) => name.toLowerCase() === "content-type")) headers.push(["content-type", type]);
    const timeoutMs = init.timeout === undefined ? undefined : millis(init.timeout);
    const answer = send({ method, url: String(from.url ?? resource), headers, body, timeoutMs });
    const whole = EMPTY.includes(answer.status) ? null : join(answer.pieces);
    return new Response(whole, { status: answer.status, headers: answer.headers });
  };

const pairs = (headers) => (typeof headers[Symbol.iterator] === "function" ? [...headers] : Object.entries(headers)).map(([name, value]) => [String(name), String(value)]);

/** The body's bytes, and its type where it says one. */
function bytes(body) {
  if (body === undefined || body === null) return [new Uint8Array()];
  if (body instanceof ArrayBuffer) return [new Uint8Array(body)];
  if (ArrayBuffer.isView(body)) return [new Uint8Array(body.buffer, body.byteOffset, body.byteLength)];
  if (body instanceof URLSearchParams) return [new TextEncoder().encode(String(body)), "application/x-www-form-urlencoded;charset=UTF-8"];
  if (typeof body === "string") return [new TextEncoder().encode(body), "text/plain;charset=UTF-8"];
  throw new TypeError("a body is text, bytes or URLSearchParams here");
}

function join(pieces) {
  const whole = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
