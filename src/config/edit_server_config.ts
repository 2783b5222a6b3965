/**
 * Changes `server.yaml` in place: comments and order stay, the result is
 * checked before it is written, two writers wait for each other.
 */
import { type Document, isMap, isSeq, type YAMLMap, YAMLSeq } from "yaml";
import { writePrivateFile } from "./atomic_write.ts";
import { withFileLock } from "./file_lock.ts";
import {
  type LoadedServerConfig,
  loadServerConfig,
  parseServerConfig,
} from "./load_server_config.ts";
import { dirname, resolve } from "node:path";

/** A peer as it is written into the file; absent keys are left out. */
export interface PeerEntry {
  readonly name: string;
  /** Base64. */
  readonly publicKey: string;
  readonly presharedKey?: string;
  /** `address/length`. */
  readonly addresses: readonly string[];
}

const LOCK_TIMEOUT_MS = 5000;

/**
 * Loads the file, lets `change` edit its document, checks the result and writes
 * it. Nothing is written where `change` throws or the result would not load.
 * @param change gets the current configuration; edits `document` of it.
 * @returns what `change` returned.
 * @throws ConfigError, LockTimeoutError, or what `change` throws.
 */
export function editServerConfig<Result>(
  path: string,
  change: (loaded: LoadedServerConfig) => Result | Promise<Result>,
): Promise<Result> {
  return withFileLock(path, { timeoutMs: LOCK_TIMEOUT_MS }, async () => {
    const loaded = await loadServerConfig(path);
    const result = await change(loaded);
    const text = stringifyDocument(loaded.document);
    parseServerConfig(text, {
      file: path,
      readKeyFile: (file) =>
        Deno.readTextFileSync(resolve(dirname(path), file)),
    });
    await writePrivateFile(path, text, { existing: "replace" });
    return result;
  });
}

/** The document as text; long lines stay as they are. */
export function stringifyDocument(document: Document): string {
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

/** Adds a peer at the end of the list. */
export function addPeerEntry(document: Document, entry: PeerEntry): void {
  let peers = document.get("peers");
  if (!isSeq(peers)) {
    peers = new YAMLSeq();
    document.set("peers", peers);
  }
  const list = peers as YAMLSeq;
  // `peers: []` would put everything on one line.
  list.flow = false;
  const { name, publicKey, presharedKey, addresses } = entry;
  list.add(document.createNode({
    name,
    publicKey,
    ...(presharedKey === undefined ? {} : { presharedKey }),
    addresses,
  }));
}

/**
 * Removes the peer of that name, and the comments before and in it.
 * @returns whether there was one.
 */
export function removePeerEntry(document: Document, name: string): boolean {
  const peers = document.get("peers");
  if (!isSeq(peers)) return false;
  const index = peers.items.findIndex((item) =>
    isMap(item) && sameName(item, name)
  );
  if (index < 0) return false;
  peers.items.splice(index, 1);
  if (peers.items.length === 0) peers.flow = true;
  return true;
}

function sameName(peer: YAMLMap, name: string): boolean {
  const own = peer.get("name");
  return typeof own === "string" && own.toLowerCase() === name.toLowerCase();
}
