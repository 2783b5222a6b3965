/** Structs of bcrypt.dll (x64), as data. */
import { struct } from "../../layout.ts";

/** Nonce and tag of an authenticated cipher. */
export const bcryptAuthenticatedCipherModeInfo = struct(
  "BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO",
  "bcrypt.h",
  88,
  [
    ["cbSize", "u32le", 0],
    ["dwInfoVersion", "u32le", 4],
    ["pbNonce", "pointer", 8],
    ["cbNonce", "u32le", 16],
    ["pbAuthData", "pointer", 24],
    ["cbAuthData", "u32le", 32],
    ["pbTag", "pointer", 40],
    ["cbTag", "u32le", 48],
    ["pbMacContext", "pointer", 56],
    ["cbMacContext", "u32le", 64],
    ["cbAAD", "u32le", 68],
    ["cbData", "u64le", 72],
    ["dwFlags", "u32le", 80],
  ],
);
