# Compiler flags for our own code. Third-party targets (llhttp) do not take `limpet_flags`.
add_library(limpet_flags INTERFACE)

target_compile_definitions(limpet_flags INTERFACE _GNU_SOURCE LIMPET_VERSION="${PROJECT_VERSION}")
target_include_directories(limpet_flags INTERFACE ${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
target_compile_options(limpet_flags INTERFACE
  -Wall -Wextra -Wconversion -Wshadow -Werror
  -Wformat=2 -Wimplicit-fallthrough -Wstrict-prototypes -Wmissing-prototypes -Wvla
  -Wno-missing-field-initializers
  -fno-strict-aliasing -fno-delete-null-pointer-checks -fno-strict-overflow)

# The OpenSSF hardening guide's list, as far as gcc 12 and clang 14 know it. Sanitizers bring their
# own checks and do not go with _FORTIFY_SOURCE.
if(LIMPET_SANITIZE)
  set(sanitize -fsanitize=${LIMPET_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_compile_options(${sanitize} -g -O1)
  target_compile_definitions(limpet_flags INTERFACE LIMPET_SANITIZED)
  add_link_options(${sanitize})
  if(LIMPET_FUZZ) # libraries, too, count their coverage
    add_compile_options(-fsanitize=fuzzer-no-link)
  endif()
elseif(CMAKE_BUILD_TYPE STREQUAL "Release" OR CMAKE_BUILD_TYPE STREQUAL "RelWithDebInfo")
  add_compile_options(-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3
    -fstack-protector-strong -fstack-clash-protection -fPIE)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64")
    add_compile_options(-fcf-protection=full)
  endif()
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-ftrivial-auto-var-init=zero)
  endif()
  add_link_options(-pie -Wl,-z,relro,-z,now,-z,noexecstack,-z,nodlopen,-z,separate-code
    -Wl,--as-needed)
endif()

# Internal assertions stay on in release builds.
foreach(type RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()
string(REPLACE "-O3" "-O2" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

# The programs are optimised as a whole at the link (a tenth fewer instructions per request), which
# takes its time: what else is linked (tests, bench) takes the ordinary code beside it.
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT LIMPET_SANITIZE)
  target_compile_options(limpet_flags INTERFACE -flto -ffat-lto-objects)
  target_link_options(limpet_flags INTERFACE
    $<IF:$<BOOL:$<TARGET_PROPERTY:LIMPET_WHOLE_PROGRAM>>,-flto=auto,-fno-lto>)
endif()
