// The sections of a WebAssembly file: a module's, or a component's.

/** `{ id, head, start, end }` of each: where its head begins, and its content. */
export function sections(bytes) {
  const all = [];
  for (let at = 8; at < bytes.length; ) {
    const head = at;
    const id = bytes[at++];
    let size = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 28) throw new Error("a section is cut off");
      size += (byte & 127) * 2 ** shift;
      if (byte < 128) break;
    }
    if (at + size > bytes.length) throw new Error("a section is cut off");
    all.push({ id, head, start: at, end: at + size });
    at += size;
  }
  return all;
}

/** A section's head and content. */
export function section(id, content) {
  const head = [id];
  let size = content.length;
  for (; size > 127; size = Math.floor(size / 128)) head.push((size & 127) | 128);
  return Buffer.concat([Buffer.from([...head, size]), content]);
}
