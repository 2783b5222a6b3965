/*
 * A stand-in for fwpuclnt.dll: keeps what it is given and tells it, decoded by
 * the SDK's own declarations, a line each, in the file that SLUICE_TEST_WFP_LOG
 * names. What belongs to a dynamic session goes with it. Error codes are those
 * of the documentation. SLUICE_TEST_WFP_REFUSE: what opening the engine gives.
 */
#include <winsock2.h>
#include <windows.h>
#include <fwpmu.h>
#include <stdio.h>
#include <stdlib.h>

#pragma GCC diagnostic ignored "-Wunused-parameter"

#define MOST 512
/* Of fwpmtypes.h and fwptypes.h, where the headers lack them. */
#define BOOT_TIME 2
#define INCLUDE_BOOT_TIME 8
#define E_FILTER_NOT_FOUND 0x80320003
#define E_PROVIDER_NOT_FOUND 0x80320005
#define E_SUBLAYER_NOT_FOUND 0x80320007
#define E_ALREADY_EXISTS 0x80320009
#define E_IN_USE 0x8032000a
#define E_DYNAMIC_SESSION 0x8032000b
#define E_WRONG_SESSION 0x8032000c
#define E_NO_TXN 0x8032000d
#define E_TXN_IN_PROGRESS 0x8032000e
#define E_LIFETIME_MISMATCH 0x80320016

struct session { int open, dynamic, transaction; };
/* A dynamic session's; NULL: it stays. */
struct kept { FWPM_FILTER0 filter; GUID provider; struct session *session; };

static struct session sessions[16];
static struct kept filters[MOST];
static int filter_count, provider, sublayer;
static UINT64 next_id = 1;

static void say(const char *format, ...) {
  const char *path = getenv("SLUICE_TEST_WFP_LOG");
  FILE *file = path ? fopen(path, "a") : NULL;
  if (!file) return;
  va_list values;
  va_start(values, format);
  vfprintf(file, format, values);
  va_end(values);
  fputc('\n', file);
  fclose(file);
}

static const char *guid(const GUID *key) {
  static char texts[8][40];
  static int at;
  char *text = texts[at++ & 7];
  sprintf(text, "%08lx-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x",
          (unsigned long)key->Data1, key->Data2, key->Data3, key->Data4[0],
          key->Data4[1], key->Data4[2], key->Data4[3], key->Data4[4],
          key->Data4[5], key->Data4[6], key->Data4[7]);
  return text;
}

__declspec(dllexport) DWORD WINAPI FwpmEngineOpen0(
    const wchar_t *server, UINT32 service, SEC_WINNT_AUTH_IDENTITY_W *identity,
    const FWPM_SESSION0 *session, HANDLE *engine) {
  const char *refuse = getenv("SLUICE_TEST_WFP_REFUSE");
  HMODULE self;
  /* What it keeps outlives whoever loaded it. */
  GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN |
                     GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                     (const char *)&provider, &self);
  if (refuse && *refuse) return strtoul(refuse, NULL, 0);
  for (int i = 0; i < 16; i++) {
    if (sessions[i].open) continue;
    sessions[i] = (struct session){1, session && session->flags & 1, 0};
    *engine = &sessions[i];
    say("open %s", sessions[i].dynamic ? "dynamic" : "static");
    return 0;
  }
  return ERROR_NOT_ENOUGH_MEMORY;
}

__declspec(dllexport) DWORD WINAPI FwpmEngineClose0(HANDLE engine) {
  struct session *session = engine;
  int left = 0;
  for (int i = 0; i < filter_count; i++)
    if (filters[i].session != session)
      filters[left++] = filters[i];
  filter_count = left;
  session->open = 0;
  say("close %s", session->dynamic ? "dynamic" : "static");
  return 0;
}

__declspec(dllexport) DWORD WINAPI FwpmTransactionBegin0(HANDLE engine, UINT32 flags) {
  struct session *session = engine;
  if (session->transaction) return E_TXN_IN_PROGRESS;
  session->transaction = 1;
  say("begin");
  return 0;
}

static DWORD end(HANDLE engine, const char *word) {
  struct session *session = engine;
  if (!session->transaction) return E_NO_TXN;
  session->transaction = 0;
  say("%s", word);
  return 0;
}

__declspec(dllexport) DWORD WINAPI FwpmTransactionCommit0(HANDLE engine) {
  return end(engine, "commit");
}

__declspec(dllexport) DWORD WINAPI FwpmTransactionAbort0(HANDLE engine) {
  return end(engine, "abort");
}

__declspec(dllexport) DWORD WINAPI FwpmProviderAdd0(
    HANDLE engine, const FWPM_PROVIDER0 *given, PSECURITY_DESCRIPTOR security) {
  if (provider) return E_ALREADY_EXISTS;
  provider = 1;
  say("provider %s «%ls» flags %u", guid(&given->providerKey),
      given->displayData.name, given->flags);
  return 0;
}

__declspec(dllexport) DWORD WINAPI FwpmProviderDeleteByKey0(HANDLE engine, const GUID *key) {
  if (!provider) return E_PROVIDER_NOT_FOUND;
  if (sublayer || filter_count) return E_IN_USE;
  provider = 0;
  say("delete provider %s", guid(key));
  return 0;
}

__declspec(dllexport) DWORD WINAPI FwpmSubLayerAdd0(
    HANDLE engine, const FWPM_SUBLAYER0 *given, PSECURITY_DESCRIPTOR security) {
  if (sublayer) return E_ALREADY_EXISTS;
  if (!given->providerKey || !provider) return E_PROVIDER_NOT_FOUND;
  sublayer = 1;
  say("sublayer %s provider %s flags %u weight %u", guid(&given->subLayerKey),
      guid(given->providerKey), given->flags, given->weight);
  return 0;
}

__declspec(dllexport) DWORD WINAPI FwpmSubLayerDeleteByKey0(HANDLE engine, const GUID *key) {
  if (!sublayer) return E_SUBLAYER_NOT_FOUND;
  if (filter_count) return E_IN_USE;
  sublayer = 0;
  say("delete sublayer %s", guid(key));
  return 0;
}

static void describe(const FWPM_FILTER_CONDITION0 *condition, char *text) {
  const FWP_CONDITION_VALUE0 *value = &condition->conditionValue;
  text += sprintf(text, " [%s match %d ", guid(&condition->fieldKey), condition->matchType);
  switch (value->type) {
    case FWP_UINT8: sprintf(text, "u8 %u]", value->uint8); break;
    case FWP_UINT16: sprintf(text, "u16 %u]", value->uint16); break;
    case FWP_UINT32: sprintf(text, "u32 %u]", value->uint32); break;
    case FWP_UINT64: sprintf(text, "u64 %llu]", *value->uint64); break;
    case FWP_BYTE_BLOB_TYPE:
      sprintf(text, "blob %ls]", (wchar_t *)value->byteBlob->data);
      break;
    case FWP_V4_ADDR_MASK:
      sprintf(text, "v4 %08x/%08x]", value->v4AddrMask->addr, value->v4AddrMask->mask);
      break;
    case FWP_V6_ADDR_MASK: {
      for (int i = 0; i < 16; i++)
        text += sprintf(text, i ? "%02x" : "v6 %02x", value->v6AddrMask->addr[i]);
      sprintf(text, "/%u]", value->v6AddrMask->prefixLength);
      break;
    }
    default: sprintf(text, "type %d]", value->type);
  }
}

__declspec(dllexport) DWORD WINAPI FwpmFilterAdd0(
    HANDLE engine, const FWPM_FILTER0 *given, PSECURITY_DESCRIPTOR security, UINT64 *id) {
  struct session *session = engine;
  char conditions[4096] = "";
  if (!sublayer || !given->providerKey) return E_SUBLAYER_NOT_FOUND;
  if (session->dynamic && given->flags & 3) return E_LIFETIME_MISMATCH;
  if (filter_count == MOST) return ERROR_NOT_ENOUGH_MEMORY;
  for (UINT32 i = 0; i < given->numFilterConditions; i++)
    describe(&given->filterCondition[i], conditions + strlen(conditions));
  struct kept *kept = &filters[filter_count++];
  kept->filter = *given;
  kept->filter.filterId = *id = next_id++;
  kept->provider = *given->providerKey;
  kept->session = session->dynamic ? session : NULL;
  say("filter %llu %s «%ls» flags %u layer %s sublayer %s weight %u/%u %x%s", *id,
      session->dynamic ? "dynamic" : "static", given->displayData.name,
      given->flags, guid(&given->layerKey), guid(&given->subLayerKey),
      given->weight.type, given->weight.uint8, given->action.type, conditions);
  return 0;
}

__declspec(dllexport) DWORD WINAPI FwpmFilterDeleteById0(HANDLE engine, UINT64 id) {
  for (int i = 0; i < filter_count; i++) {
    if (filters[i].filter.filterId != id) continue;
    struct session *session = engine;
    if (filters[i].session && filters[i].session != session) return E_WRONG_SESSION;
    if (!filters[i].session && session->dynamic) return E_DYNAMIC_SESSION;
    filters[i] = filters[--filter_count];
    say("delete filter %llu", id);
    return 0;
  }
  return E_FILTER_NOT_FOUND;
}

struct enumeration { FWPM_FILTER_ENUM_TEMPLATE0 wanted; GUID provider; int at; };

/* Filters of the system's start are told to who asks for them alone. */
static int fits(const struct kept *kept, const struct enumeration *one) {
  const FWPM_FILTER_ENUM_TEMPLATE0 *wanted = &one->wanted;
  if (kept->filter.flags & BOOT_TIME &&
      !(wanted->flags & INCLUDE_BOOT_TIME)) return 0;
  return wanted->actionMask & kept->filter.action.type &&
         IsEqualGUID(&wanted->layerKey, &kept->filter.layerKey) &&
         (!wanted->providerKey || IsEqualGUID(&one->provider, &kept->provider));
}

__declspec(dllexport) DWORD WINAPI FwpmFilterCreateEnumHandle0(
    HANDLE engine, const FWPM_FILTER_ENUM_TEMPLATE0 *template, HANDLE *handle) {
  struct enumeration *one = calloc(1, sizeof *one);
  one->wanted = *template;
  if (template->providerKey) one->provider = *template->providerKey;
  *handle = one;
  return 0;
}

__declspec(dllexport) DWORD WINAPI FwpmFilterEnum0(
    HANDLE engine, HANDLE handle, UINT32 wanted, FWPM_FILTER0 ***entries, UINT32 *count) {
  struct enumeration *one = handle;
  FWPM_FILTER0 **list = calloc(wanted + 1, sizeof *list);
  for (*count = 0; *count < wanted && one->at < filter_count; one->at++) {
    struct kept *kept = &filters[one->at];
    if (!fits(kept, one)) continue;
    kept->filter.providerKey = &kept->provider;
    list[(*count)++] = &kept->filter;
  }
  *entries = list;
  return 0;
}

__declspec(dllexport) DWORD WINAPI FwpmFilterDestroyEnumHandle0(HANDLE engine, HANDLE handle) {
  free(handle);
  return 0;
}

__declspec(dllexport) DWORD WINAPI FwpmGetAppIdFromFileName0(PCWSTR name, FWP_BYTE_BLOB **blob) {
  size_t bytes = 2 * (wcslen(name) + 1);
  FWP_BYTE_BLOB *made = malloc(sizeof *made + bytes);
  made->size = bytes;
  made->data = (UINT8 *)(made + 1);
  memcpy(made->data, name, bytes);
  *blob = made;
  return 0;
}

__declspec(dllexport) void WINAPI FwpmFreeMemory0(void **memory) {
  free(*memory);
  *memory = NULL;
}
