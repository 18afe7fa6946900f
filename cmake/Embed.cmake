# Turns files into C: a struct span per file, named web_<file>, dots as underscores.
#   cmake -DOUT=web_files.c -DFILES="a;b" -P Embed.cmake
set(code "// Made by cmake/Embed.cmake from lb/dashboard.\n#include \"lb/web_parts.h\"\n\n")
foreach(file ${FILES})
  get_filename_component(name ${file} NAME)
  string(REPLACE "." "_" name ${name})
  file(READ ${file} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR bytes "${digits} / 2")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(APPEND code "static const unsigned char bytes_${name}[] = {\n${hex}};\n"
    "const struct span web_${name} = {(const char *)bytes_${name}, ${bytes}};\n\n")
endforeach()
file(WRITE ${OUT} "${code}")
