/**
 * What is done when the network changes. Not every change matters: an interface
 * that we don't use may come and go.
 *
 *     the way out is another one, or its address is   setEgress, reset, tunnels at once
 *     the machine has slept                           reset, tunnels at once
 *     this process was stopped for a while            tunnels at once: nothing else is old
 *     there is no way out at all, or one again        the same as for another one
 *
 * Without a way out tunnels are tried all the same: their other ends may be near.
 *
 * Reset: proxy connections are closed, translations and held packets forgotten,
 * look-ups that wait dropped, names learned in the other network forgotten.
 */
import { equalWords } from "../../core/wire/address.ts";
import type { Egress } from "../../io/ports/host_network.ts";
import type { ClientEgress } from "../client_engine.ts";
import type { NetworkChange } from "../../io/ports/network_monitor.ts";
import type { NamedCounters } from "./named_counters.ts";

/** How packets leave the host in one family. */
export interface FamilyEgress extends Egress {
  readonly interfaceName: string;
}

/** How packets leave the host; undefined where a family has no way out. */
export interface EgressChoice {
  readonly ipv4: FamilyEgress | undefined;
  readonly ipv6: FamilyEgress | undefined;
}

/**
 * The interfaces that sockets of the direct way are bound to. A family without a
 * way out is bound to that of the other: nothing of it leaves, but no route of
 * the capture takes it in again either.
 */
export function boundInterfaces({ ipv4, ipv6 }: EgressChoice): ClientEgress {
  return {
    ipv4: (ipv4 ?? ipv6)?.interfaceIndex,
    ipv6: (ipv6 ?? ipv4)?.interfaceIndex,
  };
}

/** Why something was done. */
export type NetworkCause =
  | "egress"
  | "offline"
  | "online"
  | "sleep"
  | "stopped";

/** What the reaction works with. */
export interface NetworkReactionOptions {
  /** Asks the system, our own routes left aside. */
  readonly chooseEgress: () => EgressChoice;
  readonly setEgress: (egress: EgressChoice) => void;
  readonly reset: () => void;
  readonly tunnels: { handleNetworkChange(): void };
  readonly counters: NamedCounters;
  readonly onReaction: (cause: NetworkCause, text: string) => void;
}

/** Follows the network. */
export class NetworkReaction {
  readonly #options: NetworkReactionOptions;
  #egress: EgressChoice;

  constructor(options: NetworkReactionOptions) {
    this.#options = options;
    this.#egress = options.chooseEgress();
  }

  /** How packets leave now. */
  get egress(): EgressChoice {
    return this.#egress;
  }

  /** The first choice: before anything is sent. */
  start(): void {
    const { setEgress, onReaction } = this.#options;
    setEgress(this.#egress);
    if (isOffline(this.#egress)) onReaction("offline", TEXTS.offline);
  }

  /** A burst of changes. */
  handle(changes: readonly NetworkChange[]): void {
    const { chooseEgress, counters } = this.#options;
    for (const { kind } of changes) counters.add(`network:${kind}`);
    const before = this.#egress;
    this.#egress = chooseEgress();
    const isOther = !sameEgress(before, this.#egress) ||
      changes.some((change) => isLost(change, before));
    const resumes = changes.filter((change) => change.kind === "resume");
    if (isOther) this.#goOn(causeOf(before, this.#egress));
    else if (resumes.some(({ cause }) => cause === "sleep")) {
      this.#goOn("sleep");
    } else if (resumes.length > 0) this.#wake();
  }

  #goOn(cause: "offline" | "online" | "egress" | "sleep"): void {
    const { setEgress, reset, tunnels, counters, onReaction } = this.#options;
    counters.add(cause === "sleep" ? "resumes" : "egressChanges");
    const ways = egressText(this.#egress);
    onReaction(cause, ways === "" ? TEXTS[cause] : `${TEXTS[cause]}: ${ways}`);
    setEgress(this.#egress);
    reset();
    counters.add("resets");
    tunnels.handleNetworkChange();
  }

  #wake(): void {
    const { tunnels, counters, onReaction } = this.#options;
    counters.add("resumes");
    onReaction(
      "stopped",
      "this process was stopped for a while: tunnels are tried at once",
    );
    tunnels.handleNetworkChange();
  }
}

const TEXTS = {
  offline: "there is no network: no default route",
  online: "the network is back",
  egress: "the network is another one",
  sleep: "the machine has slept",
} as const;

function causeOf(
  before: EgressChoice,
  now: EgressChoice,
): "offline" | "online" | "egress" {
  if (isOffline(now)) return "offline";
  return isOffline(before) ? "online" : "egress";
}

function isOffline({ ipv4, ipv6 }: EgressChoice): boolean {
  return ipv4 === undefined && ipv6 === undefined;
}

function sameEgress(one: EgressChoice, other: EgressChoice): boolean {
  return sameWay(one.ipv4, other.ipv4) && sameWay(one.ipv6, other.ipv6);
}

function sameWay(
  one: FamilyEgress | undefined,
  other: FamilyEgress | undefined,
): boolean {
  if (one === undefined || other === undefined) return one === other;
  if (one.interfaceIndex !== other.interfaceIndex) return false;
  if (one.source === undefined || other.source === undefined) {
    return one.source === other.source;
  }
  return equalWords(one.source, 0, other.source, 0);
}

/** Whether the address or link that we leave by is gone, if only for a moment. */
function isLost(change: NetworkChange, { ipv4, ipv6 }: EgressChoice): boolean {
  return [ipv4, ipv6].some((way) => {
    if (way === undefined) return false;
    switch (change.kind) {
      case "link":
        return change.index === way.interfaceIndex && change.now !== "up";
      case "address":
        return change.index === way.interfaceIndex && change.now === "gone" &&
          way.source !== undefined &&
          equalWords(change.words, 0, way.source, 0);
      default:
        return false;
    }
  });
}

function egressText({ ipv4, ipv6 }: EgressChoice): string {
  const ways = [
    ...(ipv4 === undefined ? [] : [`IPv4 by ${ipv4.interfaceName}`]),
    ...(ipv6 === undefined ? [] : [`IPv6 by ${ipv6.interfaceName}`]),
  ];
  return ways.join(", ");
}
