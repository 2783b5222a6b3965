/**
 * Named pipes, under a prefix that only administrators can make pipes below: no
 * other program can pass for us. Only administrators and the system may connect.
 * Source: namedpipeapi.h, winbase.h.
 */
import {
  FILE,
  type Kernel32,
  openKernel32,
  PIPE,
} from "../../../../ffi/windows/kernel32.ts";
import { wideText } from "../../../../ffi/windows/wide_text.ts";
import { Win32, Win32Error } from "../../../../ffi/windows/win32_error.ts";
import type {
  LocalConnection,
  LocalListener,
  LocalListening,
  LocalSocket,
  LocalSockets,
} from "../../ports/local_sockets.ts";
import { PipeEnd } from "./pipe_end.ts";
import { Security } from "./security.ts";

const PREFIX = "\\\\.\\pipe\\ProtectedPrefix\\Administrators\\";
const NO_HANDLE = 0xffff_ffff;
/** Bytes of a pipe's own buffers, each way. */
const PIPE_BUFFER = 65_536;
/** A server is between two clients for a moment. */
const BUSY_TRIES = 100;
const BUSY_PAUSE_MS = 10;
/** Until another instance is tried that could not be made. */
const RETRY_MS = 250;

/** The places of Windows. */
export const windowsLocalSockets: LocalSockets = {
  uapi: (name) => new NamedPipe(`${PREFIX}WireGuard\\${name}`),
  client: () => [new NamedPipe(`${PREFIX}sluice\\client`)],
  at: (path) => new NamedPipe(path),
};

class NamedPipe implements LocalSocket {
  readonly path: string;
  readonly isFile = false;

  constructor(path: string) {
    this.path = path;
  }

  async listen(
    onFailure: (error: unknown) => void = () => {},
  ): Promise<LocalListening> {
    // Wine lets a second program make a first instance.
    if (await this.#isServed()) return { kind: "in-use", by: "program" };
    using guard = new DisposableStack();
    const kernel32 = guard.use(openKernel32());
    try {
      const first = createInstance(kernel32, this.path, "first");
      const listener = new PipeListener(kernel32, first, {
        further: () => createInstance(kernel32, this.path, "further"),
        onFailure,
      });
      guard.move();
      return { kind: "listening", listener };
    } catch (error) {
      throw systemError(error);
    }
  }

  async connect(): Promise<LocalConnection> {
    using guard = new DisposableStack();
    const kernel32 = guard.use(openKernel32());
    const path = wideText(this.path);
    for (let n = 1;; n++) {
      const handle = kernel32.call.CreateFileW(
        path,
        FILE.GENERIC_READ_WRITE,
        0,
        0n,
        FILE.OPEN_EXISTING,
        // The server may learn who we are, not act as us.
        FILE.FLAG_OVERLAPPED | FILE.SQOS_IDENTIFICATION,
        0n,
      );
      if (handle !== NO_HANDLE) {
        guard.move();
        return new PipeEnd(kernel32, handle, "owned");
      }
      const error = kernel32.error(`CreateFileW ${this.path}`);
      if (error.code !== Win32.PipeBusy || n === BUSY_TRIES) {
        throw systemError(error);
      }
      await new Promise((resolve) => setTimeout(resolve, BUSY_PAUSE_MS));
    }
  }

  async #isServed(): Promise<boolean> {
    try {
      const connection = await this.connect();
      connection.close();
      return true;
    } catch (error) {
      return error instanceof Deno.errors.PermissionDenied;
    }
  }
}

/** What a listener works with. */
export interface PipeListenerOptions {
  /** Makes another instance of the pipe. @throws what the system says */
  readonly further: () => number;
  /** Hears of the first of failures in a row. */
  readonly onFailure: (error: unknown) => void;
}

/** Takes those who connect to the instances of a pipe. */
export class PipeListener implements LocalListener {
  readonly #kernel32: Kernel32;
  readonly #options: PipeListenerOptions;
  #waiting: PipeEnd;
  #closed = false;

  /** @param first an instance without a client; owned, as `kernel32` is. */
  constructor(
    kernel32: Kernel32,
    first: number,
    options: PipeListenerOptions,
  ) {
    this.#kernel32 = kernel32;
    this.#options = options;
    this.#waiting = new PipeEnd(kernel32, first, "shared");
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<LocalConnection> {
    while (!this.#closed) {
      const taken = this.#waiting;
      const isConnected = await taken.connected();
      if (this.#closed) break;
      // The name stays ours: there is the next instance before this one may go.
      const next = await this.#further();
      if (next === undefined) break;
      this.#waiting = next;
      if (isConnected) yield taken;
      else taken.close();
    }
    this.#kernel32[Symbol.dispose]();
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#waiting.close();
    return Promise.resolve();
  }

  /** The system may be short of something for a while. @returns undefined once closed. */
  async #further(): Promise<PipeEnd | undefined> {
    for (let tries = 0; !this.#closed; tries++) {
      try {
        const next = this.#options.further();
        return new PipeEnd(this.#kernel32, next, "shared");
      } catch (error) {
        if (tries === 0) this.#options.onFailure(error);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
    return undefined;
  }
}

function createInstance(
  kernel32: Kernel32,
  path: string,
  which: "first" | "further",
): number {
  using resources = new DisposableStack();
  const security = resources.use(new Security());
  const handle = kernel32.call.CreateNamedPipeW(
    wideText(path),
    PIPE.ACCESS_DUPLEX | FILE.FLAG_OVERLAPPED |
      (which === "first" ? PIPE.FIRST_INSTANCE : 0),
    PIPE.REJECT_REMOTE_CLIENTS,
    PIPE.UNLIMITED_INSTANCES,
    PIPE_BUFFER,
    PIPE_BUFFER,
    0,
    security.closedToOthers(resources),
  );
  if (handle === NO_HANDLE) throw kernel32.error(`CreateNamedPipeW ${path}`);
  return handle;
}

/** The runtime's own error where it has one for the code. */
function systemError(error: unknown): unknown {
  if (!(error instanceof Win32Error)) return error;
  switch (error.code) {
    case Win32.FileNotFound:
      return new Deno.errors.NotFound(error.message, { cause: error });
    case Win32.AccessDenied:
      return new Deno.errors.PermissionDenied(error.message, { cause: error });
    default:
      return error;
  }
}
