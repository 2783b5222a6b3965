/**
 * UDP sockets that the system can't tell apart for a flow: those that share a
 * port with the one it found. Only walking all sockets finds them, and each walk
 * costs more the more there are.
 *
 *     one port       a walk that the system filters: right for a single flow
 *     all of them    one walk that then serves whatever is asked about sockets
 *                    that it has seen: right where many new flows wait
 *
 * Nobody says how many will ask, so walks of one port are taken until they have
 * cost as much as a whole one, one hard upon the other: no more than twice the
 * best is ever paid. After a whole walk that has paid, the next one is whole too.
 */
import { AF } from "../../../../ffi/linux_socket_constants.ts";
import type { FlowEnds } from "../../ports.ts";
import type { NetlinkMessage } from "./netlink_message.ts";
import type { Candidate, FoundSocket } from "./socket_diag.ts";
import { localPortOf, readCandidate } from "./socket_diag.ts";

/** For so long a socket found alone at its port is taken to be alone. */
const ALONE_MS = 1000;
const ALONE_KEPT = 4096;
/** Walks of one port that cost no more than this are not worth a thought, in ms. */
const LITTLE_MS = 2;
/** After so long without a question nobody has waited for us. */
const QUIET_MS = 5;

/** What walks over the sockets. */
export interface UdpWalker {
  /** UDP sockets like one, by family and state; at that port, or at any. */
  alike(socket: FoundSocket, localPort?: number): readonly NetlinkMessage[];
}

/** All sockets of a kind, as they were. */
interface Walk {
  readonly at: number;
  readonly tookMs: number;
  readonly byPort: ReadonlyMap<number, readonly NetlinkMessage[]>;
  /** Sockets that it was asked about. */
  served: number;
}

/** Finds sockets that share a port, for one thread. */
export class UdpNeighbours {
  readonly #walker: UdpWalker;
  readonly #now: () => number;
  /** Sockets that were alone at their port, and when. */
  readonly #alone = new Map<number, number>();
  /** The last whole walk, by family and state. */
  readonly #walks = new Map<number, Walk>();
  #spentMs = 0;
  /** What the last walk of one port took. */
  #portMs = 0;
  #askedAt = -Infinity;

  constructor(walker: UdpWalker, now: () => number) {
    this.#walker = walker;
    this.#now = now;
  }

  /**
   * Whether no other socket fits a flow as well as the one that the system found
   * for it.
   * @throws {NetlinkError}
   */
  isAlone(socket: FoundSocket, flow: FlowEnds): boolean {
    const now = this.#now();
    const since = this.#alone.get(socket.inode);
    if (since !== undefined && now - since < ALONE_MS) return true;
    const seen = this.#seen(socket, flow, now);
    const others = seen ?? this.fittest(socket, flow);
    if (others.some(({ inode }) => inode !== socket.inode)) return false;
    if (this.#alone.size >= ALONE_KEPT) this.#alone.clear();
    if (seen === undefined) this.#alone.set(socket.inode, now);
    return true;
  }

  /** The sockets that fit a flow best, as they are now. @throws {NetlinkError} */
  fittest(socket: FoundSocket, flow: FlowEnds): Candidate[] {
    const began = this.#now();
    if (began - this.#askedAt > QUIET_MS) this.#spentMs = 0;
    const messages = this.#walker.alike(socket, flow.localPort);
    this.#askedAt = this.#now();
    this.#portMs = this.#askedAt - began;
    this.#spentMs += this.#portMs;
    return fittestOf(messages, flow);
  }

  /** The same from a walk over all sockets; undefined where none is to be had, or it missed this one. */
  #seen(
    socket: FoundSocket,
    flow: FlowEnds,
    now: number,
  ): Candidate[] | undefined {
    const kind = kindOf(socket);
    const last = this.#walks.get(kind);
    if (last !== undefined && now - last.at < ALONE_MS) {
      const found = fittestOf(last.byPort.get(flow.localPort) ?? [], flow);
      if (has(found, socket)) {
        last.served++;
        this.#askedAt = now;
        return found;
      }
    }
    if (now - this.#askedAt > QUIET_MS || !this.#isWorth(last)) {
      return undefined;
    }
    const walk = this.#walkAll(socket, now);
    this.#walks.set(kind, walk);
    this.#spentMs = 0;
    this.#askedAt = this.#now();
    const found = fittestOf(walk.byPort.get(flow.localPort) ?? [], flow);
    return has(found, socket) ? found : undefined;
  }

  /** Whether a walk over all is likely to cost less than those of one port that it spares. */
  #isWorth(last: Walk | undefined): boolean {
    if (last === undefined) return this.#spentMs >= LITTLE_MS;
    return this.#spentMs >= Math.max(LITTLE_MS, last.tookMs) ||
      last.served * this.#portMs > last.tookMs;
  }

  #walkAll(socket: FoundSocket, at: number): Walk {
    const byPort = new Map<number, NetlinkMessage[]>();
    for (const message of this.#walker.alike(socket)) {
      const port = localPortOf(message);
      const there = byPort.get(port);
      if (there === undefined) byPort.set(port, [message]);
      else there.push(message);
    }
    return { at, tookMs: this.#now() - at, byPort, served: 1 };
  }
}

function kindOf({ family, state }: FoundSocket): number {
  return state * 2 + (family === AF.INET ? 0 : 1);
}

function fittestOf(
  messages: readonly NetlinkMessage[],
  flow: FlowEnds,
): Candidate[] {
  const candidates = messages
    .map((message) => readCandidate(message, flow))
    .filter((candidate) => candidate !== undefined);
  const best = candidates.reduce((fit, one) => Math.max(fit, one.fit), 0);
  return candidates.filter(({ fit }) => fit === best);
}

function has(candidates: readonly Candidate[], socket: FoundSocket): boolean {
  return candidates.some(({ inode }) => inode === socket.inode);
}
