/** Why a name could not be looked up, told apart as far as the system tells. */
import type { ProbeFailure } from "./probe_outcome.ts";

/** Codes of getaddrinfo that say that the name, not the resolver, is at fault. */
const NO_SUCH_NAME = /ENOTFOUND|ENODATA|NXDOMAIN|not known/;
/** And those, with the system's texts, that say that nobody was there to ask. */
const NO_RESOLVER = /EAI_AGAIN|ETIMEOUT|ETIMEDOUT|ECONNREFUSED|[Tt]emporary/;

/** What to tell of a failed look-up. */
export function resolveFailure(host: string, error: unknown): ProbeFailure {
  const text = textOf(error);
  return NO_SUCH_NAME.test(text) && !NO_RESOLVER.test(text)
    ? {
      kind: "failed",
      cause: "no-such-name",
      text: `${host} has no address: is the name right? (${text})`,
    }
    : {
      kind: "failed",
      cause: "resolver-unreachable",
      text: `${host} could not be looked up, no resolver answers: ${text}`,
    };
}

/** The message and code of an error and of what led to it. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { message } = error;
  const { code } = error as { code?: unknown };
  const own = typeof code === "string" && !message.includes(code)
    ? `${message} (${code})`
    : message;
  const { cause } = error;
  if (!(cause instanceof Error)) return own;
  const deeper = textOf(cause);
  return own.includes(deeper) ? own : `${own}: ${deeper}`;
}
