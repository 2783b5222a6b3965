/** Changes by the Windows API whose result may be there already. */
import { Win32, Win32Error } from "../../../../ffi/windows/win32_error.ts";
import { tolerating } from "../shared/tolerate.ts";

/** Codes of what is gone already. */
export const GONE = [Win32.FileNotFound, Win32.NotFound] as const;

/** See {@linkcode tolerating}. */
export const tolerate = tolerating(Win32Error);
