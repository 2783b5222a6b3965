/**
 * The system's resolvers in a running client: resolv.conf, or what stands for it,
 * is taken over and given back as the policy wants, and whoever will find no
 * names is told why.
 */
import type { NameResolution } from "../../io/ports/name_resolution.ts";
import type { ClientPlan } from "./client_plan.ts";
import type { DnsRouter } from "./dns_router.ts";

/** What it works with. */
export interface SystemResolversOptions {
  /** Undefined where the system's list is not ours to change. */
  readonly resolvConf:
    | Pick<NameResolution, "take" | "restore" | "resolvers">
    | undefined;
  readonly dns: DnsRouter;
  readonly warn: (text: string) => void;
}

/** Keeps resolv.conf and the router by a plan. */
export class SystemResolvers {
  readonly #options: SystemResolversOptions;
  /** Tunnels whose lack of resolvers was told. */
  readonly #told = new Set<string>();
  #isTaken = false;

  constructor(options: SystemResolversOptions) {
    this.#options = options;
  }

  /** Makes it as a plan wants; the router has its DNS part already. */
  apply({ dns, tunnels }: ClientPlan): void {
    if (this.#options.resolvConf === undefined) return;
    const isWanted = dns.policy === "follow";
    if (isWanted && !this.#isTaken) this.#take();
    if (!isWanted) this.restore();
    this.refresh();
    if (isWanted) this.#warnOfTunnels(tunnels);
  }

  /** Reads the system's resolvers again. */
  refresh(): void {
    const { resolvConf, dns } = this.#options;
    if (resolvConf !== undefined) dns.system = resolvConf.resolvers();
  }

  /** Gives resolv.conf back. */
  restore(): void {
    if (!this.#isTaken) return;
    this.#isTaken = false;
    try {
      this.#options.resolvConf?.restore();
    } catch (error) {
      const reason = messageOf(error);
      this.#options.warn(
        `the system's resolvers could not be put back: ${reason}; sluice client --reset does it`,
      );
    }
  }

  #take(): void {
    const { resolvConf, dns, warn } = this.#options;
    try {
      resolvConf?.take();
      this.#isTaken = true;
    } catch (error) {
      const reason = messageOf(error);
      warn(
        `the system's resolvers can't be taken over, so that questions of programs are told apart only where they don't ask a resolver on this host: ${reason}`,
      );
    }
    this.refresh();
    if (dns.direct().length > 0) return;
    warn(
      "the system's resolver does not tell whom it asks: name resolvers under dns.direct, or programs that go direct find no names",
    );
  }

  /** Once for each. */
  #warnOfTunnels(tunnels: ClientPlan["tunnels"]): void {
    const { dns, warn } = this.#options;
    for (const tunnel of tunnels) {
      const { name } = tunnel;
      if (dns.behind(tunnel).length > 0) this.#told.delete(name);
      else if (!this.#told.has(name)) {
        this.#told.add(name);
        warn(
          `tunnel ${name} has no resolver, so that its programs find no names: name some under its dns`,
        );
      }
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
