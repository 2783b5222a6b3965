/**
 * Real traffic through a tunnel, to see whether it carries. How it is sent is
 * the caller's; the control plane says what, and takes what came of it.
 *
 * What goes through a packet tunnel (`ping`, `dns`, `connect`) is sent by
 * sockets of ours without the mark: the capture takes them as a program's, and
 * {@linkcode OwnFlows} leads them into the tunnel, so that a probe goes the very
 * way that a program's packets go.
 */
import type { HostPort } from "../../config/endpoint.ts";
import type { DialerSetup } from "../../io/ports/dialer.ts";
import type { Resolver } from "./client_plan.ts";
import type { ProbeOutcome } from "./probe_outcome.ts";

/** What to send. Failures are outcomes; nothing is thrown. */
export type ProbeRequest =
  & { readonly tunnel: string; readonly timeoutMs: number }
  & (
    | { readonly kind: "ping"; readonly words: Int32Array }
    | { readonly kind: "dns"; readonly server: Resolver; readonly name: string }
    | { readonly kind: "connect"; readonly target: HostPort }
    /** To the proxy itself, by a marked socket. */
    | {
      readonly kind: "proxy";
      readonly setup: DialerSetup;
      /**
       * greet: as far as the proxy takes us for one of its users, and of SOCKS5
       * an association. Otherwise a connection to the target, and an answer to
       * the question where there is one.
       */
      readonly ask:
        | { readonly kind: "greet" }
        | { readonly kind: "connect"; readonly target: HostPort }
        | {
          readonly kind: "dns";
          readonly server: Resolver;
          readonly name: string;
        };
    }
  );

/** Sends probes. */
export type Prober = (request: ProbeRequest) => Promise<ProbeOutcome>;

/** Addresses of a name, one at least; of an address itself. @throws {Error} with the reason. */
export type HostResolver = (host: string) => Promise<readonly Int32Array[]>;
