/**
 * A listener's connections, one after the other. Deno's own iteration ends with
 * an error at the first connection that was reset before it was taken, and at
 * the first that finds no free descriptor: anybody outside could end it so.
 */

/** How long to wait where the system gives no connection: out of descriptors. */
const RETRY_MS = 100;

/** What gives connections until it is closed. */
interface Accepting<Connection> {
  accept(): Promise<Connection>;
}

/** Yields connections until the listener is closed. Never throws. */
export async function* accepted<Connection>(
  listener: Accepting<Connection>,
): AsyncGenerator<Connection, void, void> {
  for (;;) {
    try {
      yield await listener.accept();
    } catch (error) {
      if (isClosed(error)) return;
      if (isGone(error)) continue;
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function isClosed(error: unknown): boolean {
  return error instanceof Deno.errors.BadResource ||
    error instanceof Deno.errors.Interrupted;
}

/** Whether whoever asked has hung up again before we came to it. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotConnected ||
    error instanceof Deno.errors.ConnectionReset ||
    error instanceof Deno.errors.ConnectionAborted;
}
