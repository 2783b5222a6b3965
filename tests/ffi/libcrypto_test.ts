import assert from "node:assert/strict";
import { openLibcrypto } from "../../ffi/libcrypto.ts";

const present = openLibcrypto();

Deno.test("libcrypto: is open with its version, or absent with a reason", () => {
  if (present.kind === "open") {
    assert.match(present.library.version, /^OpenSSL 3\./);
  } else assert.match(present.reason, /libcrypto/);
});

Deno.test({
  name: "libcrypto: fetches the cipher and knows no invented one",
  ignore: present.kind === "absent",
  fn() {
    const opened = openLibcrypto();
    assert.equal(opened.kind, "open");
    if (opened.kind !== "open") return;
    using library = opened.library;
    const { symbols } = library;
    const fetch = (name: string) =>
      symbols.EVP_CIPHER_fetch(
        null,
        new TextEncoder().encode(`${name}\0`),
        null,
      );
    const cipher = fetch("ChaCha20-Poly1305");
    assert.notEqual(cipher, null);
    symbols.EVP_CIPHER_free(cipher);
    assert.equal(fetch("ChaCha21-Poly1305"), null);
  },
});
