/**
 * /etc/resolv.conf while the client runs: it names an address inside the
 * capture, so that libc asks there, by packets that show who asks, and not a
 * resolver on this host that asks for everybody.
 *
 * What stood there (a file or a link, byte for byte) is on disk in a journal
 * before anything is changed:
 *
 *     { "version": 1, "owner": "...", "path": "/etc/resolv.conf",
 *       "original": { "kind": "link", "target": "..." }
 *                 | { "kind": "file", "bytes": base64, "mode", "userId", "groupId" }
 *                 | { "kind": "missing" },
 *       "ours": base64 }
 *
 * It is put back only where ours still stands. What somebody else has written
 * meanwhile (a DHCP client, NetworkManager) is the newer truth: while we run it
 * becomes what is put back at the end, and ours stands again; after that it
 * stays. The journal must lie where a reboot does not empty it: resolv.conf
 * itself is not emptied either.
 */
import type {
  FileContent,
  ReplaceableFile,
} from "../../io/ports/replaceable_file.ts";
import type { Resolver } from "./client_plan.ts";
import type { Clock } from "./clock.ts";
import { DNS_PORT } from "./dns_router.ts";
import {
  formatResolvConf,
  isLoopback,
  readNameservers,
} from "./resolv_conf_text.ts";
import {
  formatTakeover,
  parseTakeover,
  type Replaced,
} from "./resolv_conf_journal.ts";

/** What the takeover works with. */
export interface ResolvConfOptions {
  readonly file: ReplaceableFile;
  readonly journal: ReplaceableFile;
  /** Tells this process from any other that ever ran here. */
  readonly owner: string;
  /** Whether a process that such a text names still runs. */
  readonly isAlive: (owner: string) => boolean;
  /** The address, or one of each family, inside the capture. */
  readonly nameservers: readonly Int32Array[];
  /**
   * Where resolvers on this host write whom they ask, e.g.
   * /run/systemd/resolve/resolv.conf; in the order of trying.
   */
  readonly uplinks: readonly ReplaceableFile[];
  readonly clock: Clock;
  /** The system's resolvers are perhaps others now. */
  readonly onChange: () => void;
  readonly onWarning: (text: string) => void;
}

/** What {@linkcode ResolvConf.recover} found. */
export type RecoveredResolvConf =
  /** Nothing was left. */
  | "nothing"
  /** What stood there before stands again. */
  | "restored"
  /** Somebody else has written it since. */
  | "left"
  /** A client that runs has taken it over. */
  | "in-use";

/** Somebody else may write it so often within the time before we give in. */
const CONTESTS = 5;
const CONTEST_MS = 60_000;
const JOURNAL_MODE = 0o600;
const PUBLIC_MODE = 0o644;

/** One resolv.conf. */
export class ResolvConf {
  readonly #options: ResolvConfOptions;
  /** What to put back; undefined while it is not ours. */
  #original: Replaced | undefined;
  #ours = new Uint8Array(0);
  /** What libc went by before, the last that was readable. */
  #text = "";
  #watch: Disposable | undefined;
  #retry: Disposable | undefined;
  #contests: number[] = [];

  constructor(options: ResolvConfOptions) {
    this.#options = options;
  }

  /** Undoes what a client that was killed has left. @throws what the system says. */
  recover(): RecoveredResolvConf {
    const { file, journal, owner, isAlive, onWarning } = this.#options;
    const bytes = journal.read();
    if (bytes === undefined) return "nothing";
    const takeover = parseTakeover(new TextDecoder().decode(bytes));
    if (takeover === undefined || takeover.path !== file.path) {
      onWarning(`${journal.path} makes no sense: it is put aside`);
      journal.put({ kind: "missing" });
      return "nothing";
    }
    if (takeover.owner !== owner && isAlive(takeover.owner)) return "in-use";
    const isOurs = isFileOf(file.look(), takeover.ours);
    if (isOurs) file.put(takeover.original);
    journal.put({ kind: "missing" });
    return isOurs ? "restored" : "left";
  }

  /**
   * Takes it over and watches it from then on.
   * @returns what a client that was killed had left.
   * @throws {Error} what the system says, with what stood there in its place;
   * also where another client has it.
   */
  take(): RecoveredResolvConf {
    const { file } = this.#options;
    const recovered = this.recover();
    if (recovered === "in-use") {
      throw new Error(`${file.path} is another running client's`);
    }
    try {
      this.#take();
    } catch (error) {
      this.restore();
      throw error;
    }
    this.#watch = file.watch(() => this.check());
    return recovered;
  }

  /** Compares with what should stand there now. Never throws. */
  check(): void {
    const { file, onWarning } = this.#options;
    try {
      if (this.#original === undefined) return;
      if (isFileOf(file.look(), this.#ours)) return;
      if (this.#isContested()) this.#giveIn();
      else this.#take();
    } catch (error) {
      onWarning(`${file.path} can't be kept: ${messageOf(error)}`);
    }
    this.#options.onChange();
  }

  /** Puts back what stood there, unless somebody else has written it. @throws what the system says. */
  restore(): void {
    const { file, journal } = this.#options;
    this.#watch?.[Symbol.dispose]();
    this.#retry?.[Symbol.dispose]();
    const original = this.#original;
    if (original === undefined) return;
    if (isFileOf(file.look(), this.#ours)) file.put(original);
    journal.put({ kind: "missing" });
    this.#original = undefined;
  }

  /**
   * The resolvers that the system goes by, ours aside. Where that is one on this
   * host, whom it asks itself; empty where that is not told.
   */
  resolvers(): Resolver[] {
    const { file, uplinks } = this.#options;
    const own = this.#original === undefined ? readText(file) : this.#text;
    for (const text of [own, ...uplinks.map(readText)]) {
      const found = readNameservers(text).filter((words) => !isLoopback(words));
      if (found.length > 0) {
        return found.map((words) => ({ words, port: DNS_PORT }));
      }
    }
    return [];
  }

  #take(): void {
    const { file, journal, owner, nameservers } = this.#options;
    const original = file.look();
    if (original.kind === "other") {
      throw new Error(`${file.path} is no file`);
    }
    this.#text = readText(file);
    const text = formatResolvConf(this.#text, nameservers);
    this.#ours = new TextEncoder().encode(text);
    journal.put({
      kind: "file",
      bytes: new TextEncoder().encode(
        formatTakeover({ owner, path: file.path, original, ours: this.#ours }),
      ),
      mode: JOURNAL_MODE,
    });
    this.#original = original;
    const form = original.kind === "file"
      ? original
      : { kind: "file", mode: PUBLIC_MODE } as const;
    file.put({ ...form, bytes: this.#ours });
  }

  #isContested(): boolean {
    const now = this.#options.clock.now();
    this.#contests = this.#contests.filter((at) => now - at < CONTEST_MS);
    this.#contests.push(now);
    return this.#contests.length > CONTESTS;
  }

  /** Leaves it to whoever writes it again and again, for a while. */
  #giveIn(): void {
    const { file, journal, clock, onWarning } = this.#options;
    onWarning(
      `${file.path} is written by somebody else again and again: it is left so for a minute, and names may go past their tunnels' resolvers`,
    );
    this.#original = undefined;
    journal.put({ kind: "missing" });
    this.#retry = clock.after(CONTEST_MS, () => {
      try {
        this.#take();
      } catch (error) {
        onWarning(`${file.path} can't be taken over: ${messageOf(error)}`);
      }
      this.#options.onChange();
    });
  }
}

function isFileOf(content: FileContent, bytes: Uint8Array): boolean {
  return content.kind === "file" && content.bytes.length === bytes.length &&
    content.bytes.every((byte, i) => byte === bytes[i]);
}

function readText(file: ReplaceableFile): string {
  try {
    return new TextDecoder().decode(file.read());
  } catch {
    return ""; // it can't be read: it names nobody
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
