/** Datagrams from a carrier on their way to a client, as UDP packets. */
import {
  isMappedIpv4,
  isMulticast,
  isUnspecified,
} from "../../core/wire/address.ts";
import {
  NotReceived,
  ReceivedDatagram,
  type UdpAssociation,
  type UdpCarrier,
} from "../../io/ports/udp_carrier.ts";
import type { RelayHost } from "./relay_guest.ts";
import { buildAnswer, longestPayload } from "./udp_answer.ts";
import { UdpCounted, type UdpCounters } from "./udp_counters.ts";

/** Datagrams of one association before others have their turn. */
const TURN = 64;
const BROADCAST = -1;

/** Takes datagrams of one carrier's associations. */
export class IncomingDatagrams {
  readonly #carrier: UdpCarrier;
  readonly #host: RelayHost;
  readonly #counters: UdpCounters;
  readonly #received = new ReceivedDatagram();
  #identification = 0;

  constructor(options: {
    readonly carrier: UdpCarrier;
    readonly host: RelayHost;
    readonly counters: UdpCounters;
  }) {
    this.#carrier = options.carrier;
    this.#host = options.host;
    this.#counters = options.counters;
  }

  /**
   * Takes what waits at an association, a turn's worth at most.
   * @param client address words at `client[i]`
   * @returns datagrams that could go to the client
   */
  take(
    association: UdpAssociation,
    client: Int32Array,
    i: number,
    port: number,
  ): number {
    let taken = 0;
    for (let turn = 0; turn < TURN; turn++) {
      const length = association.receive(this.#received);
      if (length === NotReceived.Nothing) break;
      const drop = length < 0
        ? receiveDrop(length)
        : answerDrop(this.#received, length, client, i);
      if (drop >= 0) this.#counters.add(drop);
      else {
        taken++;
        this.#answer(length, client, i, port);
      }
    }
    return taken;
  }

  #answer(length: number, client: Int32Array, i: number, port: number): void {
    const { bytes } = this.#carrier.room;
    const received = this.#received;
    this.#identification = (this.#identification + 1) & 0xffff;
    const at = buildAnswer(
      bytes,
      received.payloadAt,
      length,
      received.words,
      0,
      received.port,
      client,
      i,
      port,
      this.#identification,
    );
    if (!this.#host.answer(bytes, at, received.payloadAt + length - at)) {
      this.#counters.add(UdpCounted.droppedDeviceFull);
      return;
    }
    this.#counters.add(UdpCounted.datagramsIn);
    this.#counters.add(UdpCounted.bytesIn, length);
  }
}

/** The count for what is no payload. */
function receiveDrop(received: number): number {
  switch (received) {
    case NotReceived.Error:
      return UdpCounted.droppedSendFailed;
    case NotReceived.Fragment:
      return UdpCounted.droppedProxyFragment;
    case NotReceived.Domain:
      return UdpCounted.droppedProxyDomain;
    default:
      return UdpCounted.droppedProxyMalformed;
  }
}

/** The count for a payload that can't go to the client; -1 where it can. */
function answerDrop(
  { words, port }: ReceivedDatagram,
  length: number,
  client: Int32Array,
  i: number,
): number {
  const isIpv4 = isMappedIpv4(words, 0);
  if (isIpv4 !== isMappedIpv4(client, i)) {
    return UdpCounted.droppedForeignFamily;
  }
  if (
    port === 0 || isUnspecified(words) || isMulticast(words) ||
    (isIpv4 && words[3] === BROADCAST)
  ) return UdpCounted.droppedProxyMalformed;
  return length > longestPayload(client, i) ? UdpCounted.droppedTooLong : -1;
}
