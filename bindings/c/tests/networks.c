/* Networks to train. */
#include "test.h"
#include <math.h>

enum { STEPS = 6, BATCH = 3, IN = 3, OUT = 2, STATE = 4 + 5 + 6 };
enum { X = STEPS * BATCH * IN, Y = STEPS * BATCH * OUT };

/* The tensors lie in the arena without overlap, under the names of PyTorch. */
static void test_tensors(const unrolled_rnn *rnn) {
    size_t end = 0, tensors = unrolled_rnn_tensors(rnn);
    CHECK(tensors == 4 + 1 + 4 + 2);
    for (size_t i = 0; i < tensors; i++) {
        const char *name = NULL;
        size_t offset = 0, rows = 0, columns = 0;
        OK(unrolled_rnn_parameter(rnn, i, &name, &offset, &rows, &columns));
        CHECK(name && offset >= end);
        end = offset + rows * columns;
        if (strcmp(name, "rnn.weight_ih_l0") == 0) CHECK(rows == 4 * 5 && columns == IN);
        if (strcmp(name, "rnn.weight_hh_l1") == 0) CHECK(rows == 3 * 6 && columns == 6);
        if (strcmp(name, "head.bias") == 0) CHECK(rows == OUT && columns == 1);
    }
    CHECK(end <= unrolled_rnn_parameters(rnn));
    OK(unrolled_rnn_parameter(rnn, 0, NULL, NULL, NULL, NULL));
    FAILS(unrolled_rnn_parameter(rnn, tensors, NULL, NULL, NULL, NULL), UNROLLED_ARGUMENT, "i: found 11");
}

static void test_bad_windows(unrolled_rnn *rnn, float *x, float *y) {
    FAILS(unrolled_rnn_backward(rnn, y, NULL, NULL, NULL), UNROLLED_ARGUMENT, "no window");
    FAILS(unrolled_rnn_forward(rnn, 0, BATCH, x, NULL, NULL, y, NULL), UNROLLED_ARGUMENT, "steps: found 0");
    FAILS(unrolled_rnn_forward(rnn, STEPS, 0, x, NULL, NULL, y, NULL), UNROLLED_ARGUMENT, "batch: found 0");
    FAILS(unrolled_rnn_forward(rnn, STEPS, BATCH, NULL, NULL, NULL, y, NULL), UNROLLED_NULL, "x");
    FAILS(unrolled_rnn_forward(rnn, STEPS, BATCH, x, NULL, NULL, NULL, NULL), UNROLLED_NULL, "y");
    FAILS(unrolled_rnn_forward(rnn, STEPS, BATCH, x, NULL, NULL, x, NULL), UNROLLED_ARGUMENT, "shares");
    FAILS(unrolled_rnn_forward(rnn, (size_t)-1, 3, x, NULL, NULL, y, NULL), UNROLLED_ARGUMENT, "memory");
    FAILS(unrolled_rnn_forward(rnn, (size_t)1 << 40, 1, x, NULL, NULL, y, NULL), UNROLLED_MEMORY, "memory");
    size_t lengths[BATCH] = {1, 2, 9};
    FAILS(unrolled_rnn_forward(rnn, STEPS, BATCH, x, lengths, NULL, y, NULL), UNROLLED_ARGUMENT, "9");
    FAILS(unrolled_rnn_save(rnn, NULL), UNROLLED_NULL, "path");
    FAILS(unrolled_rnn_save(rnn, in_folder("no/such/folder")), UNROLLED_IO, "folder");
}

/* The trained network, its file and its stream give the same bits. */
static void test_save(const unrolled_rnn *rnn, const float *x, const float *y) {
    unrolled_model *model = NULL;
    float loaded[Y];
    OK(unrolled_rnn_save(rnn, in_folder("trained.safetensors")));
    OK(unrolled_model_load(in_folder("trained.safetensors"), &model));
    OK(unrolled_model_forward(model, STEPS, BATCH, x, NULL, NULL, NULL, loaded));
    CHECK(same(y, loaded, Y));
    unrolled_model_free(model);
}

/* A network of a file trains like the one that was saved. */
static void test_load(unrolled_rnn *rnn, const char *symbols, const float *x, const float *dy) {
    unrolled_rnn *again = NULL;
    float y[Y], other[Y];
    OK(unrolled_rnn_load(in_folder("trained.safetensors"), 5, 1, &again));
    size_t count = unrolled_rnn_parameters(rnn);
    CHECK(count == unrolled_rnn_parameters(again));
    CHECK(same(unrolled_rnn_values(rnn), unrolled_rnn_values(again), count));
    OK(unrolled_rnn_forward(rnn, STEPS, BATCH, x, NULL, NULL, y, NULL));
    OK(unrolled_rnn_forward(again, STEPS, BATCH, x, NULL, NULL, other, NULL));
    OK(unrolled_rnn_backward(rnn, dy, NULL, NULL, NULL));
    OK(unrolled_rnn_backward(again, dy, NULL, NULL, NULL));
    CHECK(same(y, other, Y));
    CHECK(same(unrolled_rnn_gradients(rnn), unrolled_rnn_gradients(again), count));
    OK(unrolled_rnn_save(again, in_folder("again.safetensors")));
    unrolled_rnn_free(again);
    FAILS(unrolled_rnn_load(NULL, 1, 1, &again), UNROLLED_NULL, "path");
    FAILS(unrolled_rnn_load("x", 1, 1, NULL), UNROLLED_NULL, "out");
    FAILS(unrolled_rnn_load(in_folder("missing"), 1, 1, &again), UNROLLED_IO, "missing");
    FAILS(unrolled_rnn_load(symbols, 1, 1, &again), UNROLLED_ARGUMENT, "a model of 5 symbols");
}

/* Dropout is drawn in training only, and the masks follow from the seed. */
static void test_dropout(const float *x) {
    const char *toml = "inputs = 3\nseed = 5\n[[stack]]\nhidden = 8\noutput-keep-prob = 0.5\n";
    unrolled_rnn *a = new_rnn(toml), *b = new_rnn(toml);
    float first[STEPS * BATCH * 8], second[STEPS * BATCH * 8];
    size_t count = STEPS * BATCH * 8;
    OK(unrolled_rnn_forward(a, STEPS, BATCH, x, NULL, NULL, first, NULL));
    OK(unrolled_rnn_forward(b, STEPS, BATCH, x, NULL, NULL, second, NULL));
    CHECK(same(first, second, count));
    OK(unrolled_rnn_forward(b, STEPS, BATCH, x, NULL, NULL, second, NULL));
    CHECK(!same(first, second, count));
    OK(unrolled_rnn_set_training(a, 0));
    OK(unrolled_rnn_set_training(b, 0));
    OK(unrolled_rnn_forward(a, STEPS, BATCH, x, NULL, NULL, first, NULL));
    OK(unrolled_rnn_forward(b, STEPS, BATCH, x, NULL, NULL, second, NULL));
    CHECK(same(first, second, count));
    for (size_t i = 0; i < count; i++) CHECK(first[i] != 0);
    unrolled_rnn_free(a);
    unrolled_rnn_free(b);
}

void test_networks(const char *symbols) {
    unrolled_rnn *rnn = new_rnn(VECTORS);
    float x[X], y[Y], changed[Y], dy[Y];
    fill(x, X, 1);
    fill(dy, Y, 2);
    CHECK(unrolled_rnn_input_size(rnn) == IN && unrolled_rnn_output_size(rnn) == OUT);
    CHECK(unrolled_rnn_state_len(rnn, BATCH) == BATCH * STATE);
    test_tensors(rnn);
    test_bad_windows(rnn, x, y);

    /* The arena stays where it is, and the next window reads it. */
    float *values = unrolled_rnn_values(rnn);
    const float *gradients = unrolled_rnn_gradients(rnn);
    size_t count = unrolled_rnn_parameters(rnn);
    OK(unrolled_rnn_forward(rnn, STEPS, BATCH, x, NULL, NULL, y, NULL));
    OK(unrolled_rnn_backward(rnn, dy, NULL, NULL, NULL));
    FAILS(unrolled_rnn_backward(rnn, dy, NULL, NULL, NULL), UNROLLED_ARGUMENT, "no window");
    for (size_t i = 0; i < count; i++) values[i] -= 0.1f * gradients[i];
    OK(unrolled_rnn_forward(rnn, STEPS, BATCH, x, NULL, NULL, changed, NULL));
    CHECK(!same(y, changed, Y));
    CHECK(values == unrolled_rnn_values(rnn) && gradients == unrolled_rnn_gradients(rnn));
    test_save(rnn, x, changed);
    test_load(rnn, symbols, x, dy);
    unrolled_rnn_free(rnn);
    test_dropout(x);
}

/* The loss: the sum of the outputs, weighted by dy, and of the last state, weighted by ds. */
static double loss_of(unrolled_rnn *rnn, const float *x, const size_t *lengths, const float *state, const float *dy,
                      const float *ds) {
    float y[Y], last[BATCH * STATE];
    double loss = 0;
    OK(unrolled_rnn_forward(rnn, STEPS, BATCH, x, lengths, state, y, last));
    for (int i = 0; i < Y; i++) loss += (double)dy[i] * (double)y[i];
    for (int i = 0; i < BATCH * STATE; i++) loss += (double)ds[i] * (double)last[i];
    return loss;
}

/* Compares a gradient with the difference of the loss when a value moves by 2 * 0.01. */
static void test_slope(unrolled_rnn *rnn, const float *x, const size_t *lengths, const float *state, const float *dy,
                       const float *ds, float *value, float slope) {
    float before = *value;
    *value = before + 0.01f;
    double up = loss_of(rnn, x, lengths, state, dy, ds);
    *value = before - 0.01f;
    double down = loss_of(rnn, x, lengths, state, dy, ds);
    *value = before;
    double expected = (up - down) / 0.02;
    CHECK(fabs(expected - (double)slope) < 2e-3 + 2e-3 * fabs(expected)); /* f32 sums, and a step of 0.01 */
}

static void test_gradients_of(const char *toml) {
    unrolled_rnn *rnn = new_rnn(toml);
    float x[X], dy[Y], state[BATCH * STATE], ds[BATCH * STATE], dx[X], dstate[BATCH * STATE];
    size_t lengths[BATCH] = {4, 6, 1};
    fill(x, X, 1), fill(dy, Y, 2), fill(state, BATCH * STATE, 3), fill(ds, BATCH * STATE, 4);
    loss_of(rnn, x, lengths, state, dy, ds);
    OK(unrolled_rnn_backward(rnn, dy, ds, dx, dstate));
    float *values = unrolled_rnn_values(rnn);
    size_t count = unrolled_rnn_parameters(rnn);
    float *slopes = malloc(count * sizeof *slopes);
    CHECK(slopes);
    memcpy(slopes, unrolled_rnn_gradients(rnn), count * sizeof *slopes);
    for (size_t i = 0; i < count; i += 7) {
        if (values[i] != 0) test_slope(rnn, x, lengths, state, dy, ds, values + i, slopes[i]);
    }
    for (size_t i = 0; i < X; i += 5) test_slope(rnn, x, lengths, state, dy, ds, x + i, dx[i]);
    for (size_t i = 0; i < BATCH * STATE; i++) test_slope(rnn, x, lengths, state, dy, ds, state + i, dstate[i]);
    CHECK(dx[(4 * BATCH + 0) * IN] == 0); /* behind the end of row 0 */

    /* A missing gradient is zero. */
    memset(dy, 0, sizeof dy);
    loss_of(rnn, x, NULL, NULL, dy, ds);
    OK(unrolled_rnn_backward(rnn, NULL, ds, NULL, dstate));
    loss_of(rnn, x, NULL, NULL, dy, ds);
    OK(unrolled_rnn_backward(rnn, dy, ds, NULL, ds)); /* in place */
    CHECK(same(ds, dstate, BATCH * STATE));
    free(slopes);
    unrolled_rnn_free(rnn);
}

/* A bidirectional layer: two sets of weights, and two parts of the state. */
static const char *BOTH = "inputs = 3\noutputs = 2\n[[stack]]\nhidden = 2\nbidirectional = true\n"
                          "[[stack]]\ncell = \"gru\"\nhidden = 7\n";

static void test_bidirectional(void) {
    unrolled_rnn *rnn = new_rnn(BOTH);
    float x[X], y[Y], again[Y], state[BATCH * STATE];
    const char *name = NULL;
    size_t rows = 0, columns = 0;
    int found = 0;
    for (size_t i = 0; i < unrolled_rnn_tensors(rnn); i++) {
        OK(unrolled_rnn_parameter(rnn, i, &name, NULL, &rows, &columns));
        if (strcmp(name, "rnn.weight_ih_l0_reverse") == 0) found = rows == 4 * 2 && columns == IN;
    }
    CHECK(found && unrolled_rnn_state_len(rnn, 1) == STATE);
    fill(x, X, 1);
    OK(unrolled_rnn_forward(rnn, STEPS, BATCH, x, NULL, NULL, y, state));
    unrolled_rnn_free(rnn);

    unrolled_model *model = saved(BOTH, "both.safetensors", 2);
    unrolled_stream *stream = NULL;
    OK(unrolled_model_forward(model, STEPS, BATCH, x, NULL, NULL, NULL, again));
    CHECK(same(y, again, Y));
    FAILS(unrolled_stream_new(model, 1, &stream), UNROLLED_ARGUMENT, "bidirectional");
    unrolled_model_free(model);
}

void test_gradients(void) {
    test_gradients_of(VECTORS);
    test_gradients_of(BOTH);
    test_bidirectional();
}
