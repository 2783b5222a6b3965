/**
 * What may leave the host beside what the client sends: the kill switch as the
 * configuration wants it, or, where packets are captured on their way, what the
 * capture lets through by itself.
 */
import type { ClientConfig } from "../config/client_config.ts";
import type { Platform } from "../io/platform.ts";
import {
  type Journal,
  type KillSwitch,
  KillSwitchError,
  type KillSwitchPolicy,
  type OpenedCapture,
} from "../io/ports.ts";
import { attachedNetworks, killSwitchPolicy } from "./client_capture.ts";
import { CLIENT_MARK } from "./client_mark.ts";
import { passRules } from "./client_packet_capture.ts";
import { logger } from "./log.ts";

/** What doors are made of. */
export interface ClientDoorsOptions {
  readonly platform: Platform;
  readonly journal: Journal;
  /** In the place of an interface with routes. */
  readonly capture: OpenedCapture | undefined;
}

/** How the client ends. */
export interface DoorsEnd {
  /** Whether it had started as a whole. */
  readonly wasUp: boolean;
  /** Whether it is the user's wish, so that a kill switch that persists goes too. */
  readonly isWanted: boolean;
}

/** See the module header. */
export class ClientDoors {
  readonly #options: ClientDoorsOptions;
  #killSwitch: KillSwitch | undefined;
  /** Whether a kill switch was in force before we came. */
  #wasClosed = false;

  constructor(options: ClientDoorsOptions) {
    this.#options = options;
  }

  /** Makes it as a configuration wants it. @throws {KillSwitchError} */
  set(config: ClientConfig): void {
    const { capture } = this.#options;
    const networks = attachedNetworks(config.capture.interfaceName);
    if (capture !== undefined) {
      return capture.setPassed("host", passRules(config, networks));
    }
    if (config.killSwitch.enabled) {
      return this.#engage(killSwitchPolicy(config, networks));
    }
    this.#killSwitch?.lift();
    this.#killSwitch?.[Symbol.dispose]();
    this.#killSwitch = undefined;
  }

  /** Whether nothing leaves but by the rules: by a filter, or because all is captured. */
  isShut({ killSwitch }: ClientConfig): boolean {
    return this.#killSwitch !== undefined ||
      (this.#options.capture !== undefined && killSwitch.enabled);
  }

  /** The last that is done: nothing of ours leaves any more. */
  end({ killSwitch: { persist } }: ClientConfig, end: DoorsEnd): void {
    if (this.#killSwitch === undefined) return;
    using killSwitch = this.#killSwitch;
    this.#killSwitch = undefined;
    const stays = persist && !end.isWanted && (end.wasUp || this.#wasClosed);
    if (!stays) killSwitch.lift();
    else {
      logger("Core").warn(
        "the kill switch stays: start again, or lift it by sluice client --reset",
      );
    }
  }

  #engage(policy: KillSwitchPolicy): void {
    const killSwitch = this.#killSwitch ?? this.#open();
    try {
      killSwitch.engage(policy);
    } catch (error) {
      const withoutAnswers = error instanceof KillSwitchError &&
        error.problem === "unsupported" && policy.answeredPorts.length > 0;
      if (!withoutAnswers) throw error;
      killSwitch.engage({ ...policy, answeredPorts: [] });
      logger("Core").warn(
        "this kernel knows no connections (conntrack): whoever calls at killSwitch.allowInbound gets no answers",
      );
    }
  }

  #open(): KillSwitch {
    const { platform, journal } = this.#options;
    const killSwitch = platform.openKillSwitch({ journal, mark: CLIENT_MARK });
    this.#killSwitch = killSwitch;
    this.#wasClosed = killSwitch.state().kind === "on";
    return killSwitch;
  }
}
