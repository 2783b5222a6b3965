/** The library of the system that has ciphers faster than our own. */

/** `libcrypto` is OpenSSL 3's, `bcrypt` that of Windows. */
export type CipherLibrary = "libcrypto" | "bcrypt";
