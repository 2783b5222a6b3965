/** Whether others than administrators can change a file, or a folder above it. */
import { dirname } from "node:path";
import { Win32Error } from "../../../../ffi/windows/win32_error.ts";
import { Security } from "./security.ts";
import type { SecuredPlace } from "./security_text.ts";

/** @returns the first of them that others may change; undefined where they may none. */
export function writableByOthers(path: string): string | undefined {
  using security = new Security();
  let place: SecuredPlace = "file";
  for (let at = path;; at = dirname(at)) {
    if (isOpen(security, at, place)) return at;
    if (dirname(at) === at) return undefined;
    place = place === "file" ? "folder" : "above";
  }
}

function isOpen(
  security: Security,
  path: string,
  place: SecuredPlace,
): boolean {
  try {
    return security.isOpenToOthers(path, place);
  } catch (error) {
    // What an administrator may not even look at is hardly anybody's.
    if (error instanceof Win32Error) return false;
    throw error;
  }
}
