/* What the compiler's headers lack of the system's, as its documentation has it. */
#pragma once
#include <windows.h>

typedef struct _DNS_INTERFACE_SETTINGS {
  ULONG Version;
  ULONG64 Flags;
  PWSTR Domain;
  PWSTR NameServer;
  PWSTR SearchList;
  ULONG RegistrationEnabled;
  ULONG RegisterAdapterName;
  ULONG EnableLLMNR;
  ULONG QueryAdapterName;
  PWSTR ProfileNameServer;
} DNS_INTERFACE_SETTINGS;

typedef ULONG CALLBACK DEVICE_NOTIFY_CALLBACK_ROUTINE(PVOID Context, ULONG Type,
                                                      PVOID Setting);

typedef struct _DEVICE_NOTIFY_SUBSCRIBE_PARAMETERS {
  DEVICE_NOTIFY_CALLBACK_ROUTINE *Callback;
  PVOID Context;
} DEVICE_NOTIFY_SUBSCRIBE_PARAMETERS;
