/** What the parts of the device share: keys, tables, timers, what goes out. */
import type { AddressWords } from "../wire/address.ts";
import { readU32le } from "../wire/bytes.ts";
import type { AllowedIps } from "./allowed_ips.ts";
import {
  type AmneziaParameters,
  messageFormat,
  PLAIN_WIREGUARD,
} from "./amnezia.ts";
import { type PacketTemplate, parsePacketTemplate } from "./amnezia_packets.ts";
import {
  drawHeader,
  type MessageFormat,
  type MessageKind,
} from "./classify.ts";
import { CookieMaker, type MacKeys, macKeys } from "./cookie.ts";
import { LOAD_LIMITS, type LoadLimits, LoadMeter } from "./load_meter.ts";
import type { KeyPair } from "./noise.ts";
import type { Peer } from "./peer.ts";
import { type PeerTable, TrafficWriter } from "./peer_table.ts";
import type { NoisePrimitives, RandomFill } from "./primitives.ts";
import {
  HANDSHAKE_LIMITS,
  RateLimiter,
  type RateLimits,
} from "./rate_limiter.ts";
import type { SessionTable } from "./session_table.ts";
import { Staging, STAGING_LIMITS, type StagingLimits } from "./staging.ts";
import {
  PeerTimers,
  PROTOCOL_TIMERS,
  type TimerConstants,
  TimerKind,
} from "./timers.ts";

/** What a device is made of. */
export interface DeviceOptions {
  /** 32 bytes. */
  readonly privateKey: Uint8Array;
  readonly peers: PeerTable;
  /** At least 4 slots a peer. */
  readonly sessions: SessionTable;
  readonly allowedIps: AllowedIps;
  readonly primitives: NoisePrimitives;
  readonly random: RandomFill;
  /** The Unix time now, in ms; it may step. */
  readonly wallTime: () => number;
  /** Valid parameters; WireGuard itself where left out. */
  readonly amnezia?: AmneziaParameters;
  readonly timers?: TimerConstants;
  readonly staging?: StagingLimits;
  readonly rateLimits?: RateLimits;
  readonly loadLimits?: LoadLimits;
}

/** What the device wants done. */
export type DeviceOutput =
  /** Send a datagram. `peer` is -1 for a cookie reply. */
  | {
    readonly kind: "datagram";
    readonly peer: number;
    readonly remote: Int32Array;
    readonly port: number;
    readonly bytes: Uint8Array;
  }
  /**
   * Seal a packet, or a keepalive where it is undefined, under the peer's
   * current session and send it. The device has noted it as sent; its bytes are
   * for the caller to count.
   */
  | {
    readonly kind: "seal";
    readonly peer: number;
    readonly packet: Uint8Array | undefined;
  }
  /** For the log: a session stands, or no answer came in time. */
  | {
    readonly kind: "handshake";
    readonly peer: number;
    readonly result: "established" | "abandoned";
  };

/** Where a message came from, how long its datagram was, and when. */
export interface Arrival {
  readonly remote: AddressWords;
  readonly port: number;
  readonly length: number;
  readonly now: number;
}

/** What the device has seen, counted. */
export interface DeviceCounters {
  initiationsSent: number;
  responsesSent: number;
  cookieRepliesSent: number;
  initiationsAccepted: number;
  responsesAccepted: number;
  cookiesAccepted: number;
  /** Handshake messages with a wrong mac1. */
  wrongMac: number;
  /** Handshake messages over the limit of their source. */
  rateLimited: number;
  /** Initiations of a key that no peer has. */
  unknownPeer: number;
  /** Initiations that are no later than the last, or too close to it. */
  replayed: number;
  /** Handshakes that found no free session slot. */
  sessionsFull: number;
}

/** See the module header. */
export class DeviceContext {
  readonly peers: PeerTable;
  readonly sessions: SessionTable;
  readonly allowedIps: AllowedIps;
  readonly crypto: NoisePrimitives;
  readonly random: RandomFill;
  readonly wallTime: () => number;
  readonly constants: TimerConstants;
  readonly timers: PeerTimers;
  readonly staging: Staging;
  readonly limiter: RateLimiter;
  readonly load: LoadMeter;
  readonly cookies: CookieMaker;
  readonly byKey = new Map<string, Peer>();
  readonly byIndex: (Peer | undefined)[] = [];
  keys!: KeyPair;
  /** For messages to us and cookies from us. */
  ownMacKeys!: MacKeys;
  amnezia!: AmneziaParameters;
  format!: MessageFormat;
  /** I1..I5, the empty ones left out. */
  templates!: readonly PacketTemplate[];
  templatesSent = 0;
  readonly counters: DeviceCounters = {
    initiationsSent: 0,
    responsesSent: 0,
    cookieRepliesSent: 0,
    initiationsAccepted: 0,
    responsesAccepted: 0,
    cookiesAccepted: 0,
    wrongMac: 0,
    rateLimited: 0,
    unknownPeer: 0,
    replayed: 0,
    sessionsFull: 0,
  };
  readonly #outputs: DeviceOutput[] = [];
  #nextOutput = 0;

  constructor(options: DeviceOptions) {
    this.peers = options.peers;
    this.sessions = options.sessions;
    this.allowedIps = options.allowedIps;
    this.crypto = options.primitives;
    this.random = options.random;
    this.wallTime = options.wallTime;
    this.constants = options.timers ?? PROTOCOL_TIMERS;
    this.timers = new PeerTimers(this.peers.capacity);
    this.staging = new Staging(options.staging ?? STAGING_LIMITS);
    this.limiter = new RateLimiter(
      options.rateLimits ?? HANDSHAKE_LIMITS,
      this.random32(),
    );
    this.load = new LoadMeter(options.loadLimits ?? LOAD_LIMITS);
    this.cookies = new CookieMaker(
      this.crypto,
      this.random,
      this.constants.cookieMs,
    );
    this.setKeys(options.privateKey);
    this.setAmnezia(options.amnezia ?? PLAIN_WIREGUARD);
  }

  /** Sets our static key. */
  setKeys(privateKey: Uint8Array): void {
    if (privateKey.length !== 32) {
      throw new TypeError("a private key has 32 bytes");
    }
    this.keys?.privateKey.fill(0);
    const publicKey = this.crypto.publicKey(privateKey);
    this.keys = { privateKey: privateKey.slice(), publicKey };
    this.ownMacKeys = macKeys(this.crypto, publicKey);
  }

  /** Sets the outside of the messages. */
  setAmnezia(parameters: AmneziaParameters): void {
    const texts = [
      parameters.I1,
      parameters.I2,
      parameters.I3,
      parameters.I4,
      parameters.I5,
    ];
    const templates: PacketTemplate[] = [];
    for (const text of texts) {
      const template = parsePacketTemplate(text);
      if (typeof template === "string") throw new SyntaxError(template);
      if (template.length > 0) templates.push(template);
    }
    this.amnezia = parameters;
    this.format = messageFormat(parameters);
    this.templates = templates;
  }

  /** A random unsigned 32-bit number. */
  random32(): number {
    const bytes = new Uint8Array(4);
    this.random(bytes);
    return readU32le(bytes, 0);
  }

  /** A type value for a message to send. */
  drawType(kind: MessageKind): number {
    return drawHeader(this.format, kind, this.random32());
  }

  /** Puts an output in line. */
  emit(output: DeviceOutput): void {
    this.#outputs.push(output);
  }

  /** Takes the next output. */
  poll(): DeviceOutput | undefined {
    if (this.#nextOutput < this.#outputs.length) {
      return this.#outputs[this.#nextOutput++];
    }
    this.#outputs.length = 0;
    this.#nextOutput = 0;
    return undefined;
  }

  /** The message behind its random prefix. */
  withPrefix(kind: MessageKind, message: Uint8Array): Uint8Array {
    const length = this.format.prefix[kind - 1];
    if (length === 0) return message;
    const datagram = new Uint8Array(length + message.length);
    this.random(datagram.subarray(0, length));
    datagram.set(message, length);
    return datagram;
  }

  /** Sends a datagram to where a peer was last seen. */
  sendToPeer(peer: Peer, bytes: Uint8Array): void {
    const remote = new Int32Array(4);
    const port = this.peers.readEndpoint(peer.index, remote, 0);
    if (port === 0) return;
    this.peers.addSent(TrafficWriter.Control, peer.index, 1, bytes.length);
    this.emit({ kind: "datagram", peer: peer.index, remote, port, bytes });
  }

  /** Notes a handshake message that was sent to the peer. */
  noteHandshakeSent(peer: Peer, now: number): void {
    peer.handshakeSentAt = now;
    this.peers.lastSentAt[peer.index] = now;
    this.armPersistentKeepalive(peer, now);
  }

  /** Notes an authentic handshake message from the peer, and where it came from. */
  noteHandshakeReceived(peer: Peer, arrival: Arrival): void {
    const { index } = peer;
    this.peers.lastReceivedAt[index] = arrival.now;
    this.peers.setEndpoint(index, arrival.remote, 0, arrival.port);
    this.peers.addReceived(TrafficWriter.Control, index, 1, arrival.length);
    this.armPersistentKeepalive(peer, arrival.now);
  }

  /** Starts the time to the next persistent keepalive anew. */
  armPersistentKeepalive(peer: Peer, now: number): void {
    const { persistentKeepaliveMs: interval, index } = peer;
    if (interval > 0) {
      this.timers.set(index, TimerKind.PersistentKeepalive, now + interval);
    }
  }
}
