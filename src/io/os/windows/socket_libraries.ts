/** The libraries that sockets and waiting stand on, open in one thread. */
import {
  type Kernel32,
  openKernel32,
} from "../../../../ffi/windows/kernel32.ts";
import { type Ntdll, openNtdll } from "../../../../ffi/windows/ntdll.ts";
import { openWs2, type Ws2 } from "../../../../ffi/windows/ws2_32.ts";

/** See the file header; disposing closes them. */
export interface SocketLibraries extends Disposable {
  readonly kernel32: Kernel32;
  readonly ntdll: Ntdll;
  readonly ws2: Ws2;
}

/** @throws {MissingLibraryError} */
export function openSocketLibraries(): SocketLibraries {
  using guard = new DisposableStack();
  const kernel32 = guard.use(openKernel32());
  const ntdll = guard.use(openNtdll());
  const ws2 = guard.use(openWs2());
  const all = guard.move();
  return {
    kernel32,
    ntdll,
    ws2,
    [Symbol.dispose]: () => all.dispose(),
  };
}
