// SPDX-License-Identifier: Apache-2.0
/* Is AddressSanitizer built in? gcc and clang say it differently. */
#ifndef LIMPET_BASE_SANITIZER_H
#define LIMPET_BASE_SANITIZER_H

#if defined(__SANITIZE_ADDRESS__)
#define ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ADDRESS_SANITIZER 1
#endif
#endif
#ifndef ADDRESS_SANITIZER
#define ADDRESS_SANITIZER 0
#endif

#endif
