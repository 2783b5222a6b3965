/**
 * Where the system and what all users share lie, as the system says itself. An
 * elevated program runs with the environment of its user, where any other program
 * of his may have changed `SystemRoot` and `ProgramData`.
 * Source: sysinfoapi.h, shlobj_core.h, knownfolders.h.
 */
import { openKernel32 } from "../../../../ffi/windows/kernel32.ts";
import { openShell32 } from "../../../../ffi/windows/shell32.ts";
import { readWideText, wideTextAt } from "../../../../ffi/windows/wide_text.ts";
import { checkWin32 } from "../../../../ffi/windows/win32_error.ts";
import { parseGuid } from "./guid.ts";

const CHARACTERS = 1024;
/** FOLDERID_ProgramData. */
const PROGRAM_DATA = parseGuid("62ab5d82-fdc1-4dc3-a9dd-070d1d495d97");

/** `C:\Windows\System32`, in whichever case. @throws {Win32Error} */
export function systemFolder(): string {
  using kernel32 = openKernel32();
  const path = new Uint8Array(2 * CHARACTERS);
  const length = kernel32.call.GetSystemDirectoryW(path, CHARACTERS);
  if (length === 0 || length >= CHARACTERS) {
    throw kernel32.error("GetSystemDirectoryW");
  }
  return readWideText(path, 0, path.length);
}

/** `C:\ProgramData`. @throws {Win32Error} */
export function sharedDataFolder(): string {
  using shell32 = openShell32();
  const { SHGetKnownFolderPath, CoTaskMemFree } = shell32.call;
  const out = new BigUint64Array(1);
  const code = SHGetKnownFolderPath(
    PROGRAM_DATA,
    0,
    null,
    new Uint8Array(out.buffer),
  );
  const path = Deno.UnsafePointer.create(out[0]);
  try {
    checkWin32("SHGetKnownFolderPath", code);
    return wideTextAt(path);
  } finally {
    CoTaskMemFree(path);
  }
}
