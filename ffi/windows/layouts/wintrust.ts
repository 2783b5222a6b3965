/** Structs of wintrust.dll and crypt32.dll (x64), as data. */
import { struct } from "../../layout.ts";

/** Which file WinVerifyTrust is to judge. */
export const wintrustFileInfo = struct("WINTRUST_FILE_INFO", "wintrust.h", 32, [
  ["cbStruct", "u32le", 0],
  ["pcwszFilePath", "pointer", 8],
  ["hFile", "pointer", 16],
  ["pgKnownSubject", "pointer", 24],
]);

/** What WinVerifyTrust is asked: as Windows 7 has it, which later ones take. */
export const wintrustData = struct("WINTRUST_DATA", "wintrust.h", 80, [
  ["cbStruct", "u32le", 0],
  ["pPolicyCallbackData", "pointer", 8],
  ["pSIPClientData", "pointer", 16],
  ["dwUIChoice", "u32le", 24],
  ["fdwRevocationChecks", "u32le", 28],
  ["dwUnionChoice", "u32le", 32],
  ["pFile", "pointer", 40],
  ["dwStateAction", "u32le", 48],
  ["hWVTStateData", "pointer", 56],
  ["pwszURLReference", "pointer", 64],
  ["dwProvFlags", "u32le", 72],
  ["dwUIContext", "u32le", 76],
]);

/** A certificate of a signature, as far as it is read. */
export const cryptProviderCert = struct(
  "CRYPT_PROVIDER_CERT",
  "wintrust.h",
  88,
  [
    ["cbStruct", "u32le", 0],
    ["pCert", "pointer", 8],
  ],
);
