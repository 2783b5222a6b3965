/**
 * Whether a file has an Authenticode signature that leads to a root which this
 * Windows trusts, and whose it is. Nothing is fetched and nobody is asked.
 * https://learn.microsoft.com/en-us/windows/win32/seccrypto/example-c-program--verifying-the-signature-of-a-pe-file
 */
import {
  cryptProviderCert,
  wintrustData,
  wintrustFileInfo,
} from "../../../../ffi/windows/layouts/wintrust.ts";
import { readWideText, wideText } from "../../../../ffi/windows/wide_text.ts";
import type { Wintrust } from "../../../../ffi/windows/wintrust.ts";

/** WINTRUST_ACTION_GENERIC_VERIFY_V2: {00AAC56B-CD44-11d0-8CC2-00C04FC295EE}. */
const GENERIC_VERIFY_V2 = Uint8Array.fromHex(
  "6bc5aa0044cdd0118cc200c04fc295ee",
);
const WTD = {
  UI_NONE: 2,
  REVOKE_NONE: 0,
  CHOICE_FILE: 1,
  STATEACTION_VERIFY: 1,
  STATEACTION_CLOSE: 2,
  CACHE_ONLY_URL_RETRIEVAL: 0x1000,
} as const;
const CERT_NAME_SIMPLE_DISPLAY_TYPE = 4;
/** No window to ask in: INVALID_HANDLE_VALUE. */
const NOBODY = 0xffff_ffff_ffff_ffffn;
const LONGEST_NAME = 256;

/** Winerror.h's words for the usual results. */
const PROBLEMS: Readonly<Record<number, string>> = {
  0x800b0003: "it is no kind of file that can be signed",
  0x800b0004: "its signer is not trusted",
  0x800b0100: "it has no signature",
  0x800b0101: "its certificate has expired",
  0x800b0109: "its certificate leads to no root that this Windows trusts",
  0x800b010a: "its certificate leads to no root",
  0x800b010c: "its certificate was revoked",
  0x800b0111: "its signer is distrusted by this Windows",
  0x80092026: "a policy of this Windows forbids it",
  0x80096010: "it was changed after it was signed",
};

/** What a file's signature is worth. */
export type SignatureVerdict =
  | {
    readonly kind: "valid";
    /** The certificate's name, such as `WireGuard LLC`. */
    readonly signer: string;
  }
  | {
    readonly kind: "invalid";
    /** An HRESULT, not negative. */
    readonly code: number;
    /** For a message, behind «the signature of …:». */
    readonly reason: string;
  };

/**
 * Judges a file.
 * @param file its path, and a handle of it that keeps others from changing it.
 */
export function verifySignature(
  wintrust: Wintrust,
  file: { readonly path: string; readonly handle: number },
): SignatureVerdict {
  const { call } = wintrust;
  const path = wideText(file.path);
  const info = new DataView(new ArrayBuffer(wintrustFileInfo.size));
  info.setUint32(wintrustFileInfo.at.cbStruct, wintrustFileInfo.size, true);
  setPointer(info, wintrustFileInfo.at.pcwszFilePath, path);
  info.setBigUint64(wintrustFileInfo.at.hFile, BigInt(file.handle), true);
  const data = new DataView(new ArrayBuffer(wintrustData.size));
  const { at } = wintrustData;
  data.setUint32(at.cbStruct, wintrustData.size, true);
  data.setUint32(at.dwUIChoice, WTD.UI_NONE, true);
  data.setUint32(at.fdwRevocationChecks, WTD.REVOKE_NONE, true);
  data.setUint32(at.dwUnionChoice, WTD.CHOICE_FILE, true);
  setPointer(data, at.pFile, info);
  data.setUint32(at.dwStateAction, WTD.STATEACTION_VERIFY, true);
  data.setUint32(at.dwProvFlags, WTD.CACHE_ONLY_URL_RETRIEVAL, true);
  const judge = () =>
    call.WinVerifyTrust(NOBODY, GENERIC_VERIFY_V2, data) >>> 0;
  const code = judge();
  const state = data.getBigUint64(at.hWVTStateData, true);
  const signer = code === 0 ? signerName(wintrust, state) : "";
  data.setUint32(at.dwStateAction, WTD.STATEACTION_CLOSE, true);
  judge();
  if (code === 0) return { kind: "valid", signer };
  const hex = code.toString(16);
  const reason = PROBLEMS[code] ?? `Windows refuses it (error 0x${hex})`;
  return { kind: "invalid", code, reason };
}

/** The name of the certificate that signed; empty where there is none. */
function signerName({ call }: Wintrust, state: bigint): string {
  const provider = call.WTHelperProvDataFromStateData(state);
  if (provider === 0n) return "";
  const signer = call.WTHelperGetProvSignerFromChain(provider, 0, 0, 0);
  if (signer === 0n) return "";
  const chained = call.WTHelperGetProvCertFromChain(signer, 0);
  if (chained === null) return "";
  const certificate = new Deno.UnsafePointerView(chained)
    .getBigUint64(cryptProviderCert.at.pCert);
  const name = new Uint8Array(2 * LONGEST_NAME);
  call.CertGetNameStringW(
    certificate,
    CERT_NAME_SIMPLE_DISPLAY_TYPE,
    0,
    0n,
    name,
    LONGEST_NAME,
  );
  return readWideText(name, 0, name.length);
}

function setPointer(view: DataView, at: number, target: BufferSource): void {
  const pointer = Deno.UnsafePointer.of(target);
  view.setBigUint64(at, BigInt(Deno.UnsafePointer.value(pointer)), true);
}
