/**
 * WireGuard and AmneziaWG behind the contract of all tunnels. That one works is
 * told by what comes from its other end: a session that is not used up, while
 * what is sent is answered; else a new handshake, and what the configuration
 * wants asked through the tunnel besides.
 *
 * A session is renewed by traffic only, every two minutes, and ends after three
 * (WireGuard paper, section 6.2): a tunnel that idles has none then, which says
 * nothing, so that a probe makes a new one.
 */
import { Way } from "../../core/flow/flow_table.ts";
import type { TunnelCarries } from "../../core/route/rules/facts.ts";
import type { PacketTunnelSetup } from "../client_engine.ts";
import type { DesiredPeer } from "../peer_sync.ts";
import type { Resolver, TunnelDefinition } from "./client_plan.ts";
import type { ProbeFailure, ProbeOutcome } from "./probe_outcome.ts";
import type { Trust } from "./tunnel_output.ts";
import type {
  DefinitionOf,
  ProviderOptions,
  ProviderStatus,
  TunnelProvider,
} from "./tunnel_provider.ts";

/** Where the file names none. */
const DEFAULT_MTU = 1420;
/** A session lives for so long (WireGuard paper, section 6.1: Reject-After-Time). */
const SESSION_MS = 180_000;
/** What was sent should be answered within this; WireGuard itself allows for 15 s. */
const SILENCE_MS = 15_000;
/** A handshake that has just been made is as good as one that we ask for. */
const FRESH_MS = 2_000;
/** How often a handshake that was asked for is looked for. */
const POLL_MS = 100;

const NO_ANSWER: ProbeFailure = {
  kind: "failed",
  cause: "no-answer",
  text: "the other end does not answer: are its address, port and keys right?",
};

/** A WireGuard or AmneziaWG tunnel. */
export class PacketProvider implements TunnelProvider {
  readonly hosts: readonly string[];
  readonly carries: TunnelCarries;
  readonly way = Way.Packet;
  readonly #options: ProviderOptions<DefinitionOf<"wireguard" | "amneziawg">>;
  #look: Pick<TunnelDefinition, "health" | "resolvers">;
  #attached = false;

  constructor(
    options: ProviderOptions<DefinitionOf<"wireguard" | "amneziawg">>,
  ) {
    this.#options = options;
    const { conf } = options.definition;
    this.#look = options.definition;
    this.hosts = conf.peers.flatMap(({ endpoint }) =>
      endpoint === undefined ? [] : [endpoint.host]
    );
    const has = (wanted: 4 | 6) =>
      conf.interface.addresses.some(({ family }) => family === wanted) &&
      conf.peers.some(({ allowedIps }) =>
        allowedIps.some(({ family }) => family === wanted)
      );
    this.carries = {
      ipv4: has(4),
      ipv6: has(6),
      tcp: true,
      udp: true,
      icmp: true,
      other: false,
    };
  }

  get resolvers(): readonly Resolver[] {
    return this.#look.resolvers;
  }

  adjust(definition: TunnelDefinition): void {
    this.#look = definition;
  }

  adapterAddress(family: 4 | 6): Int32Array | undefined {
    const { addresses } = this.#options.definition.conf.interface;
    const found = addresses.find((address) => address.family === family);
    return found && Int32Array.from(found.words);
  }

  async connect(addresses: readonly Int32Array[]): Promise<void> {
    const { engine, outbound } = this.#options;
    const setup = this.#setup(addresses);
    if (this.#attached) engine.updatePeers(outbound, setup.peers);
    else await engine.attachPacketTunnel(outbound, setup);
    this.#attached = true;
  }

  async disconnect(): Promise<void> {
    if (!this.#attached) return;
    this.#attached = false;
    await this.#options.engine.detach(this.#options.outbound);
  }

  status(): ProviderStatus {
    const { engine, outbound } = this.#options;
    const status = engine.packetStatus(outbound);
    if (status === undefined) {
      return {
        endpoint: undefined,
        lastHandshakeAt: undefined,
        traffic: undefined,
      };
    }
    const { endpoint, lastHandshakeAt, sentBytes, receivedBytes } = status;
    return {
      endpoint,
      lastHandshakeAt: lastHandshakeAt === 0 ? undefined : lastHandshakeAt,
      traffic: { sentBytes, receivedBytes },
    };
  }

  async probe(trust: Trust): Promise<ProbeOutcome> {
    if (trust === "anew" || !this.#isAlive()) {
      const outcome = await this.#handshake();
      if (outcome.kind === "failed") return outcome;
    }
    const { definition: { name }, prober } = this.#options;
    const { probe, timeoutMs } = this.#look.health;
    if (probe.kind === "own") return { kind: "ok" };
    return await prober({ tunnel: name, timeoutMs, ...probe });
  }

  /** Whether there is a session, and what was sent by it is answered. */
  #isAlive(): boolean {
    const { engine, outbound, clock } = this.#options;
    const status = engine.packetStatus(outbound);
    if (status === undefined || status.lastHandshakeAt === 0) return false;
    const now = clock.now();
    const { lastHandshakeAt, lastSentAt, lastReceivedAt } = status;
    const heardAt = Math.max(lastReceivedAt, lastHandshakeAt);
    const isSilent = lastSentAt > heardAt && now - heardAt > SILENCE_MS;
    return now - lastHandshakeAt < SESSION_MS && !isSilent;
  }

  /**
   * Asks for a handshake, and waits for it or for any other sign of life. Where
   * a session goes on the packet side may have no need of a new one: that it has
   * not come says nothing then, as long as nothing else does.
   */
  async #handshake(): Promise<ProbeOutcome> {
    const { engine, outbound, clock } = this.#options;
    const startedAt = clock.now();
    const deadline = startedAt + this.#look.health.timeoutMs;
    engine.handshakeNow(outbound);
    for (;;) {
      const status = engine.packetStatus(outbound);
      if (status === undefined) return NO_ANSWER; // it was taken away meanwhile
      const { lastHandshakeAt, lastReceivedAt } = status;
      const isHeard = lastReceivedAt > startedAt ||
        lastHandshakeAt !== 0 && lastHandshakeAt > startedAt - FRESH_MS;
      if (isHeard) return { kind: "ok" };
      const left = deadline - clock.now();
      if (left <= 0) return this.#isAlive() ? { kind: "ok" } : NO_ANSWER;
      await new Promise<void>((resolve) =>
        void clock.after(Math.min(POLL_MS, left), resolve)
      );
    }
  }

  #setup(addresses: readonly Int32Array[]): PacketTunnelSetup {
    const { conf } = this.#options.definition;
    let host = 0;
    const peers = conf.peers.map((peer): DesiredPeer => ({
      name: peer.endpoint === undefined ? "peer" : peer.endpoint.host,
      publicKey: peer.publicKey,
      presharedKey: peer.presharedKey,
      prefixes: peer.allowedIps,
      endpoint: peer.endpoint && {
        words: addresses[host++],
        port: peer.endpoint.port,
      },
      persistentKeepaliveMs: peer.persistentKeepalive * 1000,
    }));
    return {
      privateKey: conf.interface.privateKey,
      addresses: conf.interface.addresses,
      mtu: conf.interface.mtu ?? DEFAULT_MTU,
      peers,
      amnezia: conf.interface.amnezia,
      listenPort: conf.interface.listenPort ?? 0,
    };
  }
}
