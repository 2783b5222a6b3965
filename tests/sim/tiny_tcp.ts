/**
 * One end of a TCP connection, as small as simulations need: handshake, data in
 * order, retransmission of all that is not acknowledged, FIN, RST. No windows.
 */
import { ACK, FIN, RST, SYN } from "../core/flow/segments.ts";

/** What passes between two ends. */
export interface TinySegment {
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly data: readonly number[];
}

type State = "syn-sent" | "syn-received" | "open" | "reset";

/** See the module header. */
export class TinyTcp {
  state: State;
  readonly received: number[] = [];
  hasPeerFin = false;
  /** Whether our own FIN was acknowledged. */
  isFinAcked = false;
  /** Whether it reset by itself, by too many retransmissions. */
  isGivenUp = false;
  onOpen: () => void = () => {};
  onData: () => void = () => {};
  readonly #send: (segment: TinySegment) => void;
  #next: number;
  #unacked: { seq: number; flags: number; data: readonly number[] }[] = [];
  #peer = 0;
  #tries = 0;
  #hasFin = false;

  /** @param syn the SYN that it answers; undefined where it connects. */
  constructor(
    readonly isn: number,
    send: (segment: TinySegment) => void,
    syn?: TinySegment,
  ) {
    this.#send = send;
    this.#next = isn;
    this.state = syn === undefined ? "syn-sent" : "syn-received";
    if (syn === undefined) return this.#queue(SYN, []), this;
    this.#peer = (syn.seq + 1) >>> 0;
    this.#queue(SYN | ACK, []);
  }

  /** Whether both sides have ended it, or one has reset it. */
  get isDone(): boolean {
    return this.state === "reset" || (this.hasPeerFin && this.isFinAcked);
  }

  write(data: readonly number[]): void {
    for (let at = 0; at < data.length; at += 500) {
      this.#queue(ACK, data.slice(at, at + 500));
    }
  }

  close(): void {
    if (this.#hasFin) return;
    this.#hasFin = true;
    this.#queue(FIN | ACK, []);
  }

  abort(): void {
    if (this.state === "reset") return;
    this.#emit(RST | ACK, this.#next, []);
    this.state = "reset";
  }

  /** Sends again what is not acknowledged; gives up after 40 times. */
  retransmit(): void {
    if (this.#unacked.length === 0 || this.state === "reset") return;
    if (++this.#tries > 40) {
      this.state = "reset";
      this.isGivenUp = true;
      return;
    }
    for (const { seq, flags, data } of this.#unacked) {
      this.#emit(flags, seq, data);
    }
  }

  receive(segment: TinySegment): void {
    const { flags, seq, ack } = segment;
    switch (this.state) {
      case "reset":
        return;
      case "syn-sent":
        return this.#synSent(segment);
      case "syn-received":
        if ((flags & RST) !== 0) {
          if (seq === this.#peer) this.state = "reset";
          return;
        }
        if ((flags & SYN) !== 0) return this.retransmit();
        if ((flags & ACK) === 0) return;
        if (ack !== this.#next) return this.#emit(RST, ack, []);
        this.state = "open";
        this.#acknowledge(ack);
        this.onOpen();
        break;
      case "open":
        if ((flags & RST) !== 0) {
          if (seq === this.#peer) this.state = "reset";
          else if (((seq - this.#peer) >>> 0) < 65_536) this.#emitAck();
          return;
        }
        if ((flags & SYN) !== 0) return this.#emitAck();
        if ((flags & ACK) !== 0) this.#acknowledge(ack);
    }
    this.#take(segment);
  }

  #synSent({ flags, seq, ack }: TinySegment): void {
    const isAcked = (flags & ACK) !== 0 && ack === this.#next;
    if ((flags & RST) !== 0) {
      if (isAcked) this.state = "reset";
    } else if ((flags & ACK) !== 0 && !isAcked) {
      this.#emit(RST, ack, []);
    } else if ((flags & SYN) !== 0 && isAcked) {
      this.#peer = (seq + 1) >>> 0;
      this.state = "open";
      this.#acknowledge(ack);
      this.#emitAck();
      this.onOpen();
    }
  }

  #take({ flags, seq, data }: TinySegment): void {
    const length = data.length + (flags & FIN);
    if (length === 0) return;
    if (seq === this.#peer && !this.hasPeerFin) {
      this.received.push(...data);
      this.#peer = (this.#peer + length) >>> 0;
      if ((flags & FIN) !== 0) this.hasPeerFin = true;
      this.#emitAck();
      this.onData();
    } else this.#emitAck();
  }

  #acknowledge(ack: number): void {
    const before = this.#unacked.length;
    this.#unacked = this.#unacked.filter(({ seq, flags, data }) => {
      const length = data.length + (flags & FIN) + ((flags & SYN) >> 1);
      return ((seq + length - ack) | 0) > 0;
    });
    if (this.#unacked.length < before) this.#tries = 0;
    if (this.#hasFin && this.#unacked.length === 0 && ack === this.#next) {
      this.isFinAcked = true;
    }
  }

  #queue(flags: number, data: readonly number[]): void {
    const seq = this.#next;
    this.#unacked.push({ seq, flags, data });
    const length = data.length + (flags & FIN) + ((flags & SYN) >> 1);
    this.#next = (seq + length) >>> 0;
    this.#emit(flags, seq, data);
  }

  #emitAck(): void {
    this.#emit(ACK, this.#next, []);
  }

  #emit(flags: number, seq: number, data: readonly number[]): void {
    const ack = (flags & ACK) === 0 ? 0 : this.#peer;
    this.#send({ flags, seq, ack, data });
  }
}
