/**
 * The account that a process runs as: its name, and the last part of its SID. To
 * find a name may take the system seconds, where a domain's controller is to be
 * asked and can't be reached: it is looked up once somebody wants it.
 */
import type { Advapi32 } from "../../../../ffi/windows/advapi32.ts";
import type { Kernel32 } from "../../../../ffi/windows/kernel32.ts";
import { readWideText } from "../../../../ffi/windows/wide_text.ts";
import { readU32le, writeU32le } from "../../../core/wire/bytes.ts";

const TOKEN_QUERY = 8;
/** TokenUser of TOKEN_INFORMATION_CLASS. */
const TOKEN_USER = 1;
/** SID_AND_ATTRIBUTES: a pointer to the SID, which follows it, and flags. */
const SID_AT = 16;
/** SECURITY_MAX_SID_SIZE. */
const SID_BYTES = 68;
const NAME_CHARACTERS = 256;
/** Names that are kept; there are few accounts that run programs. */
const KEPT = 256;

/** An account. */
export interface Account {
  /** The relative identifier: the last part of the SID. */
  readonly userId: number;
  /** DOMAIN\user, or the number as text; looked up when it is asked for first. */
  readonly user: string;
}

const NOBODY: Account = { userId: 0, user: "0" };

/** Names of accounts, for one thread; afterwards they are numbers. */
export class AccountNames implements Disposable {
  readonly #kernel32: Kernel32;
  readonly #advapi32: Advapi32;
  readonly #handle = new Uint8Array(8);
  readonly #token = new Uint8Array(SID_AT + SID_BYTES);
  readonly #length = new Uint8Array(4);
  readonly #domainLength = new Uint8Array(4);
  readonly #use = new Uint8Array(4);
  readonly #name = new Uint8Array(2 * NAME_CHARACTERS);
  readonly #domain = new Uint8Array(2 * NAME_CHARACTERS);
  readonly #names = new Map<string, string>();
  #isOver = false;

  constructor(
    libraries: { readonly kernel32: Kernel32; readonly advapi32: Advapi32 },
  ) {
    this.#kernel32 = libraries.kernel32;
    this.#advapi32 = libraries.advapi32;
  }

  /** The account of a process, by an open handle of it. */
  of(process: number): Account {
    const sid = this.#sidOf(process);
    if (sid === undefined) return NOBODY;
    // Revision, number of parts, authority (6 bytes), parts of 4 bytes.
    const userId = readU32le(sid, 8 + 4 * (sid[1] - 1));
    let user: string | undefined;
    const find = () => user ??= this.#nameOf(sid) ?? String(userId);
    return {
      userId,
      get user() {
        return find();
      },
    };
  }

  /** Before the libraries are closed. */
  [Symbol.dispose](): void {
    this.#isOver = true;
  }

  #sidOf(process: number): Uint8Array<ArrayBuffer> | undefined {
    const { call } = this.#advapi32;
    if (
      call.OpenProcessToken(BigInt(process), TOKEN_QUERY, this.#handle) === 0
    ) {
      return undefined;
    }
    const token = readU32le(this.#handle, 0);
    const told = call.GetTokenInformation(
      BigInt(token),
      TOKEN_USER,
      this.#token,
      this.#token.length,
      this.#length,
    ) !== 0;
    this.#kernel32.call.CloseHandle(token);
    const parts = this.#token[SID_AT + 1];
    if (!told || parts === 0 || 8 + 4 * parts > SID_BYTES) return undefined;
    return this.#token.slice(SID_AT, SID_AT + 8 + 4 * parts);
  }

  #nameOf(sid: Uint8Array<ArrayBuffer>): string | undefined {
    const key = sid.toHex();
    const known = this.#names.get(key);
    if (known !== undefined || this.#isOver) return known;
    writeU32le(this.#length, 0, NAME_CHARACTERS);
    writeU32le(this.#domainLength, 0, NAME_CHARACTERS);
    const found = this.#advapi32.call.LookupAccountSidW(
      null,
      sid,
      this.#name,
      this.#length,
      this.#domain,
      this.#domainLength,
      this.#use,
    ) !== 0;
    if (!found) return undefined;
    const name = readWideText(this.#name, 0, this.#name.length);
    const domain = readWideText(this.#domain, 0, this.#domain.length);
    const text = domain === "" ? name : `${domain}\\${name}`;
    if (this.#names.size < KEPT) this.#names.set(key, text);
    return text;
  }
}
