// Trains a GRU on a delay of one step, with plain gradient descent, and streams it.
//
//     stream_cpp MODEL.safetensors
#include "unrolled.hpp"

#include <cmath>
#include <cstdio>
#include <vector>

constexpr std::size_t STEPS = 20, BATCH = 4;

/// A fixed sequence of -1 and 1.
static float bit(std::size_t index) {
    return (index * 2654435761u >> 7) % 2 ? 1.0f : -1.0f;
}

static float train(unrolled::Network &network) {
    std::vector<float> x(STEPS * BATCH), dy(x.size());
    for (std::size_t i = 0; i < x.size(); i++) x[i] = bit(i);
    float loss = 0;
    for (int round = 0; round < 300; round++) {
        auto y = network.forward(STEPS, BATCH, x);
        loss = 0;
        for (std::size_t i = 0; i < y.size(); i++) {
            float error = i < BATCH ? 0 : y[i] - x[i - BATCH]; // the input of the step before
            loss += error * error;
            dy[i] = 2 * error / static_cast<float>(y.size());
        }
        network.backward(dy);
        float *values = network.values();
        const float *gradients = network.gradients();
        for (std::size_t i = 0; i < network.parameters(); i++) values[i] -= 0.5f * gradients[i];
    }
    return loss / static_cast<float>(STEPS * BATCH);
}

int main(int argc, char **argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s MODEL.safetensors\n", argv[0]);
        return 2;
    }
    try {
        unrolled::Network network("inputs = 1\noutputs = 1\n[[stack]]\ncell = \"gru\"\nhidden = 12\n");
        float loss = train(network);
        network.save(argv[1]);
        std::printf("loss %.5f\n", static_cast<double>(loss));

        unrolled::Model model(argv[1]);
        unrolled::Stream stream = model.stream();
        float before = 0, y = 0;
        for (std::size_t step = 0; step < 10; step++) {
            float x = bit(1000 + step);
            stream.step(&x, &y);
            if (step > 0) std::printf("%5.2f, expected %5.2f\n", static_cast<double>(y), static_cast<double>(before));
            before = x;
        }
        return loss < 0.1f ? 0 : 1;
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
}
