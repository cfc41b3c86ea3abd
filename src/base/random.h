/* base/random.h - the kernel's random bytes. */
#pragma once
#include <stddef.h>
#include <stdint.h>

void random_bytes(void *out, size_t len); /* getrandom(2); never fails after boot */
enum { UUID_SIZE = 37 };
void random_uuid(char out[UUID_SIZE]); /* version 4, lower case */
/* `len` letters of the alphabet that Kubernetes uses for generated names, terminated. */
void random_name(char *out, size_t len);
