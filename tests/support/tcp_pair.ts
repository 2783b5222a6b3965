/** TCP connections between agents in two namespaces, both ends in hand. */
import assert from "node:assert/strict";
import type { Agent } from "./agent.ts";
import type { StreamReceived } from "./agent/tcp_stream.ts";
import { waitFor } from "./wait.ts";

const PATIENCE_MS = 20_000;
const STALL_MS = 1000;
const PORT = 9000;

/** One end of a connection. */
export class TcpEnd {
  constructor(readonly agent: Agent, readonly handle: number) {}

  send(text: string): Promise<string> {
    return this.agent.call("streamSend", { handle: this.handle, text });
  }

  /** Sends as much as the other end takes. @returns bytes */
  fill(most: number): Promise<number> {
    const { handle } = this;
    return this.agent.call("streamFill", { handle, most, stallMs: STALL_MS });
  }

  /** Reads until `most` bytes, the end, or a long silence. */
  receive(most?: number): Promise<StreamReceived> {
    const { handle } = this;
    return this.agent.call("streamReceive", {
      handle,
      timeoutMs: PATIENCE_MS,
      most,
    });
  }

  finish(): Promise<void> {
    return this.agent.call("streamFinish", { handle: this.handle });
  }

  reset(): Promise<void> {
    return this.agent.call("streamReset", { handle: this.handle });
  }

  close(): Promise<void> {
    return this.agent.call("streamClose", { handle: this.handle });
  }
}

/** Both ends of a connection. */
export interface TcpPair {
  /** The client's. */
  readonly near: TcpEnd;
  /** The server's. */
  readonly far: TcpEnd;
}

/** A server that takes connections one by one. */
export class TcpListener {
  private constructor(
    readonly agent: Agent,
    readonly address: string,
    readonly handle: number,
  ) {}

  static async open(agent: Agent, address: string): Promise<TcpListener> {
    const place = { address, port: PORT };
    const handle = await agent.call("streamListen", place);
    return new TcpListener(agent, address, handle);
  }

  /** Connects a client. @param options a port of its own choice */
  async connect(
    client: Agent,
    options: { readonly localPort?: number } = {},
  ): Promise<TcpPair> {
    const timeoutMs = PATIENCE_MS;
    const { address, agent, handle: listener } = this;
    // The port is the client's own until its last FIN is acknowledged.
    const opened = await waitFor("the port to be free", async () => {
      const place = { address, port: PORT, timeoutMs };
      const opened = await client.call("streamOpen", { ...place, ...options });
      return opened.outcome !== "AddressNotAvailable" && opened;
    }, { intervalMs: 5 });
    assert.equal(opened.outcome, "connected");
    const taken = await agent.call("streamAccept", { listener, timeoutMs });
    assert.ok(taken, "the connection arrives");
    return {
      near: new TcpEnd(client, opened.handle),
      far: new TcpEnd(agent, taken.handle),
    };
  }
}

/** Asserts that a text arrives. */
export async function assertHears(
  from: TcpEnd,
  to: TcpEnd,
  text: string,
): Promise<void> {
  assert.equal(await from.send(text), "sent");
  assert.equal((await to.receive(text.length)).text, text);
}
