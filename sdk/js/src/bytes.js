// Values to bytes, and back.
import { Reject } from "./outcome.js";

/** Bytes as they are, text in UTF-8, anything else as JSON. Nothing for undefined. */
export function encode(value, what) {
  if (value === undefined || value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (typeof value === "string") return new TextEncoder().encode(value);
  return encodeJson(value, what);
}

export function encodeJson(value, what) {
  let text;
  try {
    text = JSON.stringify(value);
  } catch (error) {
    throw new Reject(`${what} cannot be represented as JSON: ${error.message}`);
  }
  if (text === undefined) throw new Reject(`${what} cannot be represented as JSON: it is a ${typeof value}`);
  return new TextEncoder().encode(text);
}

/** UTF-8, where another attempt would find the same bytes. */
export function decode(bytes, what) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new Reject(`${what} is not UTF-8`);
  }
}
