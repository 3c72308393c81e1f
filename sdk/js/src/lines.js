// The lines of the bundle as those of the files that it was made of, by the source map at its end.

const DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
let decoded;

/** For each line of the bundle, its pieces: column, source, line and column there. */
function table({ mappings }) {
  const at = [0, 0, 0, 0];
  return mappings.split(";").map((line) => {
    at[0] = 0;
    return line
      .split(",")
      .filter(Boolean)
      .map((piece) => {
        numbers(piece).forEach((change, n) => (at[n] += n < 4 ? change : 0));
        return at.slice();
      });
  });
}

function numbers(piece) {
  const all = [];
  let value = 0;
  let shift = 0;
  for (const letter of piece) {
    const digit = DIGITS.indexOf(letter);
    value += (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    all.push(value & 1 ? -(value >> 1) : value >> 1);
    value = shift = 0;
  }
  return all.slice(0, 4);
}

/** `file:line:column` of a place in the bundle, if it has one. */
function original(line, column) {
  const map = globalThis.pgqSourceMap;
  decoded ??= table(map);
  const piece = (decoded[line - 1] ?? []).findLast(([start]) => start <= column - 1);
  return piece && `${map.sources[piece[1]]}:${piece[2] + 1}:${piece[3] + 1}`;
}

/** A line of a stack, with the author's place in it. */
export function authored(frame) {
  if (!globalThis.pgqSourceMap) return frame;
  return frame.replace(/^(.*@).*?:(\d+):(\d+)$/, (whole, name, line, column) => {
    const place = original(Number(line), Number(column));
    return place ? `${name}${place}` : whole;
  });
}
