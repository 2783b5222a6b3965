/**
 * The kill switch: nothing leaves the host but what sluice sends itself, what
 * sluice captures, and what the configuration lets through.
 */
import type { AddressWords } from "../../core/wire/address.ts";

/** A network that stays reachable. */
export interface AllowedNetwork {
  readonly family: 4 | 6;
  /** Address words. */
  readonly words: AddressWords;
  /** Prefix length within the family. */
  readonly prefixLength: number;
}

/**
 * What may leave the host. Loopback, what sluice itself sends, and the
 * neighbour discovery that IPv6 needs to work at all may always.
 */
export interface KillSwitchPolicy {
  /**
   * Interfaces whose packets sluice takes: what leaves by them may. `below`: it
   * takes what leaves by any, beneath all of them; while it runs, all may.
   */
  readonly captureInterfaces: readonly string[] | "below";
  /** Networks that may be reached directly. */
  readonly networks: readonly AllowedNetwork[];
  /** DNS (port 53) to those networks: a resolver there would ask the outside. */
  readonly networkDns: "pass" | "drop";
  /** Requests to DHCP servers, of both families. */
  readonly dhcp: "pass" | "drop";
  /** Answers within connections that others have opened to this host. */
  readonly answers: "pass" | "drop";
  /**
   * TCP ports of this host: answers within connections that others open to
   * them leave by the host's own routes, whoever answers. Systems without
   * connection tracking refuse any.
   */
  readonly answeredPorts: readonly number[];
  /** What this host forwards for others (containers, virtual machines). */
  readonly forwarded: "pass" | "drop";
  /**
   * When sluice ends without lifting it, by a crash or a kill: `stay` keeps
   * everything shut until it is lifted, `go` opens.
   */
  readonly afterCrash: "stay" | "go";
}

/** Whether the switch is in force. */
export type KillSwitchState =
  | { readonly kind: "off" }
  | {
    /** `ours`: engaged here. `other`: by another process, or left by one. */
    readonly kind: "on";
    readonly by: "ours" | "other";
    /** What it has dropped since it was engaged; undefined where the system doesn't say. */
    readonly dropped:
      | { readonly packets: number; readonly bytes: number }
      | undefined;
  };

/** Why the switch cannot be engaged or lifted. */
export type KillSwitchProblem = "unsupported" | "denied" | "busy" | "refused";

/** The system would not; the message says what to do. */
export class KillSwitchError extends Error {
  override readonly name = "KillSwitchError";
  constructor(
    readonly problem: KillSwitchProblem,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** The host's packet filter, as far as the kill switch needs it. */
export interface KillSwitch extends Disposable {
  /**
   * Puts a policy in force, in one step: at no moment is there none, where one
   * was before, be it ours or one that another process left.
   * @throws {KillSwitchError}
   */
  engage(policy: KillSwitchPolicy): void;
  /**
   * Takes it away, also where another process left it.
   * @throws {KillSwitchError}
   */
  lift(): void;
  /** @throws {KillSwitchError} */
  state(): KillSwitchState;
}
