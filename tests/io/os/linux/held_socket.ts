/**
 * Sockets in the hands of other programs: made here, inherited by a child that
 * runs a copy of the shell under a name of its own, then closed here. For test
 * files that are alone in their process: another child would inherit them too.
 */
import type { Libc } from "../../../../ffi/libc.ts";
import {
  AF,
  IPPROTO,
  IPV6,
  SO,
  SOCK,
  SOL,
} from "../../../../ffi/linux_socket_constants.ts";
import { parseEndpoint } from "../../../../src/core/wire/address.ts";
import type { FlowEnds } from "../../../../src/io/ports.ts";
import {
  readSocketPort,
  writeSocketAddress,
} from "../../../../src/io/os/linux/socket_address.ts";

const SO_REUSEPORT = 15;

/** How a socket is made; ends as `address:port`. */
export interface SocketText {
  readonly protocol: "tcp" | "udp";
  /** 4 by default. */
  readonly family?: 4 | 6;
  readonly local?: string;
  readonly remote?: string;
  readonly only6?: boolean;
  readonly shared?: boolean;
  readonly listen?: boolean;
}

/** A socket of this process. */
export class TestSocket implements Disposable {
  readonly #libc: Libc;
  readonly descriptor: number;
  readonly #text: SocketText;
  #isOpen = true;

  constructor(libc: Libc, text: SocketText) {
    this.#libc = libc;
    this.#text = text;
    const { family = 4, protocol } = text;
    this.descriptor = libc.call.socket(
      family === 4 ? AF.INET : AF.INET6,
      protocol === "tcp" ? SOCK.STREAM : SOCK.DGRAM,
      0,
    );
    if (this.descriptor < 0) throw libc.error("socket");
    if (family === 6) this.#set(IPPROTO.IPV6, IPV6.V6ONLY, text.only6 ? 1 : 0);
    if (text.shared) {
      this.#set(SOL.SOCKET, SO.REUSEADDR, 1);
      this.#set(SOL.SOCKET, SO_REUSEPORT, 1);
    }
    if (text.local !== undefined) this.#address("bind", text.local);
    if (text.remote !== undefined) this.#address("connect", text.remote);
    if (text.listen && libc.call.listen(this.descriptor, 64) !== 0) {
      throw libc.error("listen");
    }
  }

  /** The port that it has here. */
  get port(): number {
    const address = new Uint8Array(32);
    const length = Uint8Array.of(32, 0, 0, 0);
    const { getsockname } = this.#libc.call;
    if (getsockname(this.descriptor, address, length) !== 0) {
      throw this.#libc.error("getsockname");
    }
    return readSocketPort(address, 0);
  }

  /** The flow from its end (where it has none: `local`) to another one. */
  flow(local: string, remote: string): FlowEnds {
    return flowOf(this.#text.protocol, `${local}:${this.port}`, remote);
  }

  [Symbol.dispose](): void {
    if (this.#isOpen) this.#libc.call.close(this.descriptor);
    this.#isOpen = false;
  }

  #set(level: number, option: number, value: number): void {
    const bytes = Uint8Array.of(value, 0, 0, 0);
    const { setsockopt } = this.#libc.call;
    if (setsockopt(this.descriptor, level, option, bytes, 4) !== 0) {
      throw this.#libc.error("setsockopt");
    }
  }

  #address(call: "bind" | "connect", text: string): void {
    const end = parseEndpoint(text)!;
    const address = new Uint8Array(32);
    const { family = 4 } = this.#text;
    const words = Int32Array.from(end.words);
    const length = writeSocketAddress(address, 0, family, words, 0, end.port);
    if (this.#libc.call[call](this.descriptor, address, length) !== 0) {
      throw this.#libc.error(`${call} ${text}`);
    }
  }
}

/** A flow by the texts of its ends. */
export function flowOf(
  protocol: "tcp" | "udp",
  local: string,
  remote: string,
): FlowEnds {
  const a = parseEndpoint(local);
  const b = parseEndpoint(remote);
  if (a === undefined || b === undefined) throw new TypeError(local + remote);
  return {
    protocol,
    local: a.words,
    localPort: a.port,
    remote: b.words,
    remotePort: b.port,
  };
}

/** A program that runs until it is told to go on, or killed. */
export class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
  }

  /**
   * Starts a copy of the shell under a name of its own.
   * @param script what it runs when it was told to go on; nothing by default
   */
  static start(path: string, script = ":"): Program {
    return new Program(
      new Deno.Command(path, {
        args: ["-c", `read go || exit; ${script}`],
        stdin: "piped",
        stdout: "piped",
      }).spawn(),
    );
  }

  get id(): number {
    return this.#child.pid;
  }

  /** Lets it go on with its script. */
  async goOn(): Promise<void> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode("go\n"));
    writer.releaseLock();
  }

  /** What it prints next. */
  async print(): Promise<string> {
    const reader = this.#child.stdout.getReader();
    const { value } = await reader.read();
    reader.releaseLock();
    return new TextDecoder().decode(value).trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended.
    }
    await this.#child.status;
    await this.#child.stdout.cancel();
    await this.#child.stdin.close().catch(() => {});
  }
}

/** Puts a copy of the shell under a path. */
export function copyShell(path: string): string {
  Deno.copyFileSync(Deno.realPathSync("/bin/sh"), path);
  Deno.chmodSync(path, 0o755);
  return path;
}
