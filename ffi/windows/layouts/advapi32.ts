/** Struct layouts of tokens and security (x64), as data. Source: winnt.h, minwinbase.h. */
import { struct } from "../../layout.ts";

/** A user; what stands there is a pointer to the SID. */
export const tokenUser = struct("TOKEN_USER", "winnt.h", 16, [
  ["User", "bytes", 0],
]);

/** How to protect what is made. */
export const securityAttributes = struct(
  "SECURITY_ATTRIBUTES",
  "minwinbase.h",
  24,
  [
    ["nLength", "u32le", 0],
    ["lpSecurityDescriptor", "pointer", 8],
    ["bInheritHandle", "i32le", 16],
  ],
);

/** A callback for news of sleep, and what it gets. */
export const deviceNotifySubscribeParameters = struct(
  "DEVICE_NOTIFY_SUBSCRIBE_PARAMETERS",
  "powrprof.h",
  16,
  [
    ["Callback", "pointer", 0],
    ["Context", "pointer", 8],
  ],
);
