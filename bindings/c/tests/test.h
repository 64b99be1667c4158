/* Functions for all tests. `tests FOLDER` runs all of them; FOLDER receives files. */
#ifndef TEST_H
#define TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unrolled.h>

#define CHECK(condition)                                                                  \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            fprintf(stderr, "%s:%d: %s; last error: %s\n", __FILE__, __LINE__, #condition, \
                    unrolled_last_error());                                               \
            exit(1);                                                                      \
        }                                                                                 \
    } while (0)

/* Checks that a call succeeds. */
#define OK(call) CHECK((call) == UNROLLED_OK)

/* Checks that a call fails with a status and a text that has these words. */
#define FAILS(call, status, words)                          \
    do {                                                    \
        CHECK((call) == (status));                          \
        CHECK(strstr(unrolled_last_error(), words) != NULL); \
    } while (0)

/* A model of vectors: 3 inputs, an LSTM of 5 units with a projection to 4, a GRU of 6, 2 outputs. */
extern const char *VECTORS;

/* Returns the path of a file in the folder of the test; valid until the fourth call after it. */
const char *in_folder(const char *name);
/* Fills values with numbers from -1 to 1. */
void fill(float *values, size_t count, unsigned seed);
/* Returns 1 if the bits of two arrays are the same. */
int same(const float *a, const float *b, size_t count);
/* Creates the network that a text describes, and the model that it is in a file. */
unrolled_rnn *new_rnn(const char *toml);
unrolled_model *saved(const char *toml, const char *name, size_t threads);

void test_errors(void);
void test_freed_handles(void);
void test_models(void);
void test_streams(void);
void test_networks(const char *symbols);
void test_gradients(void);
void test_symbols(const char *path);
void test_quantized(const char *path);
void test_threads(void);
void test_fork(void);

#endif
