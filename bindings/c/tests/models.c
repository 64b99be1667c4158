/* Models and streams. */
#include "test.h"

#include <math.h>

enum { STEPS = 6, BATCH = 3, IN = 3, OUT = 2, STATE = 4 + 5 + 6 };

static void test_sizes(const unrolled_model *model) {
    CHECK(unrolled_model_input_size(model) == IN);
    CHECK(unrolled_model_output_size(model) == OUT);
    CHECK(unrolled_model_symbols(model) == 0);
    CHECK(unrolled_model_state_len(model, BATCH) == BATCH * STATE);
    CHECK(unrolled_model_state_len(model, (size_t)-1) == 0);
}

/* Two half windows with the state between them are one window, with the same bits. */
static void test_halves(const unrolled_model *model, const float *x, const float *y) {
    float halves[STEPS * BATCH * OUT], state[BATCH * STATE];
    OK(unrolled_model_forward(model, 2, BATCH, x, NULL, NULL, state, halves));
    OK(unrolled_model_forward(model, 4, BATCH, x + 2 * BATCH * IN, NULL, state, state, halves + 2 * BATCH * OUT));
    CHECK(same(y, halves, STEPS * BATCH * OUT));
}

static void test_lengths(const unrolled_model *model, const float *x, const float *y) {
    float ragged[STEPS * BATCH * OUT], zeros[OUT] = {0};
    size_t lengths[BATCH] = {6, 0, 2};
    OK(unrolled_model_forward(model, STEPS, BATCH, x, lengths, NULL, NULL, ragged));
    for (size_t step = 0; step < STEPS; step++) {
        for (size_t row = 0; row < BATCH; row++) {
            size_t at = (step * BATCH + row) * OUT;
            CHECK(same(ragged + at, step < lengths[row] ? y + at : zeros, OUT));
        }
    }
    lengths[1] = 7;
    FAILS(unrolled_model_forward(model, STEPS, BATCH, x, lengths, NULL, NULL, ragged), UNROLLED_ARGUMENT, "7");
}

static void test_bad_windows(const unrolled_model *model, float *x, float *y) {
    float state[BATCH * STATE];
    FAILS(unrolled_model_forward(model, 0, BATCH, x, NULL, NULL, NULL, y), UNROLLED_ARGUMENT, "steps: found 0");
    FAILS(unrolled_model_forward(model, STEPS, 0, x, NULL, NULL, NULL, y), UNROLLED_ARGUMENT, "batch: found 0");
    FAILS(unrolled_model_forward(model, (size_t)-1, 2, x, NULL, NULL, NULL, y), UNROLLED_ARGUMENT, "memory");
    FAILS(unrolled_model_forward(model, (size_t)1 << 40, 1, x, NULL, NULL, NULL, y), UNROLLED_MEMORY, "memory");
    FAILS(unrolled_model_forward(model, STEPS, BATCH, NULL, NULL, NULL, NULL, y), UNROLLED_NULL, "x");
    FAILS(unrolled_model_forward(model, STEPS, BATCH, x, NULL, NULL, state, NULL), UNROLLED_NULL, "y");
    FAILS(unrolled_model_forward(model, STEPS, BATCH, x, NULL, NULL, NULL, x + 1), UNROLLED_ARGUMENT, "shares");
    FAILS(unrolled_model_forward(model, STEPS, BATCH, x, NULL, NULL, y, y), UNROLLED_ARGUMENT, "with state_out");
    uint32_t id = 0;
    FAILS(unrolled_model_forward_symbols(model, 1, 1, &id, NULL, NULL, NULL, y), UNROLLED_ARGUMENT, "vectors");
}

void test_models(void) {
    unrolled_model *model = saved(VECTORS, "vectors.safetensors", 1);
    unrolled_model *two = NULL;
    OK(unrolled_model_load_threads(in_folder("vectors.safetensors"), 2, &two));
    float x[STEPS * BATCH * IN], y[STEPS * BATCH * OUT], other[STEPS * BATCH * OUT];
    fill(x, sizeof x / sizeof *x, 1);
    test_sizes(model);
    OK(unrolled_model_forward(model, STEPS, BATCH, x, NULL, NULL, NULL, y));
    OK(unrolled_model_forward(two, STEPS, BATCH, x, NULL, NULL, NULL, other));
    CHECK(same(y, other, STEPS * BATCH * OUT));
    test_halves(model, x, y);
    test_lengths(model, x, y);
    test_bad_windows(model, x, other);
    unrolled_model_free(two);
    unrolled_model_free(model);
}

/* A stream gives the bits of a window, for any number of rows. */
static void test_steps(unrolled_stream *stream, const float *x, const float *y) {
    float out[BATCH * OUT];
    for (size_t step = 0; step < STEPS; step++) {
        OK(unrolled_stream_step(stream, x + step * BATCH * IN, out));
        CHECK(same(out, y + step * BATCH * OUT, BATCH * OUT));
    }
}

static void test_states(unrolled_stream *stream, const float *x) {
    float state[BATCH * STATE], again[BATCH * STATE], first[BATCH * OUT], second[BATCH * OUT];
    CHECK(unrolled_stream_state_len(stream) == BATCH * STATE);
    OK(unrolled_stream_get_state(stream, state));
    OK(unrolled_stream_step(stream, x, first));
    OK(unrolled_stream_set_state(stream, state));
    OK(unrolled_stream_get_state(stream, again));
    CHECK(same(state, again, BATCH * STATE));
    OK(unrolled_stream_step(stream, x, second));
    CHECK(same(first, second, BATCH * OUT));

    /* Row 1 has no state any more; the parts of layer 0 are h [B, 4] and c [B, 5]. */
    OK(unrolled_stream_get_state(stream, state));
    OK(unrolled_stream_reset_row(stream, 1));
    OK(unrolled_stream_get_state(stream, again));
    CHECK(same(state, again, 4) && !same(state + 4, again + 4, 4) && same(state + 8, again + 8, 4));
    for (size_t i = 0; i < 4; i++) CHECK(again[4 + i] == 0);
    for (size_t i = 0; i < 5; i++) CHECK(again[BATCH * 4 + 5 + i] == 0);
    FAILS(unrolled_stream_reset_row(stream, BATCH), UNROLLED_ARGUMENT, "row: found 3");
    FAILS(unrolled_stream_get_state(stream, NULL), UNROLLED_NULL, "state");
    FAILS(unrolled_stream_set_state(stream, NULL), UNROLLED_NULL, "state");
}

void test_streams(void) {
    unrolled_model *model = saved(VECTORS, "vectors.safetensors", 2);
    unrolled_stream *stream = NULL;
    float x[STEPS * BATCH * IN], y[STEPS * BATCH * OUT], value = 0;
    fill(x, sizeof x / sizeof *x, 1);
    OK(unrolled_model_forward(model, STEPS, BATCH, x, NULL, NULL, NULL, y));
    FAILS(unrolled_stream_new(model, 0, &stream), UNROLLED_ARGUMENT, "batch: found 0");
    FAILS(unrolled_stream_new(model, (size_t)1 << 50, &stream), UNROLLED_MEMORY, "memory");
    FAILS(unrolled_stream_new(model, (size_t)-1, &stream), UNROLLED_ARGUMENT, "memory");
    FAILS(unrolled_stream_new(model, 1, NULL), UNROLLED_NULL, "out");
    OK(unrolled_stream_new(model, BATCH, &stream));
    unrolled_model_free(model); /* the stream stays */
    test_steps(stream, x, y);
    unrolled_stream_reset(stream);
    test_steps(stream, x, y);
    test_states(stream, x);
    FAILS(unrolled_stream_step(stream, NULL, y), UNROLLED_NULL, "x");
    FAILS(unrolled_stream_step(stream, x, NULL), UNROLLED_NULL, "y");
    uint32_t ids[BATCH] = {0};
    FAILS(unrolled_stream_step_symbols(stream, ids, y), UNROLLED_ARGUMENT, "vectors");
    unrolled_stream_free(stream);

    /* One input and one output: x may be y. */
    model = saved("inputs = 1\n[[stack]]\ncell = \"rnn\"\nhidden = 1\n", "one.safetensors", 1);
    OK(unrolled_stream_new(model, 1, &stream));
    float in_place = x[0];
    OK(unrolled_stream_step(stream, x, &value));
    unrolled_stream_reset(stream);
    OK(unrolled_stream_step(stream, &in_place, &in_place));
    CHECK(same(&value, &in_place, 1));
    unrolled_stream_free(stream);
    unrolled_model_free(model);
}

/* Runs a model of 5 symbols on 4 ids, and in steps, and frees it. */
static void run_symbols(unrolled_model *model, float *y) {
    uint32_t ids[4] = {0, 3, 1, 4};
    float logits[5];
    unrolled_stream *stream = NULL;
    OK(unrolled_model_forward_symbols(model, 4, 1, ids, NULL, NULL, NULL, y));
    OK(unrolled_stream_new(model, 1, &stream));
    for (int step = 0; step < 4; step++) {
        OK(unrolled_stream_step_symbols(stream, ids + step, logits));
        CHECK(same(logits, y + step * 5, 5));
    }
    unrolled_stream_free(stream);
    unrolled_model_free(model);
}

/* A quantized file runs in int8, unless the call names another precision. */
void test_quantized(const char *path) {
    unrolled_model *model = NULL;
    float y[4 * 5], other[4 * 5];
    OK(unrolled_model_load(path, &model));
    run_symbols(model, y);
    OK(unrolled_model_load_threads(path, 2, &model));
    run_symbols(model, other);
    CHECK(same(y, other, 4 * 5));
    OK(unrolled_model_load_precision(path, "int8", 1, &model));
    run_symbols(model, other);
    CHECK(same(y, other, 4 * 5));
    OK(unrolled_model_load_precision(path, "f32", 1, &model));
    run_symbols(model, other);
    CHECK(!same(y, other, 4 * 5));
    for (int i = 0; i < 4 * 5; i++) CHECK(fabsf(y[i] - other[i]) < 0.05f);
}

/* A language model of 5 symbols: ids, and ids as floats. */
void test_symbols(const char *path) {
    unrolled_model *model = NULL;
    unrolled_stream *stream = NULL;
    OK(unrolled_model_load(path, &model));
    CHECK(unrolled_model_symbols(model) == 5 && unrolled_model_output_size(model) == 5);
    CHECK(unrolled_model_input_size(model) == 1);
    uint32_t ids[8] = {0, 1, 2, 3, 4, 3, 2, 1};
    float floats[8], y[8 * 5], other[8 * 5], logits[2 * 5];
    for (int i = 0; i < 8; i++) floats[i] = (float)ids[i];
    OK(unrolled_model_forward_symbols(model, 4, 2, ids, NULL, NULL, NULL, y));
    OK(unrolled_model_forward(model, 4, 2, floats, NULL, NULL, NULL, other));
    CHECK(same(y, other, 8 * 5));
    OK(unrolled_stream_new(model, 2, &stream));
    for (int step = 0; step < 4; step++) {
        if (step % 2) OK(unrolled_stream_step(stream, floats + 2 * step, logits));
        else OK(unrolled_stream_step_symbols(stream, ids + 2 * step, logits));
        CHECK(same(logits, y + step * 10, 10));
    }
    ids[3] = 5;
    FAILS(unrolled_model_forward_symbols(model, 4, 2, ids, NULL, NULL, NULL, y), UNROLLED_ARGUMENT, "id 5");
    FAILS(unrolled_stream_step_symbols(stream, ids + 2, logits), UNROLLED_ARGUMENT, "id 5");
    FAILS(unrolled_stream_step_symbols(stream, NULL, logits), UNROLLED_NULL, "ids");
    FAILS(unrolled_stream_step_symbols(stream, ids, NULL), UNROLLED_NULL, "logits");
    floats[1] = 0.5f;
    FAILS(unrolled_stream_step(stream, floats, logits), UNROLLED_ARGUMENT, "0.5");
    FAILS(unrolled_model_forward(model, 4, 2, floats, NULL, NULL, NULL, y), UNROLLED_ARGUMENT, "0.5");
    unrolled_stream_free(stream);
    unrolled_model_free(model);
}
