// Tests examples/unrolled.hpp:
//
//     objects FOLDER QUANTIZED.safetensors
#include "../examples/unrolled.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>

#define CHECK(condition)                                                      \
    do {                                                                      \
        if (!(condition)) {                                                   \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                     \
        }                                                                     \
    } while (0)

/// Returns the text of the exception that a call throws.
static std::string thrown(const std::function<void()> &call) {
    try {
        call();
    } catch (const std::exception &error) {
        return error.what();
    }
    return "nothing thrown";
}

static bool has(const std::string &text, const char *words) {
    return text.find(words) != std::string::npos;
}

static void test_model(const std::string &path) {
    unrolled::Model model(path, 2);
    CHECK(model.input_size() == 2 && model.output_size() == 1 && model.symbols() == 0);
    std::vector<float> x = {0.1f, -0.2f, 0.3f, 0.4f, 0.5f, -0.6f, 0.7f, 0.8f}, state, none;
    auto y = model.forward(2, 2, x, none); // [T, B, E] = [2, 2, 2]
    auto first = model.forward(1, 2, {x.begin(), x.begin() + 4}, state);
    auto second = model.forward(1, 2, {x.begin() + 4, x.end()}, state);
    CHECK(y[0] == first[0] && y[1] == first[1] && y[2] == second[0] && y[3] == second[1]);
    none.clear();
    CHECK(model.forward(2, 2, x, none, {1, 2})[2] == 0);
    CHECK(has(thrown([&] { model.forward(3, 2, x, none); }), "x: found 8 values, expected 12"));
    CHECK(has(thrown([&] { model.forward(2, 2, x, none, {9, 2}); }), "lengths: found 9"));

    unrolled::Model rounded(path, 1, "bf16");
    none.clear();
    auto near = rounded.forward(2, 2, x, none);
    for (std::size_t i = 0; i < y.size(); i++) CHECK(std::abs(near[i] - y[i]) < 0.05f);
    CHECK(near != y);

    unrolled::Stream stream = model.stream(2);
    unrolled::Stream moved = std::move(stream);
    std::vector<float> out(2);
    moved.step(x.data(), out.data());
    CHECK(out == first);
    auto kept = moved.state();
    moved.reset(1);
    CHECK(moved.state() != kept);
    moved.set_state(kept);
    moved.step(x.data() + 4, out.data());
    CHECK(out == second);
    moved.reset();
    moved.step(x.data(), out.data());
    CHECK(out == first);
    CHECK(has(thrown([&] { moved.reset(2); }), "row: found 2"));
    CHECK(has(thrown([&] { moved.set_state({1.0f}); }), "state: found 1 values"));
}

/// A quantized file runs in int8, unless the constructor gets another precision.
static void test_quantized(const std::string &path) {
    std::vector<float> ids = {0, 3, 1, 4}; // of a model of 5 symbols
    auto run = [&](const unrolled::Model &model) {
        std::vector<float> state;
        return model.forward(4, 1, ids, state);
    };
    auto y = run(unrolled::Model(path));
    CHECK(run(unrolled::Model(path, 2)) == y);
    CHECK(run(unrolled::Model(path, 1, "int8")) == y);
    auto near = run(unrolled::Model(path, 1, "f32"));
    CHECK(near != y);
    for (std::size_t i = 0; i < y.size(); i++) CHECK(std::abs(near[i] - y[i]) < 0.05f);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    std::string path = std::string(argv[1]) + "/objects.safetensors";
    unrolled::Network network("inputs = 2\noutputs = 1\n[[stack]]\nhidden = 4\n");
    network.save(path);
    auto y = network.forward(1, 1, {0.5f, 0.25f});
    network.backward({1.0f});
    double sum = 0;
    for (std::size_t i = 0; i < network.parameters(); i++) sum += std::fabs(static_cast<double>(network.gradients()[i]));
    CHECK(y.size() == 1 && sum > 0 && network.values() != nullptr);
    auto loaded = unrolled::Network::load(path);
    CHECK(loaded.forward(1, 1, {0.5f, 0.25f}) == y);
    CHECK(has(thrown([&] { unrolled::Network::load(path, 1, 1, "int8"); }), "expected f32 or bf16; int8 is for models"));
    CHECK(has(thrown([&] { network.backward({1.0f, 2.0f}); }), "dy: found 2 values, expected 1"));
    test_model(path);
    test_quantized(argv[2]);
    CHECK(has(thrown([] { unrolled::Model("/no/such/file"); }), "cannot read /no/such/file"));
    CHECK(has(thrown([] { unrolled::Model("/no/such/file", 1, "f16"); }), "expected one of f32, bf16, int8"));
    try {
        unrolled::Network bad("inputs = 0");
        CHECK(false);
    } catch (const unrolled::Error &error) {
        CHECK(error.status() == UNROLLED_ARGUMENT && has(error.what(), "inputs"));
    }
    std::puts("all tests of unrolled.hpp passed");
    return 0;
}
