/**
 * An HTTP server that sends so many bytes at `/bytes?count=N`, and at `/hash`
 * takes a body and answers its SHA-256. Prints `listening`, and the hash of each
 * body that it has sent. Argument: JSON { address, port }.
 */
import { createHash } from "node:crypto";

const { address, port } = JSON.parse(Deno.args[0]) as {
  address: string;
  port: number;
};
const BLOCK = 1 << 16;

Deno.serve({
  hostname: address,
  port,
  onListen: () => console.log("listening"),
}, async (request) => {
  const url = new URL(request.url);
  if (url.pathname === "/hash") {
    const hash = createHash("sha256");
    for await (const chunk of request.body ?? []) hash.update(chunk);
    return new Response(hash.digest("hex"));
  }
  const count = Number(url.searchParams.get("count") ?? 0);
  return new Response(bytes(count), {
    headers: { "content-length": String(count) },
  });
});

/** So many bytes, no two blocks the same. */
function bytes(count: number): ReadableStream<Uint8Array> {
  const hash = createHash("sha256");
  const block = crypto.getRandomValues(new Uint8Array(BLOCK));
  let left = count;
  return new ReadableStream({
    pull(controller) {
      if (left === 0) {
        controller.close();
        console.log(`sent ${hash.digest("hex")}`);
        return;
      }
      new DataView(block.buffer).setUint32(0, left);
      const chunk = block.slice(0, Math.min(left, BLOCK));
      left -= chunk.length;
      hash.update(chunk);
      controller.enqueue(chunk);
    },
  });
}
