/** Packets as they pass an interface: tcpdump writes them, this reads the file (pcap). */
import type { Namespace } from "./lab.ts";
import type { LoggedProcess } from "./process.ts";
import { waitFor } from "./wait.ts";

const LINKTYPE_ETHERNET = 1;
const ETHERNET_HEADER = 14;
const PCAP_HEADER = 24;
const RECORD_HEADER = 16;
const PROTOCOL_UDP = 17;

/** One captured packet, from its IP header on. */
export interface CapturedPacket {
  /** Unix time in seconds, with fraction. */
  readonly time: number;
  readonly bytes: Uint8Array;
}

/** An IPv4 UDP datagram, taken apart. */
export interface CapturedDatagram {
  readonly time: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly payload: Uint8Array;
}

/** A capture that runs until it is asked for its packets. */
export class Capture {
  readonly #process: LoggedProcess;
  readonly #path: string;

  private constructor(process: LoggedProcess, path: string) {
    this.#process = process;
    this.#path = path;
  }

  /**
   * Starts to capture on an interface; returns when packets are seen.
   * @param filter in pcap-filter(7)'s language, "" for all.
   */
  static async start(
    namespace: Namespace,
    device: string,
    filter = "",
  ): Promise<Capture> {
    const path = `${namespace.lab.directory}/${crypto.randomUUID()}.pcap`;
    const process = namespace.spawn(`tcpdump ${device}`, [
      "tcpdump",
      ...["-Z", "root", "--immediate-mode", "-U", "-s", "0", "-B", "16384"],
      ...["-i", device, "-w", path],
      ...(filter ? [filter] : []),
    ]);
    await process.waitForLine(/listening on/);
    return new Capture(process, path);
  }

  /** Ends the capture and gives all packets. */
  async stop(): Promise<CapturedPacket[]> {
    await this.#settle();
    this.#process.signal("SIGINT");
    await this.#process.waitForExit();
    return parsePcap(await Deno.readFile(this.#path));
  }

  /** Waits until tcpdump has written all that it has seen: the file rests. */
  async #settle(): Promise<void> {
    let size = -1;
    await waitFor("the capture's file to rest", async () => {
      const before = size;
      size = (await Deno.stat(this.#path)).size;
      return size === before;
    }, { intervalMs: 150 });
  }

  /** Ends the capture and gives the IPv4 UDP datagrams. */
  async stopDatagrams(): Promise<CapturedDatagram[]> {
    return (await this.stop()).flatMap((packet) => parseDatagram(packet) ?? []);
  }
}

/** Reads a pcap file (the classic format in the writer's byte order). */
export function parsePcap(file: Uint8Array): CapturedPacket[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(0, true) !== 0xa1b2c3d4) {
    throw new Error("not a pcap file");
  }
  const skip = view.getUint32(20, true) === LINKTYPE_ETHERNET
    ? ETHERNET_HEADER
    : 0;
  const packets: CapturedPacket[] = [];
  for (let at = PCAP_HEADER; at + RECORD_HEADER <= file.length;) {
    const time = view.getUint32(at, true) + view.getUint32(at + 4, true) / 1e6;
    const length = view.getUint32(at + 8, true);
    at += RECORD_HEADER;
    packets.push({ time, bytes: file.subarray(at + skip, at + length) });
    at += length;
  }
  return packets;
}

/** The UDP datagram in an unfragmented IPv4 packet; undefined for anything else. */
export function parseDatagram(
  { time, bytes }: CapturedPacket,
): CapturedDatagram | undefined {
  if (bytes.length < 28 || bytes[0] >> 4 !== 4 || bytes[9] !== PROTOCOL_UDP) {
    return undefined;
  }
  const at = (bytes[0] & 15) * 4;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return {
    time,
    source: bytes.subarray(12, 16).join("."),
    destination: bytes.subarray(16, 20).join("."),
    sourcePort: view.getUint16(at),
    destinationPort: view.getUint16(at + 2),
    payload: bytes.subarray(at + 8, at + view.getUint16(at + 4)),
  };
}
