/**
 * Sockets that know which of them are open. The process's own descriptors can't
 * be counted in a test: other test files run in the same process.
 */
import type { StreamSockets } from "../../src/io/ports.ts";

/** Calls whose result is a new descriptor. */
const OPENING = ["listen", "accept", "connect", "openDatagram", "spare"];
const CLOSING = ["close", "reset"];

/** The sockets, counted. */
export interface CountedSockets {
  readonly sockets: StreamSockets;
  /** How many are open. */
  readonly count: number;
  /** One is no longer ours: somebody else closes it. */
  forget(descriptor: number): void;
}

/** Counts what is opened and closed by the sockets that it gives back. */
export function countSockets(sockets: StreamSockets): CountedSockets {
  const open = new Set<number>();
  const call = (name: string, args: unknown[]): unknown => {
    const method = Reflect.get(sockets, name) as (
      ...args: unknown[]
    ) => unknown;
    const result = method.apply(sockets, args);
    if (OPENING.includes(name) && Number(result) >= 0) open.add(Number(result));
    if (CLOSING.includes(name)) open.delete(Number(args[0]));
    return result;
  };
  return {
    sockets: new Proxy(sockets, {
      get(_, name: string) {
        const member = Reflect.get(sockets, name);
        return typeof member === "function"
          ? (...args: unknown[]) => call(name, args)
          : member;
      },
    }),
    get count() {
      return open.size;
    },
    forget: (descriptor) => void open.delete(descriptor),
  };
}
