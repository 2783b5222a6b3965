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
  const literal = parseAddress(host);
  if (literal !== undefined) return Int32Array.from(literal);
  try {
    const { address } = await lookup(host);
    const words = parseAddress(address);
    if (words !== undefined) return Int32Array.from(words);
    throw new ResolveError(`${host}: the resolver gave ${address}`);
  } catch (cause) {
    if (cause instanceof ResolveError) throw cause;
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new ResolveError(`cannot resolve ${host}: ${reason}`, { cause });
  }
}
