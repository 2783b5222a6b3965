/**
 * Datagrams to resolvers whose answers have to find their flow again: because
 * they were sent to another resolver than the program asked, and because names
 * are learned from them. Bounded; the oldest are forgotten first.
 */
import { equalWords, formatEndpoint } from "../../core/wire/address.ts";
import type { FlowSnapshot } from "../../core/flow/flow_table.ts";
import { ChecksumForm } from "../../core/wire/checksum.ts";
import { rewriteEnds } from "../../core/flow/rewrite_ends.ts";
import type { PacketView } from "../../core/wire/packet.ts";

/** A flow that waits for answers. */
type AnsweredFlow = Pick<
  FlowSnapshot,
  "row" | "generation" | "local" | "remote" | "to"
>;

const MOST_FLOWS = 4096;

/** The flows by the ends that they have at a proxy. */
export class AnsweredFlows {
  readonly #flows = new Map<string, AnsweredFlow>();

  /** Whether an answer of a flow has to find it. */
  static concerns(flow: FlowSnapshot): boolean {
    return flow.remote.port === 53 || flow.to.port !== flow.remote.port ||
      !equalWords(flow.to.words, 0, flow.remote.words, 0);
  }

  /** Remembers a flow, and makes its packet, parsed into `view`, one for where it is sent. */
  send(flow: AnsweredFlow, bytes: Uint8Array, view: PacketView): void {
    const { local, to } = flow;
    const key = keyOf(local.words, local.port, to.words, to.port);
    this.#flows.delete(key);
    this.#flows.set(key, flow);
    if (this.#flows.size > MOST_FLOWS) {
      for (const oldest of this.#flows.keys()) {
        this.#flows.delete(oldest);
        break;
      }
    }
    readdress(bytes, view, local, to);
  }

  /**
   * Makes an answer, parsed into `view`, one from whom the program asked.
   * @returns whose it is; undefined where it is nobody's
   */
  answer(bytes: Uint8Array, view: PacketView): AnsweredFlow | undefined {
    if (this.#flows.size === 0) return undefined;
    const flow = this.#flows.get(
      keyOf(
        view.destinationWords,
        view.destinationPort,
        view.sourceWords,
        view.sourcePort,
      ),
    );
    if (flow !== undefined) readdress(bytes, view, flow.remote, flow.local);
    return flow;
  }
}

function readdress(
  bytes: Uint8Array,
  { at, payloadAt, payloadLength, protocol }: PacketView,
  from: FlowSnapshot["local"],
  to: FlowSnapshot["local"],
): void {
  rewriteEnds(
    bytes,
    at,
    payloadAt,
    payloadLength,
    protocol,
    from.words,
    0,
    from.port,
    to.words,
    0,
    to.port,
    ChecksumForm.Whole,
  );
}

function keyOf(
  client: Int32Array,
  clientPort: number,
  server: Int32Array,
  serverPort: number,
): string {
  return `${formatEndpoint(client, 0, clientPort)} ${
    formatEndpoint(server, 0, serverPort)
  }`;
}
