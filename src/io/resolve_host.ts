/** Names and addresses of hosts, by the system's resolver. */
import { lookup } from "node:dns/promises";
import { parseAddress } from "../core/wire/address.ts";

/** A host that could not be found. */
export class ResolveError extends Error {
  override readonly name = "ResolveError";
}

/**
 * The address words of a name or an address as text; of a name the first that
 * the system gives.
 * @throws {ResolveError}
 */
export async function resolveHost(host: string): Promise<Int32Array> {
  const [words] = await resolveAll(host);
  return words;
}

/**
 * All addresses of a name in the system's order, one at least; of an address
 * itself.
 * @throws {ResolveError}
 */
export async function resolveAll(host: string): Promise<Int32Array[]> {
  const literal = parseAddress(host);
  if (literal !== undefined) return [Int32Array.from(literal)];
  try {
    const found = await lookup(host, { all: true });
    const all = found.flatMap(({ address }) => {
      const words = parseAddress(address);
      return words === undefined ? [] : [Int32Array.from(words)];
    });
    if (all.length > 0) return all;
    throw new ResolveError(`${host}: the resolver gave no address`);
  } catch (cause) {
    if (cause instanceof ResolveError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ResolveError(`cannot resolve ${host}: ${reason}`, { cause });
  }
}
