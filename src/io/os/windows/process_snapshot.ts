/** All processes at a moment, with their parents, by Toolhelp. */
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import { processEntry } from "../../../../ffi/windows/layouts/kernel32.ts";
import { readWideText } from "../../../../ffi/windows/wide_text.ts";
import { readU32le, writeU32le } from "../../../core/wire/bytes.ts";

const TH32CS_SNAPPROCESS = 2;
const INVALID_HANDLE = 0xffff_ffff;

/** A process as the snapshot has it. */
export interface SeenProcess {
  readonly processId: number;
  /** Who started it; that one may have ended, and its id be another's now. */
  readonly parentId: number;
  /** The executable's file name. */
  readonly name: string;
}

/** Takes one; empty where the system gives none. */
export function processSnapshot(kernel32: Kernel32): SeenProcess[] {
  const { call } = kernel32;
  const snapshot = call.CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
  if (snapshot === INVALID_HANDLE || snapshot === 0) return [];
  const seen: SeenProcess[] = [];
  const entry = new Uint8Array(processEntry.size);
  const { at } = processEntry;
  writeU32le(entry, at.dwSize, processEntry.size);
  for (
    let more = call.Process32FirstW(snapshot, entry);
    more !== 0;
    more = call.Process32NextW(snapshot, entry)
  ) {
    seen.push({
      processId: readU32le(entry, at.th32ProcessID),
      parentId: readU32le(entry, at.th32ParentProcessID),
      name: readWideText(entry, at.szExeFile, processEntry.size - at.szExeFile),
    });
  }
  call.CloseHandle(snapshot);
  return seen;
}
