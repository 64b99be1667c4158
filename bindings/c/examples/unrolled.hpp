// C++17 over unrolled.h: objects that free their handles, and exceptions with the text of the error.
//
// Copy this file into your program. It has no state of its own, and every call is one call of the C
// library.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <unrolled.h>
#include <vector>

namespace unrolled {

/// A call that failed.
class Error : public std::runtime_error {
public:
    explicit Error(int status) : std::runtime_error(unrolled_last_error()), status_(status) {}

    /// The unrolled_status.
    int status() const noexcept { return status_; }

private:
    int status_;
};

inline void check(int status) {
    if (status != UNROLLED_OK) throw Error(status);
}

/// Throws unless an array has the size that the C function reads or writes.
inline void check_size(const char *name, std::size_t found, std::size_t expected) {
    if (found != expected) {
        throw std::invalid_argument(std::string(name) + ": found " + std::to_string(found) + " values, expected " +
                                    std::to_string(expected));
    }
}

template <auto Free> struct Freed {
    template <class Handle> void operator()(Handle *handle) const noexcept { Free(handle); }
};

/// One step at a time, with a state. Use it from one thread at a time.
class Stream {
public:
    Stream(const unrolled_model *model, std::size_t batch) {
        unrolled_stream *stream = nullptr;
        check(unrolled_stream_new(model, batch, &stream));
        handle_.reset(stream);
    }

    /// x: [B, E]; y: [B, O]. It allocates nothing unless it throws.
    void step(const float *x, float *y) { check(unrolled_stream_step(handle_.get(), x, y)); }
    void step(const std::uint32_t *ids, float *logits) {
        check(unrolled_stream_step_symbols(handle_.get(), ids, logits));
    }
    void reset() noexcept { unrolled_stream_reset(handle_.get()); }
    void reset(std::size_t row) { check(unrolled_stream_reset_row(handle_.get(), row)); }

    std::vector<float> state() const {
        std::vector<float> state(unrolled_stream_state_len(handle_.get()));
        check(unrolled_stream_get_state(handle_.get(), state.data()));
        return state;
    }
    void set_state(const std::vector<float> &state) {
        check_size("state", state.size(), unrolled_stream_state_len(handle_.get()));
        check(unrolled_stream_set_state(handle_.get(), state.data()));
    }

private:
    std::unique_ptr<unrolled_stream, Freed<unrolled_stream_free>> handle_;
};

/// A trained model, which any number of threads may use.
class Model {
public:
    /// Large windows are divided among `threads` threads, 0 for one per core. Quantized files run in
    /// int8, all others in f32.
    explicit Model(const std::string &path, std::size_t threads = 1) {
        unrolled_model *model = nullptr;
        check(unrolled_model_load_threads(path.c_str(), threads, &model));
        handle_.reset(model);
    }
    /// `precision` is "f32", "bf16" or "int8", for any file.
    Model(const std::string &path, std::size_t threads, const std::string &precision) {
        unrolled_model *model = nullptr;
        check(unrolled_model_load_precision(path.c_str(), precision.c_str(), threads, &model));
        handle_.reset(model);
    }

    std::size_t input_size() const { return unrolled_model_input_size(handle_.get()); }
    std::size_t output_size() const { return unrolled_model_output_size(handle_.get()); }
    std::size_t symbols() const { return unrolled_model_symbols(handle_.get()); }

    /// x: [T, B, E]. Returns [T, B, O]. `state` may be empty for zero, and receives the last state.
    std::vector<float> forward(std::size_t steps, std::size_t batch, const std::vector<float> &x,
                               std::vector<float> &state, const std::vector<std::size_t> &lengths = {}) const {
        std::size_t state_len = unrolled_model_state_len(handle_.get(), batch);
        check_size("x", x.size(), steps * batch * input_size());
        if (!lengths.empty()) check_size("lengths", lengths.size(), batch);
        if (!state.empty()) check_size("state", state.size(), state_len);
        std::vector<float> y(steps * batch * output_size());
        const float *first = state.empty() ? nullptr : state.data();
        std::vector<float> last(state_len);
        check(unrolled_model_forward(handle_.get(), steps, batch, x.data(), lengths.empty() ? nullptr : lengths.data(),
                                     first, last.data(), y.data()));
        state = std::move(last);
        return y;
    }

    Stream stream(std::size_t batch = 1) const { return Stream(handle_.get(), batch); }

private:
    std::unique_ptr<unrolled_model, Freed<unrolled_model_free>> handle_;
};

/// A network to train. Use it from one thread at a time.
class Network {
public:
    explicit Network(const std::string &toml) {
        unrolled_rnn *rnn = nullptr;
        check(unrolled_rnn_new(toml.c_str(), &rnn));
        handle_.reset(rnn);
    }
    /// The network of a file, to train it further. `seed` is that of dropout.
    static Network load(const std::string &path, std::uint64_t seed = 1, std::size_t threads = 0,
                        const std::string &precision = "f32") {
        unrolled_rnn *rnn = nullptr;
        check(unrolled_rnn_load_precision(path.c_str(), seed, precision.c_str(), threads, &rnn));
        return Network(rnn);
    }

    std::size_t input_size() const { return unrolled_rnn_input_size(handle_.get()); }
    std::size_t output_size() const { return unrolled_rnn_output_size(handle_.get()); }

    /// x: [T, B, E]. Returns [T, B, O].
    std::vector<float> forward(std::size_t steps, std::size_t batch, const std::vector<float> &x) {
        check_size("x", x.size(), steps * batch * input_size());
        std::vector<float> y(steps * batch * output_size());
        check(unrolled_rnn_forward(handle_.get(), steps, batch, x.data(), nullptr, nullptr, y.data(), nullptr));
        outputs_ = y.size();
        return y;
    }
    /// dy: [T, B, O], of the last window.
    void backward(const std::vector<float> &dy) {
        check_size("dy", dy.size(), outputs_);
        check(unrolled_rnn_backward(handle_.get(), dy.data(), nullptr, nullptr, nullptr));
    }

    /// Number of floats of values() and gradients().
    std::size_t parameters() const { return unrolled_rnn_parameters(handle_.get()); }
    float *values() { return unrolled_rnn_values(handle_.get()); }
    const float *gradients() const { return unrolled_rnn_gradients(handle_.get()); }
    void save(const std::string &path) const { check(unrolled_rnn_save(handle_.get(), path.c_str())); }

private:
    explicit Network(unrolled_rnn *rnn) : handle_(rnn) {}

    std::unique_ptr<unrolled_rnn, Freed<unrolled_rnn_free>> handle_;
    std::size_t outputs_ = 0;
};

} // namespace unrolled
