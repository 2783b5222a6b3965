/**
 * One end of TCP streams that carry seeded pseudo-random bytes both ways at
 * once, as a program of its own: each end hashes what it sends and what it gets.
 * It takes its options as JSON in its one argument and prints a
 * {@linkcode StreamHashes} as JSON.
 */
import { createHash } from "node:crypto";
import { SeededRandom } from "../core/columns/seeded_random.ts";

/** What one end is to do. */
export interface StreamOptions {
  readonly role: "listens" | "connects";
  readonly address: string;
  /** Port of the first stream; each has its own, counted up. */
  readonly port: number;
  readonly streams: number;
  /** Bytes of each stream, each way. */
  readonly bytes: number;
  /** The first stream's seed for this end's bytes, counted up. */
  readonly seed: number;
}

/** A direction of one stream. */
export interface StreamHash {
  readonly bytes: number;
  /** SHA-256 in hex. */
  readonly hash: string;
}

/** What went through, by stream. */
export interface StreamHashes {
  readonly sent: readonly StreamHash[];
  readonly received: readonly StreamHash[];
  /** From the first byte to the last, both ways, in ms. */
  readonly durationMs: number;
}

const CHUNK = 1 << 16;

async function send(
  connection: Deno.TcpConn,
  options: { readonly bytes: number; readonly seed: number },
): Promise<StreamHash> {
  const random = new SeededRandom(options.seed);
  const hash = createHash("sha256");
  const words = new Uint32Array(CHUNK / 4);
  for (let left = options.bytes; left > 0;) {
    for (let i = 0; i < words.length; i++) words[i] = random.next();
    const chunk = new Uint8Array(words.buffer, 0, Math.min(CHUNK, left));
    hash.update(chunk);
    for (let at = 0; at < chunk.length;) {
      at += await connection.write(chunk.subarray(at));
    }
    left -= chunk.length;
  }
  await connection.closeWrite();
  return { bytes: options.bytes, hash: hash.digest("hex") };
}

async function receive(connection: Deno.TcpConn): Promise<StreamHash> {
  const hash = createHash("sha256");
  const buffer = new Uint8Array(CHUNK);
  let bytes = 0;
  while (true) {
    const length = await connection.read(buffer);
    if (length === null) return { bytes, hash: hash.digest("hex") };
    hash.update(buffer.subarray(0, length));
    bytes += length;
  }
}

async function open(
  options: StreamOptions,
): Promise<Deno.TcpConn[]> {
  const places = Array.from({ length: options.streams }, (_, i) => ({
    hostname: options.address,
    port: options.port + i,
  }));
  if (options.role === "connects") {
    return await Promise.all(places.map((place) => Deno.connect(place)));
  }
  const listeners = places.map((place) => Deno.listen(place));
  console.error("listening");
  return await Promise.all(listeners.map((listener) => listener.accept()));
}

if (import.meta.main) {
  const options: StreamOptions = JSON.parse(Deno.args[0]);
  const connections = await open(options);
  const start = performance.now();
  const [sent, received] = await Promise.all([
    Promise.all(
      connections.map((connection, i) =>
        send(connection, { bytes: options.bytes, seed: options.seed + i })
      ),
    ),
    Promise.all(connections.map(receive)),
  ]);
  const durationMs = performance.now() - start;
  console.log(JSON.stringify({ sent, received, durationMs }));
  Deno.exit(0);
}
