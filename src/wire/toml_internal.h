/* wire/toml_internal.h - the border between toml.c and the one file in C++, toml.cc. */
#pragma once
#include "wire/doc_internal.h"

/* The whole text by toml++, which has no limits of its own: toml.c has checked them before. */
NODISCARD int toml_load(const char *file, struct str text, unsigned flags, struct doc **ret,
                        struct error *err);
