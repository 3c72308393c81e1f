// The current job.
import { decode } from "./bytes.js";
import { Reject } from "./outcome.js";

export class Job {
  #source;
  #details;

  constructor(source) {
    this.#source = source;
    this.#details = source.details();
  }

  get id() {
    return Number(this.#details.id);
  }

  get entrypoint() {
    return this.#details.entrypoint;
  }

  get attempt() {
    return this.#details.attempt;
  }

  get maxAttempts() {
    return this.#details.maxAttempts;
  }

  get isLastAttempt() {
    return this.attempt >= this.maxAttempts;
  }

  get priority() {
    return this.#details.priority;
  }

  get created() {
    return new Date(Number(this.#details.created));
  }

  get payload() {
    return this.#source.payload() ?? undefined;
  }

  text() {
    return decode(this.#bytes(), "the payload");
  }

  json(check) {
    const text = this.text();
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new Reject(`the payload is not JSON: ${error.message}`);
    }
    if (!check) return value;
    try {
      return check(value);
    } catch (error) {
      if (error instanceof Reject) throw error;
      throw new Reject(`the payload is not the JSON expected: ${error?.message ?? error}`);
    }
  }

  header(name) {
    return this.#source.header(name) ?? undefined;
  }

  get headers() {
    return Object.fromEntries(this.#source.headers());
  }

  get idempotencyKey() {
    return this.header("idempotency-key") || `pgq-${this.id}-${this.#details.created}`;
  }

  get timeLeft() {
    return Number(this.#source.timeLeft()) / 1000;
  }

  heartbeat() {
    return this.#source.heartbeat();
  }

  get shouldStop() {
    return this.heartbeat() !== "proceed";
  }

  #bytes() {
    const payload = this.payload;
    if (payload === undefined) throw new Reject("the job has no payload");
    return payload;
  }
}
