# Third-party libraries, each as one target.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(hiredis REQUIRED IMPORTED_TARGET hiredis)
pkg_check_modules(liburing REQUIRED IMPORTED_TARGET liburing)
find_package(OpenSSL 3.0 REQUIRED)

# llhttp: pkg-config where the distribution packages the library (Debian 13), else the C sources of
# Debian's node-llhttp. Those default to loose parsing: LLHTTP_STRICT_MODE=1 must hold for the header
# and for the sources alike (tests/unit/proto_head.c proves it).
pkg_check_modules(libllhttp IMPORTED_TARGET libllhttp)
if(libllhttp_FOUND)
  add_library(llhttp ALIAS PkgConfig::libllhttp)
else()
  set(llhttp_sources /usr/share/llhttp)
  set(llhttp_headers /usr/share/include/llhttp)
  if(NOT EXISTS ${llhttp_sources}/llhttp.c)
    message(FATAL_ERROR "llhttp: neither pkg-config libllhttp nor Debian's node-llhttp was found")
  endif()
  add_library(llhttp STATIC
    ${llhttp_sources}/llhttp.c ${llhttp_sources}/api.c ${llhttp_sources}/http.c)
  target_include_directories(llhttp SYSTEM PUBLIC ${llhttp_headers})
  target_compile_definitions(llhttp PUBLIC LLHTTP_STRICT_MODE=1)
  target_compile_options(llhttp PRIVATE -w)
endif()

# limpet_library(NAME sources… [USES libraries…]): one folder, one library, one layer.
function(limpet_library name)
  cmake_parse_arguments(arg "" "" "USES;PRIVATE" ${ARGN})
  add_library(limpet_${name} STATIC ${arg_UNPARSED_ARGUMENTS})
  target_link_libraries(limpet_${name} PUBLIC limpet_flags ${arg_USES} PRIVATE ${arg_PRIVATE})
  set_target_properties(limpet_${name} PROPERTIES OUTPUT_NAME ${name})
endfunction()
