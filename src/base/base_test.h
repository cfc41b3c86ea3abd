/* base/base_test.h - what cmocka wants before it, in its order; for every unit test. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* The four above come first by cmocka's rule. */
#include <cmocka.h>
