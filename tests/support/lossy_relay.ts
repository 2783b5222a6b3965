/**
 * A relay on the way of a tunnel, as a program of its own: it forwards datagrams
 * both ways, as badly as asked (netem is not in every kernel), and keeps copies
 * of what clients send, so that they can be sent again.
 *
 *     client ──▶ near │ far ──▶ gateway
 *                     │ other: a second address towards the gateway
 *
 * Options are JSON in its one argument. Each line of standard input is a
 * {@linkcode RelayCommand}, answered by a line with {@linkcode RelayState}.
 */
import { openLibc } from "../../ffi/libc.ts";
import { POLL } from "../../ffi/linux_socket_constants.ts";
import { MessageKind } from "../../src/core/wireguard/messages.ts";
import { classify, plainFormat } from "../../src/core/wireguard/classify.ts";
import { type LineCount, type LineWeather, LossyLine } from "./lossy_line.ts";
import { RelaySocket } from "./relay_socket.ts";

/** Where a relay stands and how bad it is. */
export interface RelayOptions {
  /** "ADDRESS:PORT" that clients send to. */
  readonly near: string;
  /** Addresses towards the gateway: the usual one, and the other. */
  readonly far: string;
  readonly other: string;
  readonly gateway: string;
  readonly weather: LineWeather;
  readonly seed: number;
}

/** Messages that are kept and sent again. */
export type KeptKind = "data" | "initiation";

/** What it is asked. */
export type RelayCommand =
  | { readonly command: "state" }
  /** Forgets the data kept so far. */
  | { readonly command: "forget data" }
  /** Sends the first `count` of what was kept once more, byte for byte. */
  | {
    readonly command: "replay";
    readonly kind: KeptKind;
    readonly count: number;
    readonly from: "far" | "other";
  }
  /** Forwards to the gateway by this address from now on. */
  | { readonly command: "use"; readonly from: "far" | "other" };

/** What it answers. */
export interface RelayState {
  readonly toGateway: LineCount;
  readonly toClient: LineCount;
  /** Datagrams that the gateway sent to the other address. */
  readonly toOther: number;
  /** Responses to initiations that the gateway sent. */
  readonly responses: number;
  /** Copies there are of each kind. */
  readonly kept: Readonly<Record<KeptKind, number>>;
}

/** Most copies kept of a kind. */
const MOST_KEPT = 1000;
/** What is held back goes on after so long without another datagram. */
const QUIET_MS = 2;
/** Least length of a transport message that carries a packet. */
const LEAST_DATA = 33;

class Relay {
  readonly #libc = openLibc();
  readonly #near: RelaySocket;
  readonly #outward: Record<"far" | "other", RelaySocket>;
  readonly #toGateway: LossyLine<Uint8Array>;
  readonly #toClient: LossyLine<Uint8Array>;
  readonly #kept: Record<KeptKind, Uint8Array[]> = { data: [], initiation: [] };
  readonly #format = plainFormat();
  #way: "far" | "other" = "far";
  #toOther = 0;
  #responses = 0;

  constructor({ near, far, other, gateway, weather, seed }: RelayOptions) {
    this.#near = new RelaySocket(this.#libc, near);
    this.#outward = {
      far: new RelaySocket(this.#libc, far),
      other: new RelaySocket(this.#libc, other),
    };
    this.#outward.far.connect(gateway);
    this.#outward.other.connect(gateway);
    const keep = (datagram: Uint8Array): Uint8Array => datagram.slice();
    this.#toGateway = new LossyLine(weather, { seed, keep });
    this.#toClient = new LossyLine(weather, { seed: seed + 1, keep });
  }

  /** Forwards until standard input ends. */
  run(): void {
    const { far, other } = this.#outward;
    const descriptors = [this.#near, far, other].map((s) => s.descriptor);
    const set = new Int32Array(
      [...descriptors, 0].flatMap((d) => [d, POLL.IN]),
    );
    const setBytes = new Uint8Array(set.buffer);
    while (true) {
      const holds = this.#toGateway.holds || this.#toClient.holds;
      for (let i = 1; i < set.length; i += 2) set[i] = POLL.IN;
      const timeoutMs = holds ? QUIET_MS : -1;
      const ready = this.#libc.call.poll(setBytes, set.length / 2, timeoutMs);
      if (ready === 0) this.#flush();
      this.#forwardToGateway();
      this.#forwardToClient(far);
      this.#toOther += this.#forwardToClient(other);
      if (set[7] >> 16 !== 0 && !this.#listen()) return;
    }
  }

  #forwardToGateway(): void {
    const datagrams: Uint8Array[] = [], out: Uint8Array[] = [];
    this.#near.receive(datagrams);
    for (const datagram of datagrams) {
      this.#copy(datagram);
      this.#toGateway.take(datagram, out);
    }
    this.#outward[this.#way].send(out);
  }

  #forwardToClient(from: RelaySocket): number {
    const datagrams: Uint8Array[] = [], out: Uint8Array[] = [];
    from.receive(datagrams);
    for (const datagram of datagrams) {
      if (this.#kind(datagram) === MessageKind.Response) this.#responses++;
      this.#toClient.take(datagram, out);
    }
    this.#near.send(out);
    return datagrams.length;
  }

  #flush(): void {
    const toGateway: Uint8Array[] = [], toClient: Uint8Array[] = [];
    this.#toGateway.flush(toGateway);
    this.#toClient.flush(toClient);
    this.#outward[this.#way].send(toGateway);
    this.#near.send(toClient);
  }

  #copy(datagram: Uint8Array): void {
    const kind = this.#kind(datagram);
    const kept = kind === MessageKind.Initiation
      ? this.#kept.initiation
      : kind === MessageKind.Transport && datagram.length >= LEAST_DATA
      ? this.#kept.data
      : undefined;
    if (kept && kept.length < MOST_KEPT) kept.push(datagram.slice());
  }

  #kind(datagram: Uint8Array): MessageKind {
    return classify(datagram, 0, datagram.length, this.#format);
  }

  /** Reads commands. @returns false at the end of input. */
  #listen(): boolean {
    const buffer = new Uint8Array(65536);
    const length = Deno.stdin.readSync(buffer);
    if (length === null) return false;
    const text = new TextDecoder().decode(buffer.subarray(0, length));
    for (const line of text.trim().split("\n")) {
      this.#obey(JSON.parse(line));
      console.log(JSON.stringify(this.#state()));
    }
    return true;
  }

  #obey(command: RelayCommand): void {
    if (command.command === "forget data") this.#kept.data = [];
    if (command.command === "use") this.#way = command.from;
    if (command.command === "replay") {
      const copies = this.#kept[command.kind].slice(0, command.count);
      this.#outward[command.from].send(copies);
    }
  }

  #state(): RelayState {
    return {
      toGateway: this.#toGateway.count,
      toClient: this.#toClient.count,
      toOther: this.#toOther,
      responses: this.#responses,
      kept: {
        data: this.#kept.data.length,
        initiation: this.#kept.initiation.length,
      },
    };
  }
}

if (import.meta.main) {
  const relay = new Relay(JSON.parse(Deno.args[0]));
  console.log("relay up");
  relay.run();
}
