// How a run ends other than with an output. Each can be thrown anywhere in a handler, or returned.
import { millis } from "./time.js";

export class Retry extends Error {
  name = "Retry";
  constructor(message, options = {}) {
    super(message, options);
    this.afterMs = options.after === undefined ? undefined : millis(options.after);
  }
}

export class Reject extends Error {
  name = "Reject";
}

export class Snooze extends Error {
  name = "Snooze";
  constructor(after) {
    super(`again in ${after} s`);
    this.afterMs = millis(after);
  }
}

export class Discard extends Error {
  name = "Discard";
}
