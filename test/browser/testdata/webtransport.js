// A volunteer's end of a WebTransport session (doc/wire.md, appendix H) with a server that sends each message back.
"use strict";

const query = new URLSearchParams(location.search);

function report(told) {
  return fetch("report", { method: "POST", body: JSON.stringify(told) });
}

// frame returns a message of n bytes with its length in front.
function frame(n) {
  const bytes = new Uint8Array(4 + n).fill(n);
  new DataView(bytes.buffer).setUint32(0, n);
  return bytes;
}

// messages yields what comes on a stream, as the lengths of its messages.
async function* messages(readable) {
  let held = new Uint8Array(0);
  for (const reader = readable.getReader(); ; ) {
    const { value, done } = await reader.read();
    if (done) return;
    const joined = new Uint8Array(held.length + value.length);
    joined.set(held);
    joined.set(value, held.length);
    held = joined;
    while (held.length >= 4) {
      const n = new DataView(held.buffer, held.byteOffset).getUint32(0);
      if (held.length < 4 + n) break;
      if (held.subarray(4, 4 + n).some((b) => b !== (n & 255))) throw new Error(`a message of ${n} bytes was changed`);
      held = held.subarray(4 + n);
      yield n;
    }
  }
}

// session sends messages of all sizes, takes them back, and ends its stream. It waits until the server has ended the session: one
// that Firefox closes itself may be reset before the end of the stream has left.
async function session(url, hash) {
  const transport = new WebTransport(url, { serverCertificateHashes: [{ algorithm: "sha-256", value: hash }] });
  await transport.ready;
  const stream = await transport.createBidirectionalStream();
  const sizes = [];
  for (let i = 0; i < 2000; i++) sizes.push(1 + ((i * 7919) % (i % 100 ? 2048 : 65536)));
  const writer = stream.writable.getWriter();
  const sending = (async () => {
    for (const n of sizes) await writer.write(frame(n));
  })();
  const down = { Count: 0, Bytes: 0, Longest: 0 };
  for await (const n of messages(stream.readable)) {
    if (n !== sizes[down.Count]) throw new Error(`message ${down.Count} has ${n} bytes of ${sizes[down.Count]}`);
    down.Count++;
    down.Bytes += n;
    down.Longest = Math.max(down.Longest, n);
    if (down.Count === sizes.length) break;
  }
  await sending;
  await writer.close();
  await transport.closed.catch(() => {});
  return down;
}

// broken sends a frame with a length that is not allowed, and waits until the server has ended the session.
async function broken(url, hash) {
  const transport = new WebTransport(url, { serverCertificateHashes: [{ algorithm: "sha-256", value: hash }] });
  await transport.ready;
  const stream = await transport.createBidirectionalStream();
  await stream.writable.getWriter().write(new Uint8Array([0, 1, 0, 1]));
  await transport.closed.catch(() => {});
}

(async () => {
  await report({ What: "start" });
  const hash = Uint8Array.from(atob(query.get("hash")), (c) => c.charCodeAt(0));
  const url = query.get("url");
  try {
    const down = await session(url, hash);
    await broken(url, hash);
    await report({ What: "end", Down: down });
  } catch (error) {
    await report({ What: "error", Text: String(error) });
  }
})();
