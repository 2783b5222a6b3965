/**
 * DNS follows the program: a question goes the way of the program that asks it,
 * to a resolver that is to be asked that way.
 *
 *     the flow goes     asked                  is sent to
 *     by a tunnel       anybody                the tunnel's resolver
 *     direct            the capture's address  a resolver for direct
 *     direct            anybody else           where it is asked
 *
 * "The capture's address" is what /etc/resolv.conf names while the client runs
 * (`resolv_conf.ts`): nobody lives there, so that a question to it must be
 * settled here. A tunnel without resolvers of its own is asked for those of
 * direct that lie in the internet: one in the local network can't be reached
 * from behind it.
 *
 * What is attributable: every question that a program sends itself, by its libc
 * or otherwise, to any address but loopback. What is not: questions that a
 * program hands to a resolver on this host, such as systemd-resolved by its stub
 * at 127.0.0.53, by D-Bus or varlink (nss-resolve), or a local dnsmasq. That
 * resolver asks for all of them alike, so its questions are those of the
 * resolver's own process: by `shared.queries: rules` they go where a rule about
 * that process or the default leads, by `drop` nowhere. resolv.conf taken over
 * keeps libc from asking the stub; what a resolver sends by sockets that are
 * bound to an interface goes past the capture and ends at the kill switch.
 */
import {
  equalWords,
  formatAddress,
  isMappedIpv4,
} from "../../core/wire/address.ts";
import { Protocol } from "../../core/wire/protocol.ts";
import type { FlowEnd } from "../client_engine.ts";
import { isPrivate } from "../public_endpoint.ts";
import type { DnsPlan, Resolver } from "./client_plan.ts";
import type { ReachedResolver, ResolverWatch } from "./resolver_watch.ts";

/** The port of resolvers. */
export const DNS_PORT = 53;

/** Where a question is sent. */
export type DnsRoute =
  /** Where it goes by itself. */
  | { readonly kind: "as-is" }
  | { readonly kind: "to"; readonly reached: ReachedResolver }
  /** There is no resolver of its family that way. */
  | { readonly kind: "none" };

/** A flow by which a question may go. */
export interface QuestionFlow {
  readonly protocol: number;
  readonly remote: FlowEnd;
}

/** What the router works with. */
export interface DnsRouterOptions {
  readonly plan: DnsPlan;
  /** Addresses of the capture that resolv.conf names. */
  readonly captured: readonly Int32Array[];
  readonly watch: ResolverWatch;
}

const AS_IS: DnsRoute = { kind: "as-is" };

/** Chooses resolvers. */
export class DnsRouter {
  readonly #captured: readonly Int32Array[];
  readonly #watch: ResolverWatch;
  #plan: DnsPlan;
  #system: readonly Resolver[] = [];

  constructor({ plan, captured, watch }: DnsRouterOptions) {
    this.#plan = plan;
    this.#captured = captured;
    this.#watch = watch;
  }

  set plan(plan: DnsPlan) {
    this.#plan = plan;
  }

  /** The resolvers that the system has for itself. */
  set system(resolvers: readonly Resolver[]) {
    this.#system = resolvers;
  }

  /** Whether the flow is one to a resolver, at least by its port. */
  isQuestion({ protocol, remote }: QuestionFlow): boolean {
    return remote.port === DNS_PORT &&
      (protocol === Protocol.Udp || protocol === Protocol.Tcp);
  }

  /** Whether it asks the address that stands in for resolvers. */
  isCaptured({ remote }: QuestionFlow): boolean {
    return this.#captured.some((words) =>
      equalWords(words, 0, remote.words, 0)
    );
  }

  /** Resolvers for what goes direct. */
  direct(): readonly Resolver[] {
    return this.#plan.direct.length > 0 ? this.#plan.direct : this.#system;
  }

  /** Resolvers for what goes by a tunnel: its own, or those of direct that can be reached from behind it. */
  behind(
    { resolvers }: { readonly resolvers: readonly Resolver[] },
  ): readonly Resolver[] {
    return resolvers.length > 0
      ? resolvers
      : this.direct().filter(({ words }) => !isPrivate(formatAddress(words)));
  }

  /**
   * Where a question is sent.
   * @param tunnel that it goes by, with its resolvers; undefined for direct.
   */
  route(
    flow: QuestionFlow,
    tunnel:
      | { readonly name: string; readonly resolvers: readonly Resolver[] }
      | undefined,
    now: number,
  ): DnsRoute {
    if (!this.isQuestion(flow)) return AS_IS;
    const isCaptured = this.isCaptured(flow);
    if (
      !isCaptured && (tunnel === undefined || this.#plan.policy === "leave")
    ) {
      return AS_IS;
    }
    const resolvers = tunnel === undefined
      ? this.direct()
      : this.behind(tunnel);
    if (resolvers.length === 0 && !isCaptured) return AS_IS;
    const isIpv4 = isMappedIpv4(flow.remote.words);
    const family = resolvers.filter(({ words }) =>
      isMappedIpv4(words) === isIpv4
    );
    const resolver = this.#watch.choose(family, tunnel?.name, now);
    return resolver === undefined
      ? { kind: "none" }
      : { kind: "to", reached: { resolver, tunnel: tunnel?.name } };
  }
}
