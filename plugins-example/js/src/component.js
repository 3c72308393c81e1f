// What the component exports: the handlers, run by the SDK.
import "./handlers.js";
export { batchHandler, describe, handler } from "pgq-plugin/component";
