/** TCP: a server that greets, and what becomes of an attempt to connect. */

import { within } from "../wait.ts";
import { accepted } from "../../../src/io/accepted.ts";

/** How an attempt to connect ended. */
export interface ConnectOutcome {
  readonly outcome: "connected" | "refused" | "unreachable" | "no answer";
  readonly timeMs: number;
  /** What the server said first, where it connected. */
  readonly greeting: string;
}

/** Serves a greeting on a port until the agent ends. */
export function tcpServe(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly greeting: string;
  },
): void {
  const { address: hostname, port, greeting } = argument;
  const listener = Deno.listen({ hostname, port });
  void (async () => {
    for await (const connection of accepted(listener)) {
      await connection.write(new TextEncoder().encode(greeting)).catch(() => 0);
      connection.close();
    }
  })();
}

/** Tries to connect, and reads the greeting. */
export async function tcpConnect(
  argument: {
    readonly address: string;
    readonly port: number;
    readonly timeoutMs: number;
  },
): Promise<ConnectOutcome> {
  const { address: hostname, port, timeoutMs } = argument;
  const start = performance.now();
  const outcome = (outcome: ConnectOutcome["outcome"], greeting = "") => ({
    outcome,
    greeting,
    timeMs: performance.now() - start,
  });
  try {
    const connection = await within(
      timeoutMs,
      Deno.connect({ hostname, port }),
    );
    if (!connection) return outcome("no answer");
    const buffer = new Uint8Array(1024);
    const length = await connection.read(buffer) ?? 0;
    connection.close();
    return outcome(
      "connected",
      new TextDecoder().decode(buffer.subarray(0, length)),
    );
  } catch (error) {
    if (error instanceof Deno.errors.ConnectionRefused) {
      return outcome("refused");
    }
    if (error instanceof Deno.errors.TimedOut) return outcome("no answer");
    return outcome("unreachable");
  }
}
