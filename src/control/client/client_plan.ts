/** What a client is to do: its tunnels, rules and resolvers, ready to use. */
import type { HostPort } from "../../config/endpoint.ts";
import type { WgConf } from "../../config/wg_conf.ts";
import type { LearnedNamesOptions } from "../../core/route/rules/learned_names.ts";
import type { RuleSet } from "../../core/route/rules/rule.ts";
import type { OutboundAddress, ProxyTls } from "../../io/ports/dialer.ts";
import type { BackoffOptions } from "./backoff.ts";

/** A DNS server. */
export interface Resolver {
  /** Four address words. */
  readonly words: Int32Array;
  readonly port: number;
}

/** What is sent through a tunnel to see whether it carries. */
export type HealthProbe =
  /** An ICMP echo to an address behind it; packet tunnels only. */
  | { readonly kind: "ping"; readonly words: Int32Array }
  /** A question to a resolver behind it, by TCP through a proxy; any answer will do. */
  | { readonly kind: "dns"; readonly server: Resolver; readonly name: string }
  /** A TCP connection to a place behind it; of a proxy a CONNECT. */
  | { readonly kind: "connect"; readonly target: HostPort }
  /**
   * What the tunnel has of its own: a handshake of WireGuard; a connection to
   * the proxy with its greeting and credentials, and of SOCKS5 an association.
   */
  | { readonly kind: "own" };

/** How a tunnel is looked after. */
export interface HealthPlan {
  readonly probe: HealthProbe;
  /** Between two probes of a tunnel that is up. */
  readonly intervalMs: number;
  /** A probe that takes longer has failed. */
  readonly timeoutMs: number;
  /** So many failures in a row make it degraded; it is still used. */
  readonly degradedAfter: number;
  /** So many failures in a row make it down: rules fall back, and it connects anew. */
  readonly downAfter: number;
}

/** A proxy's place; direct is none. */
export type ProxyOutbound = Exclude<
  OutboundAddress,
  { readonly kind: "direct" }
>;

/** A tunnel of the configuration. */
export type TunnelDefinition =
  & {
    readonly name: string;
    /** Resolvers behind it. Empty leaves a program's question where it goes. */
    readonly resolvers: readonly Resolver[];
    readonly health: HealthPlan;
  }
  & (
    | {
      readonly type: "wireguard" | "amneziawg";
      readonly conf: Pick<WgConf, "interface" | "peers">;
    }
    | {
      readonly type: "socks5" | "http";
      readonly proxy: ProxyOutbound;
      readonly tls?: ProxyTls;
    }
  );

/** How names are looked up. */
export interface DnsPlan {
  /**
   * follow: questions of a program go where the program's rule leads, to the
   * resolver there. leave: they are traffic like any other.
   */
  readonly policy: "follow" | "leave";
  /**
   * Resolvers of programs that go direct; empty takes those that the system
   * had before resolv.conf was taken over.
   */
  readonly direct: readonly Resolver[];
  /** A resolver that is silent for longer is told as unreachable. */
  readonly timeoutMs: number;
  readonly learned: LearnedNamesOptions;
  /**
   * Programs that ask on behalf of others, by file name. Whom for is not to be
   * known: `rules` treats their own queries like those of any program, `drop`
   * lets none of them out.
   */
  readonly shared: {
    readonly programs: readonly string[];
    readonly queries: "rules" | "drop";
  };
}

/** Programs that ask for others, as they are named on Linux. */
export const SHARED_RESOLVERS: readonly string[] = [
  "systemd-resolved",
  "systemd-resolve",
  "dnsmasq",
  "unbound",
  "named",
  "nscd",
  "avahi-daemon",
];

/** A whole configuration. */
export interface ClientPlan {
  readonly tunnels: readonly TunnelDefinition[];
  readonly rules: RuleSet;
  readonly dns: DnsPlan;
  /** Waits between tries to connect a tunnel. */
  readonly reconnect: Pick<BackoffOptions, "firstMs" | "mostMs">;
}
