/*
 * The functions of bcrypt.dll that seal packets, with the one cipher that Wine's
 * own lacks: ChaCha20-Poly1305 (RFC 8439). Strict about what it is given, as the
 * documentation of BCryptEncrypt has it; slow, and not for use.
 */
#include <windows.h>
#include <bcrypt.h>
#include <stdint.h>
#include <string.h>
#include <wchar.h>

#define OK 0
#define INVALID_HANDLE ((NTSTATUS)0xc0000008)
#define INVALID_PARAMETER ((NTSTATUS)0xc000000d)
#define NOT_FOUND ((NTSTATUS)0xc0000225)
#define TAG_MISMATCH ((NTSTATUS)0xc000a002)
#define ALGORITHM 0x43484143u
#define KEY 0x59454b00u

typedef struct { uint32_t kind; } algorithm_t;
typedef struct { uint32_t kind; uint32_t words[8]; } key_t;

static uint32_t read32(const uint8_t *b)
{
    return b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

static void write32(uint8_t *b, uint32_t v)
{
    b[0] = (uint8_t)v, b[1] = (uint8_t)(v >> 8), b[2] = (uint8_t)(v >> 16), b[3] = (uint8_t)(v >> 24);
}

static uint32_t rotate(uint32_t v, int by)
{
    return v << by | v >> (32 - by);
}

static void quarter(uint32_t *s, int a, int b, int c, int d)
{
    s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 16);
    s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 12);
    s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 8);
    s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 7);
}

/* RFC 8439 section 2.3 */
static void block(const key_t *key, const uint8_t *nonce, uint32_t counter, uint8_t out[64])
{
    uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574}, s[16];
    memcpy(start + 4, key->words, 32);
    start[12] = counter;
    for (int i = 0; i < 3; i++) start[13 + i] = read32(nonce + 4 * i);
    memcpy(s, start, sizeof s);
    for (int i = 0; i < 10; i++) {
        quarter(s, 0, 4, 8, 12), quarter(s, 1, 5, 9, 13), quarter(s, 2, 6, 10, 14), quarter(s, 3, 7, 11, 15);
        quarter(s, 0, 5, 10, 15), quarter(s, 1, 6, 11, 12), quarter(s, 2, 7, 8, 13), quarter(s, 3, 4, 9, 14);
    }
    for (int i = 0; i < 16; i++) write32(out + 4 * i, s[i] + start[i]);
}

static void crypt(const key_t *key, const uint8_t *nonce, const uint8_t *in, uint8_t *out, uint32_t length)
{
    uint8_t stream[64];
    for (uint32_t at = 0; at < length; at++) {
        if ((at & 63) == 0) block(key, nonce, 1 + at / 64, stream);
        out[at] = in[at] ^ stream[at & 63];
    }
}

/* Poly1305 (section 2.5): numbers as 17 limbs of 8 bits, as slow as plain. */
typedef struct { uint32_t h[17], r[17]; } poly_t;

static void add(uint32_t *h, const uint32_t *c)
{
    uint32_t u = 0;
    for (int i = 0; i < 17; i++) u += h[i] + c[i], h[i] = u & 255, u >>= 8;
}

static void multiply(poly_t *p)
{
    uint32_t x[17], u = 0;
    for (int i = 0; i < 17; i++) {
        x[i] = 0;
        for (int j = 0; j < 17; j++)
            x[i] += p->h[j] * (j <= i ? p->r[i - j] : 320 * p->r[i + 17 - j]);
    }
    for (int i = 0; i < 16; i++) u += x[i], p->h[i] = u & 255, u >>= 8;
    u += x[16], p->h[16] = u & 3;
    u = 5 * (u >> 2);
    for (int i = 0; i < 16; i++) u += p->h[i], p->h[i] = u & 255, u >>= 8;
    p->h[16] += u;
}

static void absorb(poly_t *p, const uint8_t *bytes, uint32_t length)
{
    uint32_t c[17] = {0};
    for (uint32_t i = 0; i < 16; i++) c[i] = i < length ? bytes[i] : 0;
    c[16] = 1; /* blocks are padded to 16 by the AEAD */
    add(p->h, c);
    multiply(p);
}

static void authenticate(const key_t *key, const uint8_t *nonce, const uint8_t *text, uint32_t length,
                         uint8_t tag[16])
{
    static const uint32_t minus_p[17] = {5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 252};
    static const uint8_t mask[16] = {255, 255, 255, 15, 252, 255, 255, 15, 252, 255, 255, 15, 252, 255, 255, 15};
    uint8_t once[64], lengths[16] = {0};
    poly_t p = {0};
    block(key, nonce, 0, once);
    for (int i = 0; i < 16; i++) p.r[i] = once[i] & mask[i];
    for (uint32_t at = 0; at < length; at += 16)
        absorb(&p, text + at, length - at < 16 ? length - at : 16);
    write32(lengths + 8, length);
    absorb(&p, lengths, 16);
    uint32_t g[17], pad[17] = {0};
    memcpy(g, p.h, sizeof g);
    add(p.h, minus_p);
    uint32_t keep = 0u - (p.h[16] >> 7);
    for (int i = 0; i < 17; i++) p.h[i] ^= keep & (g[i] ^ p.h[i]);
    for (int i = 0; i < 16; i++) pad[i] = once[16 + i];
    add(p.h, pad);
    for (int i = 0; i < 16; i++) tag[i] = (uint8_t)p.h[i];
}

__declspec(dllexport) NTSTATUS WINAPI BCryptOpenAlgorithmProvider(BCRYPT_ALG_HANDLE *handle, LPCWSTR id,
                                                                LPCWSTR implementation, ULONG flags)
{
    if (implementation || flags) return INVALID_PARAMETER;
    if (wcscmp(id, L"CHACHA20_POLY1305") != 0) return NOT_FOUND;
    algorithm_t *algorithm = HeapAlloc(GetProcessHeap(), 0, sizeof *algorithm);
    algorithm->kind = ALGORITHM;
    *handle = algorithm;
    return OK;
}

__declspec(dllexport) NTSTATUS WINAPI BCryptCloseAlgorithmProvider(BCRYPT_ALG_HANDLE handle, ULONG flags)
{
    if (((algorithm_t *)handle)->kind != ALGORITHM || flags) return INVALID_HANDLE;
    HeapFree(GetProcessHeap(), 0, handle);
    return OK;
}

__declspec(dllexport) NTSTATUS WINAPI BCryptSetProperty(BCRYPT_HANDLE handle, LPCWSTR name, PUCHAR value,
                                                       ULONG length, ULONG flags)
{
    (void)handle, (void)name, (void)value, (void)length, (void)flags;
    return INVALID_PARAMETER;
}

__declspec(dllexport) NTSTATUS WINAPI BCryptGenerateSymmetricKey(BCRYPT_ALG_HANDLE handle, BCRYPT_KEY_HANDLE *made,
                                                                PUCHAR object, ULONG objectLength, PUCHAR secret,
                                                                ULONG length, ULONG flags)
{
    if (((algorithm_t *)handle)->kind != ALGORITHM) return INVALID_HANDLE;
    if (object || objectLength || length != 32 || flags) return INVALID_PARAMETER;
    key_t *key = HeapAlloc(GetProcessHeap(), 0, sizeof *key);
    key->kind = KEY;
    for (int i = 0; i < 8; i++) key->words[i] = read32(secret + 4 * i);
    *made = key;
    return OK;
}

__declspec(dllexport) NTSTATUS WINAPI BCryptDestroyKey(BCRYPT_KEY_HANDLE handle)
{
    key_t *key = handle;
    if (key->kind != KEY) return INVALID_HANDLE;
    SecureZeroMemory(key, sizeof *key);
    HeapFree(GetProcessHeap(), 0, key);
    return OK;
}

static NTSTATUS check(const key_t *key, ULONG length, const BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO *info,
                      const void *iv, ULONG ivLength, const void *out, ULONG room, const ULONG *written, ULONG flags)
{
    if (!key || key->kind != KEY) return INVALID_HANDLE;
    if (!info || info->cbSize != sizeof *info || info->dwInfoVersion != BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO_VERSION)
        return INVALID_PARAMETER;
    if (!info->pbNonce || info->cbNonce != 12 || !info->pbTag || info->cbTag != 16) return INVALID_PARAMETER;
    if (info->pbAuthData || info->cbAuthData || info->pbMacContext || info->cbMacContext || info->dwFlags)
        return INVALID_PARAMETER;
    if (iv || ivLength || !out || room < length || !written || flags) return INVALID_PARAMETER;
    return OK;
}

__declspec(dllexport) NTSTATUS WINAPI BCryptEncrypt(BCRYPT_KEY_HANDLE handle, PUCHAR in, ULONG length, VOID *padding,
                                                   PUCHAR iv, ULONG ivLength, PUCHAR out, ULONG room, ULONG *written,
                                                   ULONG flags)
{
    const BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO *info = padding;
    NTSTATUS status = check(handle, length, info, iv, ivLength, out, room, written, flags);
    if (status != OK) return status;
    crypt(handle, info->pbNonce, in, out, length);
    authenticate(handle, info->pbNonce, out, length, info->pbTag);
    *written = length;
    return OK;
}

__declspec(dllexport) NTSTATUS WINAPI BCryptDecrypt(BCRYPT_KEY_HANDLE handle, PUCHAR in, ULONG length, VOID *padding,
                                                   PUCHAR iv, ULONG ivLength, PUCHAR out, ULONG room, ULONG *written,
                                                   ULONG flags)
{
    const BCRYPT_AUTHENTICATED_CIPHER_MODE_INFO *info = padding;
    NTSTATUS status = check(handle, length, info, iv, ivLength, out, room, written, flags);
    if (status != OK) return status;
    uint8_t tag[16];
    authenticate(handle, info->pbNonce, in, length, tag);
    if (memcmp(tag, info->pbTag, 16) != 0) return TAG_MISMATCH;
    crypt(handle, info->pbNonce, in, out, length);
    *written = length;
    return OK;
}
