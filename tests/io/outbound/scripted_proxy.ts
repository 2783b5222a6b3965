/** A proxy that does what a test says: answers by bytes, dies, hangs. */

import { accepted } from "../../../src/io/accepted.ts";

/** What happens on a connection, step by step. */
export type Step =
  | { readonly await: number }
  | { readonly say: Uint8Array | string }
  /** One byte at a time, each when the one before has left. */
  | { readonly drip: Uint8Array | string }
  /** With bytes unread it arrives as a reset. */
  | "close"
  | "hang";

/** Plays the same script on each connection. */
export class ScriptedProxy implements Disposable {
  readonly port: number;
  /** What came, a list for each connection. */
  readonly heard: Uint8Array[] = [];
  /** Connections whose other end has gone. */
  ended = 0;
  readonly #listener: Deno.TcpListener;
  readonly #script: readonly Step[];
  readonly #open = new Set<Deno.TcpConn>();

  constructor(script: readonly Step[]) {
    this.#listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.port = this.#listener.addr.port;
    this.#script = script;
    void this.#serve();
  }

  [Symbol.dispose](): void {
    this.#listener.close();
    for (const connection of this.#open) connection.close();
    this.#open.clear();
  }

  async #serve(): Promise<void> {
    for await (const connection of accepted(this.#listener)) {
      this.#open.add(connection);
      void this.#play(connection).catch(() => {}).finally(() => {
        if (this.#open.delete(connection)) connection.close();
      });
    }
  }

  async #play(connection: Deno.TcpConn): Promise<void> {
    const row = this.heard.push(new Uint8Array()) - 1;
    connection.setNoDelay(true);
    for (const step of this.#script) {
      if (step === "close") return;
      if (step === "hang") await this.#hear(connection, row, Infinity);
      else if ("await" in step) await this.#hear(connection, row, step.await);
      else if ("say" in step) await write(connection, bytes(step.say));
      else for (const byte of bytes(step.drip)) await drip(connection, byte);
    }
    await this.#hear(connection, row, Infinity);
  }

  async #hear(
    connection: Deno.TcpConn,
    row: number,
    length: number,
  ): Promise<void> {
    const room = new Uint8Array(Math.min(length, 65_536));
    for (let left = length; left > 0;) {
      const count = await connection.read(
        room.subarray(0, Math.min(left, room.length)),
      ).catch(() => null);
      if (count === null) {
        this.ended++;
        throw new Error("the other end has gone");
      }
      this.heard[row] = Uint8Array.of(
        ...this.heard[row],
        ...room.subarray(0, count),
      );
      left -= count;
    }
  }
}

/** Bytes of text whose characters are bytes. */
export function bytes(text: Uint8Array | string): Uint8Array {
  if (typeof text !== "string") return text;
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

async function write(
  connection: Deno.TcpConn,
  data: Uint8Array,
): Promise<void> {
  for (let at = 0; at < data.length;) {
    at += await connection.write(data.subarray(at));
  }
}

async function drip(connection: Deno.TcpConn, byte: number): Promise<void> {
  await write(connection, Uint8Array.of(byte));
  await new Promise((resolve) => setTimeout(resolve, 2));
}
