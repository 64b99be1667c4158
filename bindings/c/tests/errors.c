/* Bad input: a status and a text. */
#include "test.h"
#include <math.h>

static void test_files(void) {
    unrolled_model *model = NULL;
    FAILS(unrolled_model_load(NULL, &model), UNROLLED_NULL, "path");
    FAILS(unrolled_model_load("x", NULL), UNROLLED_NULL, "out");
    FAILS(unrolled_model_load(in_folder("missing"), &model), UNROLLED_IO, "missing");
    FAILS(unrolled_model_load(in_folder("."), &model), UNROLLED_IO, "");

    FILE *file = fopen(in_folder("bad.safetensors"), "wb");
    CHECK(file && fputs("not a model", file) >= 0 && fclose(file) == 0);
    FAILS(unrolled_model_load(in_folder("bad.safetensors"), &model), UNROLLED_FILE, "bad.safetensors");
    CHECK(model == NULL);
}

/* Every byte of a checkpoint matters: flips one, and cuts the file. */
static void test_damage(void) {
    unrolled_model *model = saved(VECTORS, "whole.safetensors", 1);
    unrolled_model_free(model);
    model = NULL;
    static char bytes[1 << 16];
    FILE *file = fopen(in_folder("whole.safetensors"), "rb");
    CHECK(file);
    size_t length = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    CHECK(length > 1000 && length < sizeof bytes);
    for (size_t kept = length - 1; kept > 0; kept /= 2) {
        CHECK((file = fopen(in_folder("cut.safetensors"), "wb")));
        fwrite(bytes, 1, kept, file);
        fclose(file);
        FAILS(unrolled_model_load(in_folder("cut.safetensors"), &model), UNROLLED_FILE, "cut.safetensors");
    }
    bytes[length - 1] ^= 1;
    CHECK((file = fopen(in_folder("flipped.safetensors"), "wb")));
    fwrite(bytes, 1, length, file);
    fclose(file);
    FAILS(unrolled_model_load(in_folder("flipped.safetensors"), &model), UNROLLED_FILE, "flipped.safetensors");
    CHECK(model == NULL);
}

static void test_descriptions(void) {
    unrolled_rnn *rnn = NULL;
    FAILS(unrolled_rnn_new(NULL, &rnn), UNROLLED_NULL, "toml");
    FAILS(unrolled_rnn_new("inputs = 1", NULL), UNROLLED_NULL, "out");
    FAILS(unrolled_rnn_new("", &rnn), UNROLLED_ARGUMENT, "inputs");
    FAILS(unrolled_rnn_new("inputs = 0", &rnn), UNROLLED_ARGUMENT, "inputs");
    FAILS(unrolled_rnn_new("inputs = 1\nhidden = = 1", &rnn), UNROLLED_ARGUMENT, "line 2");
    FAILS(unrolled_rnn_new("inputs = 1\nseed = -1", &rnn), UNROLLED_ARGUMENT, "seed");
    FAILS(unrolled_rnn_new("inputs = 1\nthreads = 0", &rnn), UNROLLED_ARGUMENT, "threads");
    FAILS(unrolled_rnn_new("inputs = 1\nbatch = 3", &rnn), UNROLLED_ARGUMENT, "unknown key batch");
    FAILS(unrolled_rnn_new("inputs = 1\nhidden = 3\n[[stack]]\n", &rnn), UNROLLED_ARGUMENT, "key hidden");
    FAILS(unrolled_rnn_new("inputs = 1\n[[stack]]\ncell = \"lstn\"", &rnn), UNROLLED_ARGUMENT, "lstn");
    FAILS(unrolled_rnn_new("inputs = 1\n[[stack]]\ncustom = \"mine\"", &rnn), UNROLLED_ARGUMENT, "custom");
    FAILS(unrolled_rnn_new("inputs = 1\n[[stack]]\nhidden = 100000000", &rnn), UNROLLED_MEMORY, "memory");
    FAILS(unrolled_rnn_new("inputs = 1\n\xff", &rnn), UNROLLED_ARGUMENT, "UTF-8");
    CHECK(rnn == NULL);
}

/* Every function refuses a null handle, or accepts it where the header says so. */
static void test_null_handles(void) {
    float value = 0;
    unrolled_stream *stream = NULL;
    unrolled_model_free(NULL);
    unrolled_stream_free(NULL);
    unrolled_rnn_free(NULL);
    CHECK(unrolled_model_input_size(NULL) == 0);
    CHECK(strstr(unrolled_last_error(), "model: found NULL") != NULL);
    CHECK(unrolled_model_output_size(NULL) == 0 && unrolled_model_symbols(NULL) == 0);
    CHECK(unrolled_model_state_len(NULL, 1) == 0);
    FAILS(unrolled_model_forward(NULL, 1, 1, &value, NULL, NULL, NULL, &value), UNROLLED_NULL, "model");
    FAILS(unrolled_model_forward_symbols(NULL, 1, 1, NULL, NULL, NULL, NULL, &value), UNROLLED_NULL, "model");
    FAILS(unrolled_stream_new(NULL, 1, &stream), UNROLLED_NULL, "model");
    FAILS(unrolled_stream_step(NULL, &value, &value), UNROLLED_NULL, "stream");
    FAILS(unrolled_stream_step_symbols(NULL, NULL, &value), UNROLLED_NULL, "stream");
    unrolled_stream_reset(NULL);
    FAILS(unrolled_stream_reset_row(NULL, 0), UNROLLED_NULL, "stream");
    CHECK(unrolled_stream_state_len(NULL) == 0);
    FAILS(unrolled_stream_get_state(NULL, &value), UNROLLED_NULL, "stream");
    FAILS(unrolled_stream_set_state(NULL, &value), UNROLLED_NULL, "stream");
    CHECK(unrolled_rnn_input_size(NULL) == 0 && unrolled_rnn_output_size(NULL) == 0);
    CHECK(unrolled_rnn_state_len(NULL, 1) == 0 && unrolled_rnn_parameters(NULL) == 0);
    CHECK(unrolled_rnn_values(NULL) == NULL && unrolled_rnn_gradients(NULL) == NULL);
    CHECK(unrolled_rnn_tensors(NULL) == 0);
    FAILS(unrolled_rnn_set_training(NULL, 1), UNROLLED_NULL, "rnn");
    FAILS(unrolled_rnn_forward(NULL, 1, 1, &value, NULL, NULL, &value, NULL), UNROLLED_NULL, "rnn");
    FAILS(unrolled_rnn_backward(NULL, NULL, NULL, NULL, NULL), UNROLLED_NULL, "rnn");
    FAILS(unrolled_rnn_parameter(NULL, 0, NULL, NULL, NULL, NULL), UNROLLED_NULL, "rnn");
    FAILS(unrolled_rnn_save(NULL, "x"), UNROLLED_NULL, "rnn");
}

/* A handle of another type, and an address that is not aligned. */
static void test_other_handles(void) {
    unrolled_rnn *rnn = new_rnn(VECTORS);
    unrolled_model *model = saved(VECTORS, "other.safetensors", 1);
    float values[64] = {0};
    FAILS(unrolled_stream_step((unrolled_stream *)model, values, values), UNROLLED_POINTER, "stream");
    FAILS(unrolled_rnn_save((unrolled_rnn *)model, "x"), UNROLLED_POINTER, "rnn");
    CHECK(unrolled_model_input_size((unrolled_model *)rnn) == 0);
    CHECK(unrolled_model_input_size((unrolled_model *)((char *)model + 1)) == 0);
    unrolled_model_free((unrolled_model *)rnn);
    CHECK(unrolled_rnn_input_size(rnn) == 3); /* it was not freed */
    const float *odd = (const float *)((const char *)values + 1);
    FAILS(unrolled_model_forward(model, 1, 1, odd, NULL, NULL, NULL, values), UNROLLED_POINTER, "x");
    unrolled_model_free(model);
    unrolled_rnn_free(rnn);
}

static void test_not_finite(void) {
    unrolled_rnn *rnn = new_rnn(VECTORS);
    OK(unrolled_rnn_save(rnn, in_folder("kept.safetensors")));
    unrolled_rnn_values(rnn)[3] = NAN;
    FAILS(unrolled_rnn_save(rnn, in_folder("kept.safetensors")), UNROLLED_NOT_FINITE, "weight_ih_l0");
    unrolled_rnn_free(rnn);
    unrolled_model *model = NULL;
    OK(unrolled_model_load(in_folder("kept.safetensors"), &model)); /* the old file stayed */
    unrolled_model_free(model);
}

void test_errors(void) {
    test_files();
    test_damage();
    test_descriptions();
    test_null_handles();
    test_other_handles();
    test_not_finite();
}

void test_freed_handles(void) {
    unrolled_rnn *rnn = new_rnn(VECTORS);
    unrolled_model *model = saved(VECTORS, "freed.safetensors", 1);
    unrolled_stream *stream = NULL;
    float values[64] = {0};
    OK(unrolled_stream_new(model, 1, &stream));
    unrolled_stream_free(stream);
    FAILS(unrolled_stream_step(stream, values, values), UNROLLED_POINTER, "stream");
    unrolled_model_free(model);
    CHECK(unrolled_model_output_size(model) == 0);
    unrolled_rnn_free(rnn);
    FAILS(unrolled_rnn_save(rnn, "x"), UNROLLED_POINTER, "rnn");
    unrolled_rnn_free(rnn); /* twice */
    CHECK(strstr(unrolled_last_error(), "rnn") != NULL);
}
