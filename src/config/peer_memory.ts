/**
 * What must outlive a restart so that no handshake can be replayed (WireGuard
 * paper, section 5.1): each peer's newest timestamp, in a hidden file beside the
 * configuration. It holds no secrets; without it a restart forgets, no more.
 */
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { writePrivateFile } from "./atomic_write.ts";
import { formatHexKey, formatKey } from "./keys.ts";
import type { Device } from "../core/wireguard/device.ts";
import type { PeerMemory } from "../core/wireguard/peer.ts";

const schema = z.record(
  z.string(),
  z.object({
    receivedTimestamp: z.string().regex(/^[0-9a-f]{24}$/),
    sentTicks: z.number().min(0),
  }),
);

/** The memory of a configuration's peers. */
export class PeerMemoryFile {
  readonly path: string;
  readonly #known: z.output<typeof schema>;
  #written = "";

  private constructor(path: string, known: z.output<typeof schema>) {
    this.path = path;
    this.#known = known;
  }

  /** Reads the file beside a configuration; what is unreadable is forgotten. */
  static async load(configPath: string): Promise<PeerMemoryFile> {
    const name = `.${basename(configPath)}.peers`;
    const path = join(dirname(configPath), name);
    try {
      const parsed = schema.safeParse(
        JSON.parse(await Deno.readTextFile(path)),
      );
      return new PeerMemoryFile(path, parsed.success ? parsed.data : {});
    } catch {
      return new PeerMemoryFile(path, {});
    }
  }

  /** What is known of a peer. */
  get(publicKey: Uint8Array): PeerMemory | undefined {
    const known = this.#known[formatKey(publicKey)];
    if (known === undefined) return undefined;
    return {
      receivedTimestamp: fromHex(known.receivedTimestamp),
      sentTicks: known.sentTicks,
    };
  }

  /** Writes what the device knows now, if it changed. @throws what the system says. */
  async save(device: Device): Promise<void> {
    const entries = device.peers.rows().map((row) => {
      const { receivedTimestamp, sentTicks } = device.peers.memory(row);
      return [formatKey(device.peers.info(row).publicKey), {
        receivedTimestamp: formatHexKey(receivedTimestamp),
        sentTicks,
      }] as const;
    });
    const text = JSON.stringify(Object.fromEntries(entries));
    if (text === this.#written) return;
    await writePrivateFile(this.path, text, { existing: "replace" });
    this.#written = text;
  }
}

function fromHex(text: string): Uint8Array {
  return Uint8Array.from(
    text.match(/../g) ?? [],
    (byte) => Number.parseInt(byte, 16),
  );
}
