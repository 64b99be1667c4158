/*
 * Trains a small LSTM to predict the next value of a sine, with Adam written here, and saves it.
 *
 *     train MODEL.safetensors
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unrolled.h>

enum { STEPS = 40, BATCH = 8, TOKENS = STEPS * BATCH, ROUNDS = 200 };

static void check(int status) {
    if (status != UNROLLED_OK) {
        fprintf(stderr, "error %d: %s\n", status, unrolled_last_error());
        exit(1);
    }
}

/* The value of a sine at a step; each row of the batch starts at another place. */
static float sine(int step, int row) {
    return sinf(0.3f * (float)step + 0.8f * (float)row);
}

/* Mean squared error of y [T, B, 1], and its gradient. */
static float loss_of(const float *y, float *dy) {
    float sum = 0;
    for (int i = 0; i < TOKENS; i++) {
        float error = y[i] - sine(i / BATCH + 1, i % BATCH);
        sum += error * error;
        dy[i] = 2 * error / TOKENS;
    }
    return sum / TOKENS;
}

/* One step of Adam. m and v are the moments, as long as the parameters. */
static void adam(float *values, const float *gradients, float *m, float *v, size_t count, int step) {
    const float rate = 1e-2f, beta1 = 0.9f, beta2 = 0.999f;
    float c1 = 1 - powf(beta1, (float)step), c2 = 1 - powf(beta2, (float)step);
    for (size_t i = 0; i < count; i++) {
        m[i] = beta1 * m[i] + (1 - beta1) * gradients[i];
        v[i] = beta2 * v[i] + (1 - beta2) * gradients[i] * gradients[i];
        values[i] -= rate * (m[i] / c1) / (sqrtf(v[i] / c2) + 1e-8f);
    }
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s MODEL.safetensors\n", argv[0]);
        return 2;
    }
    unrolled_rnn *rnn;
    check(unrolled_rnn_new("inputs = 1\noutputs = 1\nseed = 7\n[[stack]]\ncell = \"lstm\"\nhidden = 16\n", &rnn));
    size_t count = unrolled_rnn_parameters(rnn);
    float *values = unrolled_rnn_values(rnn), *m = calloc(count, sizeof *m), *v = calloc(count, sizeof *v);
    const float *gradients = unrolled_rnn_gradients(rnn);
    if (!m || !v) return 1;

    float x[TOKENS], y[TOKENS], dy[TOKENS], first = 0, loss = 0;
    for (int i = 0; i < TOKENS; i++) x[i] = sine(i / BATCH, i % BATCH);
    for (int round = 1; round <= ROUNDS; round++) {
        check(unrolled_rnn_forward(rnn, STEPS, BATCH, x, NULL, NULL, y, NULL));
        loss = loss_of(y, dy);
        if (round == 1) first = loss;
        if (round % 50 == 0) printf("round %d: loss %.5f\n", round, loss);
        check(unrolled_rnn_backward(rnn, dy, NULL, NULL, NULL));
        adam(values, gradients, m, v, count, round);
    }
    check(unrolled_rnn_save(rnn, argv[1]));
    unrolled_rnn_free(rnn);
    free(m);
    free(v);
    return loss < first / 20 ? 0 : 1;
}
