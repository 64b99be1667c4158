/*
 * Runs all tests of the C library:
 *
 *     tests FOLDER SYMBOLS.safetensors QUANTIZED.safetensors [--memcheck]
 *
 * --memcheck leaves out what a memory checker reports on purpose: the use of freed handles.
 */
#include "test.h"

const char *VECTORS = "inputs = 3\noutputs = 2\nseed = 5\nthreads = 2\n"
                      "[[stack]]\ncell = \"lstm\"\nhidden = 5\nprojection = 4\n"
                      "[[stack]]\ncell = \"gru\"\nhidden = 6\n";

static const char *folder;

const char *in_folder(const char *name) {
    static char paths[4][1024];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void fill(float *values, size_t count, unsigned seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
    }
}

int same(const float *a, const float *b, size_t count) {
    return memcmp(a, b, count * sizeof *a) == 0;
}

unrolled_rnn *new_rnn(const char *toml) {
    unrolled_rnn *rnn = NULL;
    OK(unrolled_rnn_new(toml, &rnn));
    return rnn;
}

unrolled_model *saved(const char *toml, const char *name, size_t threads) {
    unrolled_rnn *rnn = new_rnn(toml);
    unrolled_model *model = NULL;
    OK(unrolled_rnn_save(rnn, in_folder(name)));
    unrolled_rnn_free(rnn);
    OK(unrolled_model_load_threads(in_folder(name), threads, &model));
    return model;
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: %s FOLDER SYMBOLS.safetensors QUANTIZED.safetensors [--memcheck]\n", argv[0]);
        return 2;
    }
    folder = argv[1];
    CHECK(unrolled_abi_version() == UNROLLED_ABI_VERSION);
    CHECK(strcmp(unrolled_last_error(), "") == 0);
    test_errors();
    if (argc == 4) test_freed_handles();
    test_models();
    test_streams();
    test_networks(argv[2]);
    test_gradients();
    test_symbols(argv[2]);
    test_quantized(argv[3]);
    test_threads();
    test_fork();
    puts("all tests of the C library passed");
    return 0;
}
